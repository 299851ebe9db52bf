"""`atlvs up` as a process of its own, and flows for it that only tests have."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from atlvs.settings import Settings
from deployments import leftovers

FLOWS = '''
import asyncio
from prefect import flow, get_run_logger

@flow(name="slowly-tick")
async def tick(word: str = "tick") -> str:
    """Says a word."""
    get_run_logger().info("said %s", word)
    return word

@flow(name="slowly-wait")
async def wait(seconds: float = 120) -> None:
    await asyncio.sleep(seconds)
'''

DEPLOYMENTS = """
deployments:
  - name: on-demand
    entrypoint: slowly.tick
    work_pool: {name: atlvs, job_variables: {command: python -m prefect.engine}}
  - name: on-demand
    entrypoint: slowly.wait
    work_pool: {name: atlvs, job_variables: {command: python -m prefect.engine}}
    concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW, grace_period_seconds: 60}
"""


class Up:
    """A running product. Its flows may be `slowly.tick` and `slowly.wait`, besides our own."""

    def __init__(self, home: Path, parts: set[str], **environment: str) -> None:
        self.home = home
        self.settings = Settings.model_validate({"ATLVS_DATA_DIR": home / "data"})
        self.deployments = home / "prefect.yaml"
        self.lines: list[str] = []
        (home / "flows").mkdir(exist_ok=True)
        (home / "flows" / "slowly.py").write_text(FLOWS)
        self.deployments.write_text(DEPLOYMENTS)
        self._start(parts, environment)

    def _start(self, parts: set[str], environment: dict[str, str]) -> None:
        root = Path(__file__).parents[1]
        given = {
            "ATLVS_DATA_DIR": str(self.home / "data"),
            "ATLVS_LISTEN_PORT": "0",
            "PREFECT_SERVER_API_PORT": "0",
            "PYTHONPATH": os.pathsep.join([str(root), str(self.home / "flows")]),
        }
        without = {"DATABASE_URL", "PREFECT_API_URL", "PUBLIC_BASE_URL"}
        kept = {name: value for name, value in os.environ.items() if name not in without}
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"from deployments.supervise import run_up; run_up({parts!r})"],
            env=kept | given | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.home,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """Of Prefect's API."""
        return self.told["prefect_api_url"]

    def kill(self) -> None:
        """End it and all that it started, whatever state it is in."""
        self.process.kill()
        self.process.wait(5)
        leftovers.end_all(self.settings.data_dir, self.told)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def ready(self) -> "Up":
        """Wait until all of it is up."""
        until(lambda: any("ready; Ctrl-C" in line for line in self.lines), 90, self)
        return self

    @property
    def told(self) -> dict[str, Any]:
        """What it has written down for a later life."""
        return leftovers.read(self.settings.data_dir)

    def pid(self, part: str) -> int:
        return self.told["processes"][part]["pid"]

    def end(self, number: int = signal.SIGINT) -> int:
        """Signal it, and wait for its end; its status."""
        self.process.send_signal(number)
        try:
            return self.process.wait(40)
        finally:
            self.process.kill()
            self._reader.join(5)


def until(true: Callable[[], Any], seconds: float, up: Up | None = None) -> Any:
    """Wait until something is so; its value."""
    end = time.monotonic() + seconds
    while not (value := true()):
        if up and up.process.poll() is not None:
            raise AssertionError("ended too early:\n" + "\n".join(up.lines))
        if time.monotonic() > end:
            raise AssertionError("waited in vain" + "\n".join(["", *(up.lines if up else [])]))
        time.sleep(0.1)
    return value
