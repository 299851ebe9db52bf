"""The event webhook at SendGrid: found and brought up to date, or made, and signed.

https://www.twilio.com/docs/sendgrid/api-reference/webhooks
The verification key is no secret, and can be read again at any time.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from atlvs.errors import IntegrationError, Rejected, Unauthorized
from atlvs.settings import settings
from blocks.base import DEFAULT
from blocks.sendgrid import TOLD, WEBHOOKS, SendGrid
from tasks.policy import call

Json = dict[str, Any]
WANTED: Json = {"enabled": True, **dict.fromkeys(TOLD, True)}
BY_HAND = (
    "At https://app.sendgrid.com/settings/mail_settings make an event webhook to {url} with all "
    "events and a signature, and set SENDGRID_WEBHOOK_PUBLIC_KEY to its verification key"
)


@dataclass(frozen=True)
class Prepared:
    """What was done at the provider, and fields of the connection that came of it."""

    line: str
    fields: dict[str, str] = field(default_factory=dict[str, str])


@call("sendgrid")
async def prepare(connection: SendGrid) -> Prepared:
    """Make sure that SendGrid tells us of every message, signed. Twice changes nothing."""
    name, url = f"sendgrid {connection.connection.name}", connection.webhook_url()
    if not reachable(connection):
        return Prepared(
            f"{name}: SendGrid cannot reach {settings().public_base_url}; set PUBLIC_BASE_URL to a "
            "public https address."
        )
    try:
        webhook, done = await _webhook(connection, url)
        key = await _signed(connection, webhook["id"])
    except (Unauthorized, Rejected) as error:
        if isinstance(error, Unauthorized) and error.code != "forbidden":
            raise
        by_hand = BY_HAND.format(url=url)
        return Prepared(f"{name}: the event webhook cannot be set up: {told(error)} {by_hand}.")
    return _kept(connection, name, key, done)


def told(error: IntegrationError) -> str:
    """What SendGrid says, as a sentence."""
    return f"{error.message.rstrip('.')}."


def reachable(connection: SendGrid) -> bool:
    """Whether the provider can deliver to PUBLIC_BASE_URL; on loopback only a sandbox can."""
    here = {"127.0.0.1", "localhost", "::1"}
    public = urlsplit(settings().public_base_url)
    return public.hostname not in here or urlsplit(connection.api_base).hostname in here


async def _webhook(connection: SendGrid, url: str) -> tuple[Json, str]:
    """Ours, and what was done about it."""
    found = await connection.call("GET", f"{WEBHOOKS}/all")
    ours = next((one for one in found["webhooks"] if one["url"] == url), None)
    if ours is None:
        asked = WANTED | {"url": url, "friendly_name": "ATLVS Integrations"}
        return await connection.call("POST", WEBHOOKS, asked), "made"
    if all(ours.get(name) == value for name, value in WANTED.items()):
        return ours, "is there"
    # What else somebody wants stays.
    changed = await connection.call("PATCH", f"{WEBHOOKS}/{ours['id']}", WANTED | {"url": url})
    return changed, "brought up to date"


async def _signed(connection: SendGrid, id: str) -> str:
    """The verification key; signing is turned on where it is off."""
    path = f"{WEBHOOKS}/signed/{id}"
    known = await connection.call("GET", path)
    if not known.get("public_key"):
        known = await connection.call("PATCH", path, {"enabled": True})
    return known["public_key"]


def _kept(connection: SendGrid, name: str, key: str, done: str) -> Prepared:
    if key in connection.public_keys():
        return Prepared(f"{name}: the event webhook {done}.")
    given = type(connection).from_environment().get("webhook_public_key")
    if given and connection.connection.name == DEFAULT:
        return Prepared(
            f"{name}: the event webhook {done}, but SENDGRID_WEBHOOK_PUBLIC_KEY is another key. "
            f"Set it to {key} or unset it."
        )
    # Events that were signed before the key was replaced may still be on their way.
    kept = ",".join([key, *connection.public_keys()[:1]])
    return Prepared(f"{name}: the event webhook {done}.", {"webhook_public_key": kept})
