"""Stripe's events as they are delivered: the sandbox's own, signed."""

import hmac
from itertools import cycle, islice
from time import time
from typing import Any

import orjson

from tests.benchmarks.ground import SECRET, Ground, key_of

Json = dict[str, Any]
SEED = {"customers": 150, "payments_per_customer": 2, "refunds": 0.2, "emit_events": True}


def seeded(ground: Ground, name: str, **more: Any) -> list[Json]:
    """The events of an account's first days, oldest first."""
    account = ground.sandbox.with_key(key_of(name))
    account.seed(**SEED, **more)
    return account.dump("event")[::-1]


def copies(events: list[Json], number: int) -> list[bytes]:
    """So many events about as many charges, each as large as Stripe's."""
    wanted = [one for one in events if one["type"] == "charge.succeeded"]
    return [_copy(one, place) for place, one in enumerate(islice(cycle(wanted), number))]


def signed(body: bytes) -> dict[str, str]:
    """A delivery's headers.

    https://docs.stripe.com/webhooks/signature#verify-manually
    """
    now = b"%d" % time()
    made = hmac.digest(SECRET.encode(), now + b"." + body, "sha256").hex()
    return {
        "Stripe-Signature": f"t={now.decode()},v1={made}",
        "Content-Type": "application/json",
    }


def _copy(event: Json, place: int) -> bytes:
    subject = event["data"]["object"] | {"id": f"ch_{place}", "payment_intent": f"pi_{place}"}
    return orjson.dumps(event | {"id": f"evt_{place}", "data": {"object": subject}})
