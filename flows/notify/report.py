"""What a fan-out leaves to read: counts, costs, some masked recipients, reasons. Nobody's address."""

import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prefect.artifacts import acreate_markdown_artifact

from atlvs.db import notifications, overview
from atlvs.db.engine import database
from atlvs.db.notifications import Notification
from blocks.base import resources
from flows.report import Report, mask_email

MOST_ROWS = 40
ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+|\+\d[\d ().-]{6,}\d|\b\d{9,15}\b")
Row = Mapping[str, Any]


@dataclass
class NotifyReport(Report):
    """A report with tables of deliveries."""

    tables: dict[str, str] = field(default_factory=dict[str, str])
    sending: UUID | None = None  # the notification that is being sent at this moment

    def table(self, title: str, rows: Iterable[Row]) -> None:
        """Add a table, or replace the one of that title."""
        if text := markdown_table(list(rows)):
            self.tables[title] = text

    def markdown(self) -> str:
        """The artifact's text."""
        tables = [f"## {title}\n\n{text}" for title, text in self.tables.items()]
        return "\n\n".join([super().markdown(), *tables])


@asynccontextmanager
async def told(title: str, key: str) -> AsyncGenerator[NotifyReport]:
    """A report that is published however the run ends; then this process's connections are closed."""
    report = NotifyReport(title, key)
    async with resources():
        try:
            yield report
        except BaseException as error:
            report.notes.append(f"Ended by {type(error).__name__}: {error}")
            if report.sending:
                report.notes.append(
                    f"Notification {report.sending} goes on in the background all the same. To stop "
                    f"it: atlvs deliveries cancel {report.sending}"
                )
            raise
        finally:
            await acreate_markdown_artifact(
                key=key, markdown=report.markdown(), description=report.title
            )


async def describe(report: NotifyReport, org_id: UUID, id: UUID) -> Notification:
    """How a notification stands: counts and costs by channel, and the first recipients, masked."""
    async with database().org(org_id) as tx:
        notification = await notifications.read(tx, id)
        counts = await notifications.counts(tx, id)
        people = await overview.sample(tx, id)
    report.facts |= {"notification": str(id), "state": notification.state}
    report.facts |= {name: sum(row[name] for row in counts) for name in ("number", "segments")}
    report.facts["deliveries"] = report.facts.pop("number")
    report.facts["estimated cost"] = cost(sum(row["cost_micros"] for row in counts))
    report.table("Deliveries", [_counted(row) for row in counts])
    report.table("Some of the recipients", [masked(row) for row in people])
    return notification


def _counted(row: Row) -> Row:
    return {
        "channel": row["channel"],
        "state": row["state"],
        "reason": masked_text(row["reason"]),
        "number": f"{row['number']:,}",
        "segments": row["segments"] or "",
        "cost": cost(row["cost_micros"]) if row["cost_micros"] else "",
    }


def masked(row: Row) -> Row:
    """A delivery with its address hidden."""
    shown = {"address": mask(row["channel"], row["address"]), "reason": masked_text(row["reason"])}
    return {**row, **shown}


def mask(channel: str, address: str | None) -> str:
    """An address by which its owner knows it and nobody else; Slack ids say nothing by themselves."""
    if not address:
        return ""
    if "@" in address:
        return mask_email(address)
    return address if channel == "slack" else f"***{address[-2:]}"


def masked_text(text: str | None) -> str:
    """Words without the addresses and numbers that a provider may have put into them."""
    return ADDRESS.sub("***", text or "")


def cost(micros: int) -> str:
    """An estimate in whole units of the currency."""
    return f"{int(micros) / 1e6:,.2f}"  # sums of bigint come as Decimal


def markdown_table(rows: list[Row]) -> str:
    """Rows as Markdown; what is in a cell cannot end it."""
    if not rows:
        return ""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    lines += [
        f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows[:MOST_ROWS]
    ]
    if len(rows) > MOST_ROWS:
        lines.append(f"\nand {len(rows) - MOST_ROWS:,} more rows.")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
