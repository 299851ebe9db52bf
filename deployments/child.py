"""One supervised process: started, listened to, started again when it dies, ended."""

import asyncio
import contextlib
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import psutil

Say = Callable[[str, str], None]  # name of the process, line
LONGEST_PAUSE = 30
STEADY = 60  # a process that lived this long has earned a quick restart
# A run shorter than its first heartbeat's journey is looked at once it has long ended.
NOISE = ("Failed to set state: Run is already in terminal state",)


def say(name: str, line: str) -> None:
    """One line of one process, on standard output."""
    if any(noise in line for noise in NOISE):
        return
    with contextlib.suppress(OSError):  # whoever read this may be gone
        sys.stdout.write(f"{name:<9} | {line}\n")
        sys.stdout.flush()


@dataclass
class Child:
    """A process of its own session. Its configuration comes by environment, never by arguments."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    folder: str
    say: Say
    started: Callable[[str, int], None]
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    _process: asyncio.subprocess.Process | None = None
    _task: asyncio.Task[None] | None = None
    _readers: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def pid(self) -> int | None:
        """Of the process now running."""
        return self._process.pid if self.alive() and self._process else None

    def alive(self) -> bool:
        """Whether the process runs at this moment."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, and keep it running until `end`."""
        await self._spawn()
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def run_once(self) -> int:
        """Start it, and wait for it; its exit status."""
        await self._spawn()
        return await self._listen()

    async def end(self, grace: float = 8) -> None:
        """Ask it to end; whatever is left of it and its children after `grace` is killed."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.pid:
            family = await asyncio.to_thread(_family, self.pid)
            # A worker that is told first kills its flow runs. Told before it, they get to say that
            # they crashed while the Prefect server still listens.
            children = [process for process in family if process.ppid() == self.pid]
            _signal(children)
            await asyncio.to_thread(psutil.wait_procs, children, grace / 2)
            _signal(family[:1])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exit(), grace / 2)
            _signal(family, signal.SIGKILL)
            await self._exit()
        for reader in self._readers:
            reader.cancel()

    async def _keep(self) -> None:
        pause = 0.5
        while True:
            born = monotonic()
            status = await self._listen()
            pause = 0.5 if monotonic() - born > STEADY else min(pause * 2, LONGEST_PAUSE)
            self.say(self.name, f"ended with status {status}; starts again in {pause:g} s")
            await asyncio.sleep(pause)
            await self._spawn()

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environment,
            cwd=self.folder,
            limit=1_000_000,
            start_new_session=True,  # Ctrl-C in the terminal is ours to pass on
        )
        self.started(self.name, self._process.pid)

    async def _listen(self) -> int:
        process = self._process
        if not process or not process.stdout:
            raise RuntimeError(f"{self.name} was not started.")
        reader = asyncio.create_task(self._pass_on(process.stdout))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        status = await self._exit()
        # Of the last lines. A flow run that outlives its worker goes on being read.
        await asyncio.wait([reader], timeout=1)
        return status

    async def _exit(self) -> int:
        """The process's status. `Process.wait` would wait for grandchildren to close the pipe."""
        while self._process and self._process.returncode is None:
            await asyncio.sleep(0.1)
        return (self._process and self._process.returncode) or 0

    async def _pass_on(self, output: asyncio.StreamReader) -> None:
        while line := await _line(output):
            text = line.decode(errors="replace").rstrip()
            if text:
                self.tail.append(text)
                self.say(self.name, text)


async def _line(output: asyncio.StreamReader) -> bytes:
    try:
        return await output.readline()
    except ValueError:  # longer than the limit: its beginning is dropped
        return b"...\n"


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _signal(processes: Sequence[psutil.Process], number: int = signal.SIGTERM) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)  # checks that the number is still the same process's
