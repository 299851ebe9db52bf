"""What a killed `up` leaves behind, and how it is ended.

Every process that a product starts carries the product's mark in its environment, and hands it on
to whatever it starts itself: a flow run whose worker is gone is found by it. `<data_dir>/up.json`
keeps the mark, and the processes by number, start and command line. The file is locked for as long
as the product lives: one product per data folder.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from atlvs.db import embedded
from atlvs.errors import Misconfigured

MARK = "ATLVS_PRODUCT"


class Record:
    """The file that tells a later life what this one started. Holding it open holds the lock."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self.told: dict[str, Any] = {}
        self._file: int | None = None

    @property
    def held(self) -> bool:
        """Whether the folder is ours."""
        return self._file is not None

    def take(self, wait: float = 20) -> None:
        """Become this folder's one product; what the last one told is in `told`."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path(self.data_dir), os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + wait
        while not _locked(file):
            told = read(self.data_dir)
            alive = not told.get("ending") and is_same(told.get("up"))
            if alive or time.monotonic() > until:
                os.close(file)
                raise Misconfigured(
                    f"`atlvs up` {'already runs' if alive else 'is still ending'} on the data "
                    f"folder {self.data_dir}: end it first, or set ATLVS_DATA_DIR to another one."
                )
            time.sleep(0.1)
        self._file, self.told = file, read(self.data_dir)

    def begin(self, mark: str) -> None:
        """Forget the last life."""
        self.told = {}
        self.tell(mark=mark, up=described(os.getpid()), processes={})

    def tell(self, **told: Any) -> None:
        """Write it down, at once: the next moment may be our last."""
        if self._file is None:
            raise RuntimeError("The record is not ours to write.")
        self.told |= told
        text = json.dumps(self.told, indent=1).encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def release(self) -> None:
        """Let the next product have the folder."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def path(data_dir: Path) -> Path:
    """Where the record of a data folder lies."""
    return data_dir.expanduser().resolve() / "up.json"


def read(data_dir: Path) -> dict[str, Any]:
    """What the folder's product told last; empty if there was none."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path(data_dir).read_text())
    return {}


def running(data_dir: Path) -> dict[str, Any] | None:
    """What the folder's product told, if it is alive: its `prefect_api_url`, its `web_url`."""
    told = read(data_dir)
    return told if is_same(told.get("up")) else None


def described(pid: int) -> dict[str, Any]:
    """A process, so that it can be known again: numbers are reused. One that begins at this moment has no
    command line yet: it is known by its number and start."""
    process = psutil.Process(pid)
    return {"pid": pid, "started": _started(process), "command": process.cmdline()}


def is_same(told: dict[str, Any] | None) -> bool:
    """Whether the process that was described still lives."""
    return _same(told) is not None


def end(told: dict[str, Any], *, grace: float = 5) -> None:
    """End everything that a product started: asked first, then killed. Not PostgreSQL."""
    processes = processes_of(told)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(processes, timeout=grace)
    for process in processes_of(told):
        with contextlib.suppress(psutil.Error):
            process.kill()


def end_all(data_dir: Path, told: dict[str, Any]) -> None:
    """The same, and then the PostgreSQL that it had started."""
    if told:
        end(told)
    if told.get("postgres"):
        embedded.stop(data_dir)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def processes_of(told: dict[str, Any]) -> list[psutil.Process]:
    """The living processes that a product started, and that these started."""
    recorded = [found for one in told.get("processes", {}).values() if (found := _same(one))]
    return list(
        {process.pid: process for process in (*recorded, *_marked(told.get("mark")))}.values()
    )


def _same(told: dict[str, Any] | None) -> psutil.Process | None:
    if not told:
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(told["pid"])
        same = abs(_started(process) - told["started"]) < 0.1
        if same and told["command"] in ([], process.cmdline()):
            return process
    return None


def _started(process: psutil.Process) -> float:
    """In seconds. Linux counts from its boot: a clock that is set must not make strangers of us."""
    return process.create_time() - (psutil.boot_time() if psutil.LINUX else 0)


def _marked(mark: str | None) -> Iterable[psutil.Process]:
    if not mark:
        return
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                yield process
