"""The report that each run leaves: one artifact a person can read, and a summary for programs.

Reports hold counts and ids. People are masked.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any

from prefect.artifacts import acreate_markdown_artifact

from atlvs.records import Counts
from blocks.base import Connector, resources

COLUMNS = ("read", "created", "updated", "unchanged", "deleted", "failed")


@dataclass
class Report:
    """What one run did."""

    title: str
    key: str
    streams: dict[str, Counts] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    calls: int = 0
    refused: int = 0
    waited: float = 0.0
    began: float = field(default_factory=monotonic)

    def count(self, stream: str, counts: Counts) -> None:
        """Add what was done to a stream."""
        self.streams.setdefault(stream, Counts())
        self.streams[stream] += counts

    def calls_of(self, connector: Connector) -> None:
        """Add the connection's calls in this process."""
        wire = connector.wire
        self.calls += wire.made
        self.refused += wire.refused
        self.waited += wire.waited

    @property
    def summary(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "streams": {name: asdict(counts) for name, counts in self.streams.items()},
            "calls": self.calls,
            "answered_429": self.refused,
            "waited_seconds": round(self.waited, 2),
            "seconds": round(monotonic() - self.began, 2),
            "notes": list(self.notes),
            **self.facts,
        }

    def markdown(self) -> str:
        """The artifact's text."""
        parts = [f"# {self.title}", *(f"> {note}" for note in self.notes)]
        if self.facts:
            parts.append("\n".join(f"- **{name}**: {value}" for name, value in self.facts.items()))
        if self.streams:
            parts.append(self._table())
        parts.append(
            f"{self.calls} API calls ({self.refused} answered 429), {self.waited:.1f} s waited for "
            f"limits, {monotonic() - self.began:.1f} s in all."
        )
        return "\n\n".join(parts)

    def _table(self) -> str:
        lines = [
            f"| stream | {' | '.join(COLUMNS)} | skipped |",
            "|---" + "|---:" * len(COLUMNS) + "|---|",
        ]
        for name, counts in sorted(self.streams.items()):
            numbers = " | ".join(f"{getattr(counts, column):,}" for column in COLUMNS)
            skipped = ", ".join(f"{number} {why}" for why, number in counts.skipped.items())
            lines.append(f"| {name} | {numbers} | {skipped} |")
        return "\n".join(lines)


@asynccontextmanager
async def reported(title: str, key: str) -> AsyncGenerator[Report]:
    """A report that is published however the run ends; then this process's connections are closed."""
    report = Report(title, key)
    async with resources():
        try:
            yield report
        except BaseException as error:
            report.notes.append(f"Ended by {type(error).__name__}: {error}")
            raise
        finally:
            await acreate_markdown_artifact(
                key=key, markdown=report.markdown(), description=report.title
            )


def mask_email(email: str | None) -> str:
    """`j***@example.com`."""
    name, _, domain = (email or "").partition("@")
    return f"{name[:1]}***@{domain}" if domain else "***"
