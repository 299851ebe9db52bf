"""An organization that changes by every way there is, its subscriptions, and what they were told.

Imported by tests, or started as a program: it then posts events until its input is closed and nothing is
left, and may be killed at any moment.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psycopg

from atlvs.db.engine import database
from atlvs.errors import IntegrationError
from blocks.base import resources
from tasks.triggers.draining import Told, drain_triggers
from tasks.triggers.subscribing import subscribe

EVENTS = ("contact.created", "contact.updated", "lead.created", "lead.status_changed")
STATUSES = ("contacted", "qualified", "won", "lost")
CHUNK = 500


class Posting:
    """A process that posts."""

    started: ClassVar[list[Posting]] = []

    def __init__(self, **environment: str) -> None:
        self.started.append(self)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL

    def ended(self, seconds: float = 60) -> int:
        """How it ended by itself."""
        code = self.process.wait(seconds)
        self.process.communicate()
        return code

    def finish(self, seconds: float = 60) -> Counter[str]:
        """Have it end when nothing is left; attempts by outcome."""
        told, _ = self.process.communicate("", timeout=seconds)
        assert self.process.returncode == 0
        return Counter(json.loads(told))


class World:
    """Contacts and leads of one organization. Each kind of change has two subscriptions."""

    def __init__(self, rows: Any, org: UUID, zaps: Any) -> None:
        self.rows, self.org, self.zaps = rows, org, zaps
        self.targets: list[tuple[str, str, UUID]] = []
        self.made: Counter[str] = Counter()

    async def listen(self, events: tuple[str, ...] = EVENTS, targets: int = 2) -> None:
        """Subscribe to each event, with Zaps and plain receivers by turns."""
        for event in events:
            for number in range(targets):
                target = self.zaps.receiver() if number else self.zaps.target()
                hook, _ = await subscribe(self.org, None, event, target)
                self.zaps.verify(target, hook.secret, strict=True)
                self.targets.append((event, target, hook.id))

    async def change(self, number: int, pause: float = 0.0) -> None:
        """About so many row changes: by the product, by SQL, and by COPY, at the same time."""
        kinds = (self._by_the_product, self._by_sql, self._by_copy)
        share = number // len(kinds)
        await asyncio.gather(*(self._in_parts(kind, share, pause) for kind in kinds))

    async def _in_parts(self, kind: Any, number: int, pause: float) -> None:
        while number > 0:
            number -= await kind(min(CHUNK, number))
            await asyncio.sleep(pause)

    async def _by_the_product(self, number: int) -> int:
        """Contacts, each changed twice by and by, in transactions of a few."""
        for first in range(0, number // 3, 10):
            async with database().org(self.org, source="stripe") as tx:
                cursor = await tx.execute(
                    "insert into contacts (org_id, email) select %s, gen_random_uuid() || '@example.net'"
                    " from generate_series(1, %s) returning id",
                    [self.org, min(10, number // 3 - first)],
                )
                ids = [row["id"] for row in await cursor.fetchall()]
            for name in ("a", "b"):
                async with database().org(self.org) as tx:
                    await tx.execute(
                        "update contacts set last_name = %s where id = any(%s)", [name, ids]
                    )
            self.made += Counter({"contact.created": len(ids), "contact.updated": 2 * len(ids)})
        return number

    async def _by_sql(self, number: int) -> int:
        """Leads, whose status changes twice, in one statement each."""
        each = max(1, number // 3)
        ids = await asyncio.to_thread(
            self.rows,
            "insert into leads (org_id, name) select %s, 'Lead ' || i from generate_series(1, %s) as i"
            " returning id",
            *(self.org, each),
        )
        for status in STATUSES[:2]:
            await asyncio.to_thread(
                self.rows,
                "update leads set status = %s where id = any(%s)",
                *(status, [row[0] for row in ids]),
            )
        self.made += Counter({"lead.created": each, "lead.status_changed": 2 * each})
        return number

    async def _by_copy(self, number: int) -> int:
        """Contacts by COPY, as the owner of the table; then all of them changed by one statement."""
        each = max(1, number // 2)
        await asyncio.to_thread(self._copied, each)
        self.made += Counter({"contact.created": each, "contact.updated": each})
        return number

    def _copied(self, number: int) -> None:
        name = uuid4().hex
        with psycopg.connect(self.rows.url) as connection:
            into = "copy contacts (org_id, first_name, email) from stdin"
            with connection.cursor().copy(into) as copy:
                for place in range(number):
                    copy.write_row((self.org, name, f"{name}.{place}@example.net"))
            connection.execute("update contacts set last_name = 'c' where first_name = %s", [name])


async def posted() -> Counter[str]:
    """Post until the input is closed and nothing is left; attempts by outcome."""
    over, total = asyncio.Event(), Told()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    async with resources():
        while True:
            last = over.is_set()
            try:
                told = await drain_triggers(2)
            except IntegrationError:  # as the drainer does
                await asyncio.sleep(0.1)
                continue
            total.add(told)
            if last and not told.posts:
                return total.posts
            if not told.events:
                await asyncio.sleep(0.02)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    print("ready", flush=True)
    print(json.dumps(asyncio.run(posted())))
