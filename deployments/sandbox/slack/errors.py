"""Refusals, in Slack's envelope: HTTP 200 with `ok: false`, and 429 where it is too much.

https://docs.slack.dev/apis/web-api/#responses
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Refused(Exception):
    """`messages` are shown as `[ERROR] …` in `response_metadata`."""

    def __init__(
        self,
        error: str,
        *,
        status: int = 200,
        retry_after: int | None = None,
        messages: Sequence[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(error)
        self.error = error
        self.status = status
        self.headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        self.messages = list(messages)
        self.more = more

    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = {"ok": False, "error": self.error, **self.more}
        if self.messages:
            shown = [f"[ERROR] {message}" for message in self.messages]
            content["response_metadata"] = {"messages": shown}
        return content


def invalid(message: str) -> Refused:
    return Refused("invalid_arguments", messages=[message])


def missing(name: str) -> Refused:
    return invalid(f"missing required field: {name}")


def too_many(seconds: int) -> Refused:
    return Refused("ratelimited", status=429, retry_after=seconds)
