"""Measured numbers beside their bounds, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Result:
    """One number. A `bound` that is missed fails the run; an `aim` is only told."""

    name: str
    value: float
    bound: str  # "≤ 2.0"
    form: str = "{:.2f}"
    detail: str = ""
    counts: bool = True

    @property
    def met(self) -> bool:
        """Whether the number keeps within its bound."""
        sign, _, limit = self.bound.partition(" ")
        return self.value <= float(limit) if sign == "≤" else self.value >= float(limit)


def spread(values: Sequence[float], form: str = "{:.2f}") -> str:
    """The middle of several rounds, and all of them."""
    return f"{form.format(median(values))} ({', '.join(form.format(one) for one in values)})"


def show(console: Console, results: Sequence[Result]) -> None:
    """The table, and below it how each number came about."""
    table = Table(title="ATLVS beside the bare road")
    for column in ("what", "measured", "bound", ""):
        table.add_column(column)
    for one in results:
        verdict = "met" if one.met else ("MISSED" if one.counts else "missed")
        color = "green" if one.met else ("red" if one.counts else "yellow")
        table.add_row(one.name, one.form.format(one.value), one.bound, f"[{color}]{verdict}[/]")
    console.print(table)
    for one in results:
        if one.detail:
            console.print(f"[bold]{one.name}[/]: {one.detail}")
