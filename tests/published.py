"""What the services have published: their descriptions, and known answers.

`ATLVS_SPECS` and `ATLVS_VECTORS` name the folders; without them `../shared/specs` and
`../shared/vectors` beside the repository are taken. Where a file is absent tests are skipped, but not
in CI.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def description_path(name: str) -> Path:
    """Of a service's OpenAPI description."""
    return Path(os.environ.get("ATLVS_SPECS") or SHARED / "specs") / f"{name}.openapi.json"


@cache
def description(name: str) -> dict[str, Any]:
    return _read(description_path(name), "ATLVS_SPECS")


def vectors(service: str) -> list[dict[str, Any]]:
    """Published signatures of a service, right and wrong ones."""
    return [one for one in vectors_in("vectors.json")["vectors"] if one["service"] == service]


@cache
def vectors_in(file: str) -> Any:
    """The contents of a file of known answers."""
    folder = Path(os.environ.get("ATLVS_VECTORS") or SHARED / "vectors")
    return _read(folder / file, "ATLVS_VECTORS")


def _read(path: Path, variable: str) -> Any:
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing; {variable} names its folder")
        pytest.skip(f"{path} is missing; {variable} names its folder")
    return orjson.loads(path.read_bytes())
