"""`make bench`: ratios against the bare road. Exit 1 when a bound is missed.

python -m tests.benchmarks [--quick] [--only reading|receiving|arriving|sending|triggering …]
"""

import argparse
import asyncio
import os
import sys

from rich.console import Console

from tests.benchmarks.arriving import Arriving
from tests.benchmarks.ground import Ground, ground
from tests.benchmarks.reading import Reading
from tests.benchmarks.receiving import Receiving
from tests.benchmarks.sending import Sending
from tests.benchmarks.triggering import Triggering
from tests.benchmarks.verdict import Result, show

PARTS = ("reading", "receiving", "arriving", "sending", "triggering")
console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Measure, and show the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: for trying")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, help="how often ours and bare alternate")
    asked = parser.parse_args()
    if sys.platform != "linux":
        sys.stderr.write("The CPU of ended processes can be read on Linux only.\n")
        return 2
    results = asyncio.run(measure(asked.quick, asked.only, asked.rounds))
    show(console, results)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    console.print(f"{os.cpu_count()} processors, load {load}")
    return 0 if all(one.met or not one.counts for one in results) else 1


async def measure(quick: bool, only: list[str], rounds: int | None) -> list[Result]:
    """The parts that are wanted, one after the other on the same ground."""
    say("starting PostgreSQL, the sandbox and the Prefect server")
    results: list[Result] = []
    async with ground() as here:
        for part in only:
            results += await _part(part, here, quick, rounds or (1 if quick else 3)).measure()
    return results


Part = Reading | Receiving | Arriving | Sending | Triggering


def _part(part: str, here: Ground, quick: bool, rounds: int) -> Part:
    match part:
        case "reading":
            large, small = (20_000, 5_000) if quick else (100_000, 10_000)
            return Reading(here, say, large=large, small=small, rounds=rounds)
        case "receiving":
            return Receiving(here, say, events=2_000 if quick else 10_000, rounds=rounds)
        case "sending":
            messages, large = (1_000, 5_000) if quick else (5_000, 100_000)
            return Sending(here, say, messages=messages, large=large, small=1_000, rounds=rounds)
        case "triggering":
            contacts, posts = (20_000, 1_000) if quick else (100_000, 5_000)
            length = 5 if quick else 20
            return Triggering(
                here, say, contacts=contacts, seconds=length, posts=posts, rounds=rounds
            )
        case _:
            return Arriving(here, say, seconds=8 if quick else 30)


def say(text: str) -> None:
    """What is being done."""
    console.print(f"[dim]● {text}[/]")


if __name__ == "__main__":
    sys.exit(main())
