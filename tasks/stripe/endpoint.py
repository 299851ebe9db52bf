"""The webhook endpoint at Stripe: found and brought up to date, or made with the API version pinned.

https://docs.stripe.com/api/webhook_endpoints · The signing secret is told once, when it is made.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import stripe

from atlvs.settings import settings
from blocks.base import DEFAULT
from blocks.stripe import API_VERSION, EVENT_TYPES, Stripe, translated
from tasks.policy import call

PATH = "/v1/webhook_endpoints"
MARK = "atlvs_connection"
SEAL = "atlvs_secret"  # tells whether the secret we know is this endpoint's
MEND = "Delete it in the Stripe dashboard and run: atlvs bootstrap"
Endpoint = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """What was done at the provider, and fields of the connection that came of it."""

    line: str
    fields: dict[str, str] = field(default_factory=dict[str, str])


@call("stripe")
async def prepare(connection: Stripe) -> Prepared:
    """Make sure that Stripe delivers to us. Twice changes nothing."""
    name = f"stripe {connection.connection.name}"
    if not reachable(connection):
        return Prepared(
            f"{name}: Stripe cannot reach {settings().public_base_url}; set PUBLIC_BASE_URL "
            "to a public https address, or forward with `stripe listen`."
        )
    found = await connection.get(PATH, "limit=100")
    here = [one for one in found["data"] if one["url"] == connection.webhook_url()]
    usable = next((one for one in here if _usable(connection, one)), None)
    if usable:
        return Prepared(f"{name}: {await _brought_up_to_date(connection, usable)}")
    if obstacle := _obstacle(connection, here):
        return Prepared(f"{name}: {obstacle}")
    made = await _made(connection)
    ours = [one["id"] for one in here if _ours(one)]
    for old in ours:  # its secret is unknown, or its version another, which cannot be changed
        await _ask(connection, "delete", f"{PATH}/{old}")
    done = f"replaces {', '.join(ours)}" if ours else "made"
    return Prepared(f"{name}: endpoint {made['id']} {done}.", {"webhook_secrets": made["secret"]})


def reachable(connection: Stripe) -> bool:
    """Whether the provider can deliver to PUBLIC_BASE_URL; on loopback only a sandbox can."""
    here = {"127.0.0.1", "localhost", "::1"}
    public = urlsplit(settings().public_base_url)
    return public.hostname not in here or urlsplit(connection.api_base).hostname in here


def _usable(connection: Stripe, endpoint: Endpoint) -> bool:
    """At our version, and with a secret that we know."""
    secrets = connection.webhook_secrets.get_secret_value() if connection.webhook_secrets else ""
    if endpoint["api_version"] != API_VERSION or not secrets:
        return False
    if not _ours(endpoint) or _secret_is_given(connection):
        return True  # a person's word that it is the right one
    seals = [_seal(secret.strip()) for secret in secrets.split(",")]
    return endpoint["metadata"].get(SEAL) in seals


def _obstacle(connection: Stripe, here: list[Endpoint]) -> str | None:
    """Why a person has to do something before an endpoint can be made."""
    foreign = [] if any(_ours(one) for one in here) else here
    for one in foreign:
        version = one["api_version"] or "the account's own version"
        if version == API_VERSION:
            return (
                f"endpoint {one['id']} was made by somebody else, and its secret is unknown here. "
                f"Set STRIPE_WEBHOOK_SECRET to it. Or: {MEND}"
            )
        return (
            f"endpoint {one['id']} was made by somebody else, at version {version} instead of "
            f"{API_VERSION}, which cannot be changed. {MEND}"
        )
    if _secret_is_given(connection):
        return (
            f"no endpoint of version {API_VERSION} delivers to {connection.webhook_url()}. One made "
            "now would have a secret of its own: unset STRIPE_WEBHOOK_SECRET to have it made."
        )
    return None


async def _brought_up_to_date(connection: Stripe, endpoint: Endpoint) -> str:
    """All that we want to be told of is sent; what else somebody wants stays."""
    there = set(endpoint["enabled_events"])
    complete = "*" in there or there >= set(EVENT_TYPES)
    if complete and endpoint["status"] == "enabled":
        return f"webhooks arrive through {endpoint['id']}."
    wanted = endpoint["enabled_events"] if complete else sorted(there | set(EVENT_TYPES))
    await _ask(
        connection, "post", f"{PATH}/{endpoint['id']}", enabled_events=wanted, disabled=False
    )
    return f"endpoint {endpoint['id']} brought up to date."


async def _made(connection: Stripe) -> Endpoint:
    mark = {MARK: str(connection.connection.id)}
    made = await _ask(
        connection,
        "post",
        PATH,
        url=connection.webhook_url(),
        api_version=API_VERSION,
        enabled_events=list(EVENT_TYPES),
        description="ATLVS Integrations",
        metadata=mark,
    )
    # An endpoint whose secret got lost between here and our database has no or another seal.
    seal = mark | {SEAL: _seal(made["secret"])}
    await _ask(connection, "post", f"{PATH}/{made['id']}", metadata=seal)
    return made


def _ours(endpoint: Endpoint) -> bool:
    return MARK in (endpoint["metadata"] or {})


def _secret_is_given(connection: Stripe) -> bool:
    """Whether the environment sets the secret: it would win over that of an endpoint made now."""
    by_environment = type(connection).from_environment()
    return connection.connection.name == DEFAULT and "webhook_secrets" in by_environment


def _seal(secret: str) -> str:
    """Enough of a digest to recognize 190 random bits, and nothing to find them by."""
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


async def _ask(connection: Stripe, method: str, path: str, **parameters: Any) -> Endpoint:
    try:
        answer = await connection.client().raw_request_async(method, path, **parameters)
    except stripe.StripeError as error:
        raise translated(error) from None
    return cast("Endpoint", answer.data)
