"""Flows without a Prefect server: their own bodies, their tasks called as functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

from prefect import Flow, Task

from flows import report

_inside = 0
_patches = ExitStack()


@contextmanager
def without_prefect(*modules: ModuleType) -> Iterator[None]:
    """Tasks of these modules are plain functions and reports go nowhere, for as long as it lasts.

    Runs may overlap in one event loop: Prefect comes back when the last of them has ended.
    """
    global _inside
    _inside += 1
    try:
        for module in modules:
            for name, one in list(vars(module).items()):
                if isinstance(one, Task):
                    _patches.enter_context(patch.object(module, name, one.fn))
        if _inside == 1:
            _patches.enter_context(patch.object(report, "acreate_markdown_artifact", _nowhere))
        yield
    finally:
        _inside -= 1
        if not _inside:
            _patches.close()


async def body(flow: Flow[..., Any], modules: tuple[ModuleType, ...], **parameters: Any) -> Any:
    """One run of a flow's body; its summary."""
    with without_prefect(*modules):
        return await flow.fn(**parameters)


async def _nowhere(**_artifact: Any) -> None:
    """Where a Prefect server would keep the report."""
