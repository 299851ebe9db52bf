"""The webhook endpoint at Stripe: found and brought up to date, or made with the API version pinned.

https://docs.stripe.com/api/webhook_endpoints · The signing secret is told once, when it is made.
"""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import stripe

from atlvs.settings import settings
from blocks.stripe import API_VERSION, EVENT_TYPES, Stripe, translated
from tasks.policy import call

MARK = "atlvs_connection"


@dataclass(frozen=True)
class Prepared:
    """What was done at the provider, and fields of the connection that came of it."""

    line: str
    fields: dict[str, str]


@call("stripe")
async def prepare(connection: Stripe) -> Prepared:
    """Make sure that Stripe delivers to us. Twice changes nothing."""
    url, name = connection.webhook_url(), connection.connection.name
    if not reachable(connection):
        return Prepared(
            f"stripe {name}: Stripe cannot reach {settings().public_base_url}; set PUBLIC_BASE_URL "
            "to a public https address, or forward with `stripe listen`.",
            {},
        )
    found = await connection.get("/v1/webhook_endpoints", "limit=100")
    ours = next((one for one in found["data"] if one["url"] == url), None)
    if ours and _fits(ours) and connection.webhook_secrets:
        return Prepared(f"stripe {name}: webhooks arrive through {ours['id']}.", {})
    if ours and connection.webhook_secrets and ours["api_version"] == API_VERSION:
        await _ask(connection, "post", f"/v1/webhook_endpoints/{ours['id']}", **_wanted())
        return Prepared(f"stripe {name}: endpoint {ours['id']} brought up to date.", {})
    if ours and MARK not in ours["metadata"]:
        return Prepared(
            f"stripe {name}: endpoint {ours['id']} was made by somebody else, at version "
            f"{ours['api_version']}. Set STRIPE_WEBHOOK_SECRET to its secret, or delete it.",
            {},
        )
    if ours:  # ours, but without its secret, or at another version, which cannot be changed
        await _ask(connection, "delete", f"/v1/webhook_endpoints/{ours['id']}")
    made = await _ask(
        connection,
        "post",
        "/v1/webhook_endpoints",
        url=url,
        api_version=API_VERSION,
        metadata={MARK: str(connection.connection.id)},
        **_wanted(),
    )
    return Prepared(
        f"stripe {name}: endpoint {made['id']} made.", {"webhook_secrets": made["secret"]}
    )


def reachable(connection: Stripe) -> bool:
    """Whether the provider can deliver to PUBLIC_BASE_URL; on loopback only a sandbox can."""
    here = {"127.0.0.1", "localhost", "::1"}
    public = urlsplit(settings().public_base_url)
    return public.hostname not in here or urlsplit(connection.api_base).hostname in here


def _wanted() -> dict[str, Any]:
    return {"enabled_events": list(EVENT_TYPES), "description": "ATLVS Integrations"}


def _fits(endpoint: dict[str, Any]) -> bool:
    wanted = set(endpoint["enabled_events"])
    return (
        endpoint["api_version"] == API_VERSION
        and endpoint["status"] == "enabled"
        and ("*" in wanted or wanted >= set(EVENT_TYPES))
    )


async def _ask(connection: Stripe, method: str, path: str, **parameters: Any) -> dict[str, Any]:
    try:
        answer = await connection.client().raw_request_async(method, path, **parameters)
    except stripe.StripeError as error:
        raise translated(error) from None
    return cast("dict[str, Any]", answer.data)
