"""Writing down that messages are being sent and what became of them, many in one transaction.

A message is marked in the moment before its call, so that after a kill no more are in doubt than calls
were on their way; whoever begins while a transaction is under way shares the next one.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import UUID

from atlvs.checkpoints import checkpoint
from atlvs.db.marks import Marks
from atlvs.errors import Unavailable
from atlvs.records import Delivery, Outcome

# Seconds in which more of the same moment join: while calls are answered so soon that they are
# bounded by this process's CPU, a shared transaction is worth more than the wait.
SOON, GATHER_SOON, GATHER = 0.05, 0.05, 0.002
STUBBORN = 60  # tries to write what became of messages, a second apart


@dataclass
class Journal:
    """One sender's writing."""

    marks: Marks
    _begins: list[tuple[dict[UUID, UUID], asyncio.Future[dict[UUID, str]]]] = field(
        default_factory=list[Any]
    )
    _outcomes: list[tuple[Sequence[Outcome], asyncio.Future[None]]] = field(
        default_factory=list[Any]
    )
    _writing: asyncio.Task[None] | None = None
    _called_at: dict[UUID, float] = field(default_factory=dict[UUID, float])  # calls on their way
    _back: asyncio.Event = field(default_factory=asyncio.Event)  # all of them are back
    _call_seconds: float = 0.0  # how long they take, lately

    async def begin(self, batch: Sequence[Delivery], call: UUID) -> list[Delivery]:
        """Mark them as being sent; those that still may be."""
        told: asyncio.Future[dict[UUID, str]] = asyncio.get_running_loop().create_future()
        self._begins.append((dict.fromkeys((one.id for one in batch), call), told))
        self._write()
        states = await told
        return [one for one in batch if states.get(one.id) == "sending"]

    async def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Write what became of them. Tries for a minute while the database is away."""
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outcomes.append((outcomes, told))
        for outcome in outcomes:
            if at := self._called_at.pop(outcome.delivery, None):
                self._call_seconds += (monotonic() - at - self._call_seconds) / 8
        if not self._called_at:
            self._back.set()
        self._write()
        await told

    async def close(self) -> None:
        """Until all is written."""
        while self._writing and not self._writing.done():
            await asyncio.wait({self._writing})
        await self.marks.close()

    def _write(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._written())

    async def _written(self) -> None:
        while self._begins or self._outcomes:
            await self._gathered()
            begins, self._begins = self._begins, []
            outcomes, self._outcomes = self._outcomes, []
            await self._together(begins, outcomes)

    async def _gathered(self) -> None:
        """Until the moment is over, or no call is on its way whose end could join."""
        if self._called_at:
            self._back.clear()
            moment = GATHER_SOON if self._call_seconds < SOON else GATHER
            over = asyncio.get_running_loop().call_later(moment, self._back.set)
            await self._back.wait()
            over.cancel()

    async def _together(self, begins: list[Any], outcomes: list[Any]) -> None:
        calls = {id: call for ids, _ in begins for id, call in ids.items()}
        ended = [one for some, _ in outcomes for one in some]
        try:
            states = await self._transaction(calls, ended)
        except Unavailable as error:
            _fail(begins, error)  # not begun: they are not sent
            await self._insist(ended, outcomes)
        except Exception as error:  # noqa: BLE001  # whoever waits is told
            _fail([*begins, *outcomes], error)
        except BaseException:  # Prefect ends the process by an exception wherever it is
            _fail([*begins, *outcomes], Unavailable("database", "the sender is being ended."))
            raise
        else:
            self._note_calls(calls, states)
            _tell(begins, states)
            _tell(outcomes, None)

    def _note_calls(self, calls: dict[UUID, UUID], states: dict[UUID, str]) -> None:
        now = monotonic()
        firsts = {call: id for id, call in calls.items() if states.get(id) == "sending"}
        self._called_at.update(dict.fromkeys(firsts.values(), now))

    async def _insist(self, ended: list[Outcome], outcomes: list[Any]) -> None:
        """What happened has happened: it is written when the database is back."""
        for _ in range(STUBBORN if ended else 0):
            await asyncio.sleep(1)
            with suppress(Unavailable):
                await self._transaction({}, ended)
                _tell(outcomes, None)
                return
        _fail(outcomes, Unavailable("database", "what became of messages could not be written."))

    async def _transaction(self, calls: dict[UUID, UUID], ended: list[Outcome]) -> dict[UUID, str]:
        states = await self.marks.write(calls, ended)
        checkpoint("notify.written")
        return states


def _tell(waiting: list[Any], result: Any) -> None:
    for _, told in waiting:
        if not told.done():  # its sender may have been cancelled
            told.set_result(result)


def _fail(waiting: list[Any], error: BaseException) -> None:
    for _, told in waiting:
        if not told.done():
            told.set_exception(error)
