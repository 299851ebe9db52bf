"""The connection `default` and its webhook endpoints, seen from outside."""

import asyncio
from typing import Any

from sandbox_client import Sandbox

from atlvs.settings import settings
from blocks.stripe import API_VERSION, Stripe

URL = "http://127.0.0.1:8080/api/webhooks/stripe/default"


def endpoints(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [one for one in sandbox.dump("webhook_endpoint") if not one.get("deleted")]


def add_endpoint(
    sandbox: Sandbox, version: str = API_VERSION, events: tuple[str, ...] = ("charge.refunded",)
) -> dict[str, Any]:
    """An endpoint at our address that somebody made by hand."""
    return post(
        sandbox, "", **{"url": URL, "api_version": version, "enabled_events[]": list(events)}
    )


def post(sandbox: Sandbox, identifier: str, **given: Any) -> dict[str, Any]:
    """Make an endpoint, or change one."""
    answer = sandbox.session.post(
        f"{sandbox.base('stripe')}/v1/webhook_endpoints{identifier and '/'}{identifier}",
        headers={"Authorization": f"Bearer {sandbox.key}"},
        data=given,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def sealed(name: str = "default") -> dict[str, Any]:
    """The fields in the sealed row."""

    async def opened() -> dict[str, Any]:
        async with Stripe.opened(name) as stripe:
            return stripe.stored_fields()

    settings.cache_clear()
    return asyncio.run(opened())
