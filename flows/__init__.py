"""What happens, as short paragraphs. Docstrings are shown to analysts in the Prefect UI."""

import importlib
from typing import Any

from prefect import Flow


def sync_flow(provider: str, *, full: bool) -> Flow[..., Any]:
    """A provider's full or incremental sync, by name."""
    module = importlib.import_module(f"flows.{provider}")
    return module.full_sync if full else module.incremental_sync
