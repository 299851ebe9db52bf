"""Idempotency: the first answer to a key is the answer, for a day.

https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.errors import Refused
from deployments.sandbox.wire import Answer

KEPT = 86_400


@dataclass(slots=True)
class Replay:
    fingerprint: str
    request_id: str
    at: float
    answer: Answer | None = None


class Replays:
    def __init__(self, account: Account) -> None:
        self.account = account
        self.kept: dict[str, Replay] = account.replays

    def begin(self, key: str, asked: Any, request_id: str) -> Replay:
        """The replay of this key, with its answer if there is one; marks it in flight if not."""
        if len(key) > 255:
            raise Refused(400, "The idempotency key is longer than 255 characters.")
        now = self.account.world.clock.now()
        fingerprint = _fingerprint(asked)
        found = self.kept.get(key)
        if found is None or now - found.at >= KEPT:
            found = self.kept[key] = Replay(fingerprint, request_id, now)
            return found
        if found.fingerprint != fingerprint:
            raise Refused(
                400,
                "Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{key}' if you meant to "
                "execute a different request.",
                kind="idempotency_error",
            )
        if found.answer is None:
            raise Refused(
                409,
                "There is currently another in-progress request using this Idempotent Key (that "
                "probably means you submitted twice, and the other request is still going "
                "through). Please try again later.",
                code="idempotency_key_in_use",
            )
        return found

    def forget(self, key: str) -> None:
        self.kept.pop(key, None)


def _fingerprint(asked: Any) -> str:
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
