"""CPU time of processes that are not ours to instrument, and of PostgreSQL with all its backends."""

import resource
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psutil

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Cost:
    """CPU seconds by process, and the seconds that passed."""

    cpu: Mapping[str, float]
    seconds: float

    def __getitem__(self, name: str) -> float:
        return self.cpu[name]


def spent(pid: int) -> float:
    """CPU of a process, of its living descendants, and of those that ended and were waited for.

    A backend that ends moves from the living to its postmaster's children: the sum keeps it.
    """
    process = psutil.Process(pid)
    living = [process, *process.children(recursive=True)]
    return sum(sum(_times(one)) for one in living)


def _times(process: psutil.Process) -> tuple[float, ...]:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return ()
    return times.user, times.system, times.children_user, times.children_system


class Meter:
    """Reads the CPU of named processes before and after something is done."""

    def __init__(self, **pids: int) -> None:
        self.pids = pids
        self.began = monotonic()
        self._before = self._read()

    def read(self, **more: float) -> Cost:
        """What was spent since the beginning; `more` is what is known from elsewhere."""
        now = self._read()
        used = {name: now[name] - self._before[name] for name in now}
        return Cost(used | more, monotonic() - self.began)

    def _read(self) -> dict[str, float]:
        return {name: spent(pid) for name, pid in self.pids.items()}


def of_children(run: Callable[[], Any]) -> float:
    """CPU of the processes that `run` starts and waits for: exact, from exec to exit."""
    before = _waited_for()
    run()
    return _waited_for() - before


def _waited_for() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def output_of(command: list[str], environment: Mapping[str, str], given: str = "") -> str:
    """Run a program; its last line. Its errors are shown."""
    done = subprocess.run(
        command, env=dict(environment), input=given, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.splitlines()[-1]
