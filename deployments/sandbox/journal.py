"""The request log: the last 20,000 requests, and counts of all of them."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from deployments.sandbox.wire import Request

KEPT = 20_000


class Journal:
    def __init__(self) -> None:
        self.recording = True
        self.clear()

    def clear(self) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.counts: dict[str, Counter[str]] = {}
        self.number = 0

    def note(
        self, provider: str, request: Request, status: int, at: float, fault: str | None
    ) -> None:
        counts = self.counts.setdefault(provider, Counter())
        counts[str(status)] += 1
        if not self.recording:
            return
        self.number += 1
        noted = request.noted
        self.entries.append(
            {
                "number": self.number,
                "at": at,
                "provider": provider,
                "method": request.method,
                "path": request.path,
                "params": noted.params,
                "status": status,
                "account": noted.account,
                "idempotency_key": noted.idempotency_key,
                "request_id": noted.request_id,
                "fault": fault,
            }
        )

    def shown(self, wanted: dict[str, str]) -> list[dict[str, Any]]:
        """Entries, oldest first, whose fields equal what is wanted."""
        return [
            entry
            for entry in self.entries
            if all(str(entry.get(name)) == value for name, value in wanted.items())
        ]

    def stats(self) -> dict[str, Any]:
        return {
            provider: {
                "requests": sum(counts.values()),
                "status": dict(sorted(counts.items())),
                "too_many": counts["429"],
            }
            for provider, counts in self.counts.items()
        }
