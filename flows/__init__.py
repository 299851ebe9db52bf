"""What happens, as short paragraphs. Docstrings are shown to analysts in the Prefect UI."""

import importlib
import importlib.util
from typing import Any

from prefect import Flow

from atlvs.errors import Misconfigured


def sync_flow(provider: str, *, full: bool) -> Flow[..., Any]:
    """A provider's full or incremental sync, by name."""
    if importlib.util.find_spec(f"flows.{provider}") is None:
        raise Misconfigured(f"{provider} keeps nothing that could be synced.")
    module = importlib.import_module(f"flows.{provider}")
    return module.full_sync if full else module.incremental_sync
