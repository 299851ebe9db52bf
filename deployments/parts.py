"""The parts of a product: their commands, and what surrounds them."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from atlvs.settings import variable
from deployments.leftovers import MARK

ROOT = Path(__file__).resolve().parents[1]
PARTS = frozenset({"prefect", "web", "worker", "drainer"})
COMMANDS: Mapping[str, Sequence[str]] = {
    "prefect": [sys.executable, "-m", "prefect", "--no-prompt", "server", "start"],
    "bootstrap": [sys.executable, "-m", "deployments.bootstrap"],
    "web": [sys.executable, "-m", "deployments.web"],
    "worker": [sys.executable, "-m", "prefect", "--no-prompt", "worker", "start"]
    + ["--pool", "atlvs", "--type", "process", "--name", "atlvs up", "--limit", "10"],
    "drainer": [sys.executable, "-m", "deployments.drainer"],
}


def surroundings(scratch: Path, mark: str) -> dict[str, str]:
    """The environment that a part starts from, before its configuration."""
    paths = [str(ROOT), *filter(None, [variable("PYTHONPATH")])]
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),  # flow runs start in folders of their own
        "PYTHONUNBUFFERED": "1",
        "PATH": os.pathsep.join(programs),
        # Prefect's workers share /tmp/runner_storage, which belongs to whoever came first.
        "TMPDIR": str(scratch),
        MARK: mark,
    }
