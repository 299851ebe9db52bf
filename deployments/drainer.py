"""The warm drainer: handles webhooks, tells people and Zaps, within milliseconds of the change.

PostgreSQL notifies it; it drains at once and lets a flow run show what it does (`webhooks-drain`,
`notify-drain`, `triggers-drain`). The work never waits for Prefect: while the server is away or hangs,
it goes on unrecorded, and what it did is told by the next run that can be recorded.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import aiohttp
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES
from prefect.settings.context import temporary_settings

from atlvs.errors import IntegrationError, Misconfigured
from atlvs.settings import settings
from blocks.base import resources
from blocks.wire import session
from flows import notify, triggers, webhooks
from flows.webhooks import drain_webhooks
from tasks.inbox import Drained, drain, wakeups
from tasks.notify.draining import Told, drain_notifications
from tasks.triggers import draining
from tasks.triggers.draining import drain_triggers

log = logging.getLogger("atlvs.drainer")
SWEEP = 15.0  # seconds: looks even when nobody told
TOGETHER = 0.05  # waits so long for more of the same burst
WINDOW = 10.0  # one flow run shows at most so much work
BREAK = 30.0  # after a failed recording, this long without
RECORDING = 60.0  # a recording that hangs longer is given up


@dataclass(frozen=True)
class Job:
    """One kind of work: what tells of it, how it is done, and the flow that shows it."""

    name: str
    channels: tuple[str, ...]
    drain: Callable[[float, asyncio.Event], Awaitable[Any]]
    flow: Callable[[], Awaitable[Any]]
    work: ContextVar[Any]  # where the flow finds the work under way
    nothing: Callable[[], Any]  # an empty result, to which others are added


JOBS = (
    Job("webhooks", ("integration_inbox",), drain, drain_webhooks, webhooks.work, Drained),
    Job(
        "notifications",
        ("integration_outbox", "integration_notifications"),
        drain_notifications,
        notify.drain_told,
        notify.work,
        Told,
    ),
    Job(
        "triggers",
        ("integration_outbox", "integration_hooks"),
        partial(drain_triggers, linger=True),
        triggers.drain_hooks,
        triggers.work,
        draining.Told,
    ),
)


class Drainer:
    """Drains when told, and records it when it can."""

    def __init__(self, job: Job = JOBS[0]) -> None:
        self.job = job
        self._recording: asyncio.Task[None] | None = None
        self._closed_until = 0.0
        self._untold: list[Any] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; a window under way is finished first."""
        async with resources(), wakeups(*self.job.channels) as told:
            stopping = asyncio.create_task(stop.wait())
            while not stop.is_set():
                telling = asyncio.create_task(told.wait())
                await asyncio.wait(
                    {telling, stopping}, timeout=SWEEP, return_when=asyncio.FIRST_COMPLETED
                )
                telling.cancel()
                await asyncio.sleep(TOGETHER)
                told.clear()
                await self._window()
            await draining.settle(5)  # posts to targets that hang
            if self._recording:
                await asyncio.wait({self._recording}, timeout=5)

    async def _window(self) -> None:
        begun = asyncio.Event()
        under_way = asyncio.ensure_future(self.job.drain(WINDOW, begun))
        beginning = asyncio.create_task(begun.wait())
        await asyncio.wait({under_way, beginning}, return_when=asyncio.FIRST_COMPLETED)
        beginning.cancel()
        recorded = begun.is_set() and await self._can_record()
        if recorded:
            self._recording = asyncio.create_task(self._record(under_way))
        try:
            drained = await under_way
        except (IntegrationError, Misconfigured) as error:
            log.warning("%s not drained: %s", self.job.name, error)
            await asyncio.sleep(1)
            return
        if not recorded and drained.events:
            self._untold.append(drained)

    async def _can_record(self) -> bool:
        if self._recording and not self._recording.done():
            return False
        if not settings().prefect_api_url or monotonic() < self._closed_until:
            return False
        if await _answers():
            return True
        self._closed_until = monotonic() + BREAK
        return False

    async def _record(self, under_way: asyncio.Future[Any]) -> None:
        untold, self._untold = self._untold, []
        all_of_it = asyncio.create_task(self._together(under_way, untold))
        token = self.job.work.set(all_of_it)
        try:
            async with asyncio.timeout(WINDOW + RECORDING):
                await self.job.flow()
        except Exception as error:  # noqa: BLE001  # recording must not stop the work
            log.warning(
                "A drain of %s was not recorded in Prefect: %s", self.job.name, type(error).__name__
            )
            self._untold = untold + self._untold
            self._closed_until = monotonic() + BREAK
        finally:
            self.job.work.reset(token)

    async def _together(self, under_way: asyncio.Future[Any], untold: list[Any]) -> Any:
        total = self.job.nothing()
        for drained in [*untold, await asyncio.shield(under_way)]:
            total.add(drained)
        return total


async def _answers() -> bool:
    """Whether the Prefect server is well; a hanging one must not hold anything up."""
    try:
        async with session().get(
            f"{settings().prefect_api_url}/health", timeout=aiohttp.ClientTimeout(total=1)
        ) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def main() -> None:
    """Drain until SIGTERM or Ctrl-C.

    The work runs in a thread of its own: in the main thread, Prefect would take SIGTERM over while
    a run is recorded, and crash it in the middle.
    """
    stop, ended = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=_work, args=(stop, ended), name="drainer")
    thread.start()
    while not (stop.wait(0.5) or ended.is_set()):
        pass
    thread.join()


def _work(stop: threading.Event, ended: threading.Event) -> None:
    async def until_stopped() -> None:
        stopping = asyncio.Event()
        working = [asyncio.create_task(Drainer(job).run(stopping)) for job in JOBS]
        await asyncio.wait(
            {asyncio.create_task(_told(stop)), *working}, return_when=asyncio.FIRST_COMPLETED
        )
        stopping.set()
        await asyncio.gather(*working)

    try:
        with temporary_settings({PREFECT_API_REQUEST_TIMEOUT: 5, PREFECT_CLIENT_MAX_RETRIES: 1}):
            asyncio.run(until_stopped())
    finally:
        ended.set()


async def _told(stop: threading.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    main()
