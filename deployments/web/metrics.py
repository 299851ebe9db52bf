"""What Prometheus reads at /metrics."""

import asyncio
from time import monotonic

from prometheus_client import Counter, Gauge, Histogram, generate_latest

from atlvs.db import inbox
from atlvs.errors import IntegrationError

BACKLOG_SECONDS = 5.0  # between looks at the inbox
PATIENCE = 2.0

WEBHOOKS = Counter("atlvs_webhooks", "Webhook requests answered.", ["provider", "result"])
STORED = Counter("atlvs_webhook_events_stored", "Events that were new in the inbox.")
BATCH_SIZES = Histogram(
    "atlvs_webhook_commit_events",
    "Events in one commit.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
CALLS = Counter(
    "atlvs_service_calls", "Calls of the service door.", ["provider", "method", "outcome"]
)
SECONDS = Histogram(
    "atlvs_service_call_seconds",
    "How long calls of the service door take.",
    ["provider", "method"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)
BACKLOG = Gauge("atlvs_inbox_events", "Events in the inbox that are not done.", ["state"])
OLDEST = Gauge("atlvs_inbox_oldest_seconds", "When the oldest waiting event came in, unix time.")
BACKLOG_KNOWN = Gauge("atlvs_inbox_known", "Whether the last look at the inbox succeeded.")


class Exposition:
    """The metrics as text; the inbox is looked at every few seconds at most."""

    def __init__(self) -> None:
        self._looked_at = float("-inf")

    async def text(self) -> bytes:
        """All metrics of this process."""
        if monotonic() - self._looked_at > BACKLOG_SECONDS:
            self._looked_at = monotonic()
            await look_at_inbox()
        return generate_latest()


async def look_at_inbox() -> None:
    """Refresh the backlog's gauges; with the database away they say so."""
    try:
        async with asyncio.timeout(PATIENCE):
            backlog = await inbox.backlog()
    except (IntegrationError, TimeoutError):
        BACKLOG_KNOWN.set(0)
        return
    BACKLOG_KNOWN.set(1)
    for state in ("waiting", "dead"):
        BACKLOG.labels(state).set(backlog[state])
    OLDEST.set(backlog["oldest"].timestamp() if backlog["oldest"] else 0)
