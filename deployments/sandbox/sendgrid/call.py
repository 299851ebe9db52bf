"""One call of the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.errors import bad_request, refusal

Object = dict[str, Any]
# The status, and the content unless there is none.
Reply = tuple[int, Any]


@dataclass(slots=True)
class Call:
    account: Account
    path: dict[str, str]
    query: dict[str, str]
    raw: bytes
    body: Any = None
    scopes: frozenset[str] = frozenset()
    headers: dict[str, str] = field(default_factory=dict)

    def fields(self) -> Object:
        """The body, which has to be an object."""
        if not isinstance(self.body, dict):
            raise bad_request()
        return self.body

    def number(self, name: str, default: int, least: int = 0, most: int | None = None) -> int:
        text = self.query.get(name)
        if text is None:
            return default
        if not text.lstrip("-").isdigit():
            raise refusal(400, f"{name} must be an integer", name)
        value = int(text)
        if value < least:
            raise refusal(400, f"{name} must be at least {least}", name)
        if most is not None and value > most:
            raise refusal(400, f"{name} must be at most {most}", name)
        return value
