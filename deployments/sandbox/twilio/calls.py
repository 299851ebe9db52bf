"""A call, and what the API shows of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deployments.sandbox.twilio.addresses import formatted
from deployments.sandbox.twilio.dates import rfc2822

OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
PARTS = ("Notifications", "Recordings", "Payments", "Events")


@dataclass(slots=True, eq=False)
class Call:
    """`heard` is what the person at the other end was told."""

    sid: str
    to: str
    sender: str
    created: float
    url: str | None = None
    twiml: str | None = None
    callback: str | None = None
    events: frozenset[str] = frozenset({"completed"})
    detects: bool = False
    sender_sid: str | None = None
    status: str = "queued"
    answered_by: str | None = None
    started: float | None = None
    ended: float | None = None
    updated: float = 0.0
    price: float | None = None
    told: int = 0
    heard: list[str] = field(default_factory=list)
    error: int | None = None

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    @property
    def seconds(self) -> int | None:
        """How long it lasted, once it was answered and is over."""
        if self.status != "completed" or self.started is None or self.ended is None:
            return None
        return max(1, round(self.ended - self.started))

    def shown(self, account: str) -> dict[str, Any]:
        uri = f"/2010-04-01/Accounts/{account}/Calls/{self.sid}"
        return BLANK | {
            "sid": self.sid,
            "account_sid": account,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.updated),
            "to": self.to,
            "to_formatted": formatted(self.to),
            "from": self.sender,
            "from_formatted": formatted(self.sender),
            "phone_number_sid": self.sender_sid,
            "status": self.status,
            "start_time": rfc2822(self.started),
            "end_time": rfc2822(self.ended),
            "duration": None if self.seconds is None else str(self.seconds),
            "price": None if self.price is None else f"-{self.price:.5f}",
            "answered_by": self.answered_by,
            "uri": f"{uri}.json",
            "subresource_uris": {part.lower(): f"{uri}/{part}.json" for part in PARTS},
        }


BLANK: dict[str, Any] = {
    "parent_call_sid": None,
    "price_unit": "USD",
    "direction": "outbound-api",
    "api_version": "2010-04-01",
    "forwarded_from": None,
    "group_sid": None,
    "caller_name": None,
    "queue_time": "0",
    "trunk_sid": None,
}
