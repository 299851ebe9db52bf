"""A message, and what the API shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployments.sandbox.twilio.dates import rfc2822
from deployments.sandbox.twilio.errors import FAILURES, MESSAGES

FINAL = frozenset({"delivered", "undelivered", "failed", "canceled", "read", "received"})


@dataclass(slots=True, eq=False)
class Message:
    """`arrived` is when it came to the phone, whatever the carrier reported."""

    sid: str
    to: str
    sender: str | None
    body: str
    status: str
    segments: int
    created: float
    service: str | None = None
    direction: str = "outbound-api"
    callback: str | None = None
    media: int = 0
    validity: int = 36_000
    error: int | None = None
    price: float | None = None
    updated: float = 0.0
    sent: float | None = None
    arrived: float | None = None
    send_at: float | None = None
    discards: bool = False
    position: int = 0

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    def shown(self, account: str) -> dict[str, Any]:
        uri = f"/2010-04-01/Accounts/{account}/Messages/{self.sid}"
        # A messaging service has not counted before it has chosen who sends.
        counted = self.sender is not None
        return {
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": "" if self.discards and self.is_final else self.body,
            "date_created": rfc2822(self.created),
            "date_sent": rfc2822(self.sent),
            "date_updated": rfc2822(self.updated),
            "direction": self.direction,
            "error_code": self.error,
            "error_message": None if self.error is None else reason(self.error),
            "from": self.sender,
            "messaging_service_sid": self.service,
            "num_media": str(self.media),
            "num_segments": str(self.segments if counted else 0),
            "price": None if self.price is None else f"-{self.price:.5f}",
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.to,
            "uri": f"{uri}.json",
        }

    def heard(self) -> dict[str, Any]:
        """As it lies on the phone."""
        return {
            "to": self.to,
            "from": self.sender,
            "body": self.body,
            "media": self.media,
            "segments": self.segments,
            "sid": self.sid,
            "status": self.status,
            "at": self.arrived,
        }


def reason(code: int) -> str:
    return FAILURES.get(code) or MESSAGES.get(code, "Unknown error").format(value="").strip()
