"""The `atlvs` command for tests: as a process of its own, or, quicker, in this one."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from atlvs.settings import settings
from deployments.commands.line import run

ROOT = Path(__file__).parents[1]
OURS = ("ATLVS_", "STRIPE_", "PREFECT_API", "DATABASE_URL", "PUBLIC_BASE_URL")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, which has to be one JSON object and nothing else."""
        assert self.code == 0, self
        return orjson.loads(self.out)

    def says(self, code: int, *words: str) -> bool:
        """Whether it failed politely: one line on stderr, with these words, and nothing on stdout."""
        assert self.code == code, self
        assert self.err.count("\n") == 1, self.err
        assert self.err.endswith("\n"), self.err
        assert "Traceback" not in self.err
        assert self.out == "", self.out
        for word in words:
            assert word in self.err, self.err
        return True


class InProcess:
    """The command in this process: everything but the interpreter is as it always is."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> Ended:
        settings.cache_clear()
        self._captured.readouterr()
        code = run(list(arguments))
        told = self._captured.readouterr()
        return Ended(code, told.out, told.err)


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The command as a process, on pipes; nothing of ours comes from this process's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return subprocess.Popen(
        [sys.executable, "-m", "deployments", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=kept | environment,
    )


def ended(process: subprocess.Popen[str], typed: str = "", seconds: float = 60) -> Ended:
    """Type something into it, and wait for its end."""
    try:
        out, err = process.communicate(typed, timeout=seconds)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)
