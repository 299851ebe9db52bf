"""The rules of the house: which way imports run, and who may use what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks import CONNECTORS

ROOT = Path(__file__).parents[1]
LAYERS = ("atlvs", "blocks", "tasks", "flows", "deployments")
# What may be imported where, besides everywhere else not at all.
ONLY_IN = {
    "fastapi": ("deployments/",),
    "starlette": ("deployments/",),
    "uvicorn": ("deployments/",),
    "psycopg": ("atlvs/db/", "deployments/"),  # there for its errors only
    "psycopg_pool": ("atlvs/db/",),
    "sqlalchemy": ("atlvs/db/migrate.py",),
    "alembic": ("atlvs/db/", "atlvs/migrations/"),
    "prefect": ("blocks/", "tasks/", "flows/", "deployments/"),
    "aiohttp": ("blocks/wire.py", "blocks/targets.py", "deployments/"),
    "stripe": ("blocks/", "tasks/"),
    "slack_sdk": ("blocks/", "tasks/"),
    "sendgrid": ("blocks/", "tasks/"),
    "twilio": ("blocks/", "tasks/"),
}


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """(dotted module, level) of each import of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


def test_imports_run_one_way():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("package", ONLY_IN)
def test_package_is_used_where_it_belongs(package: str):
    users = {
        place(path)
        for path in files(*LAYERS)
        for module, level in imports(path)
        if level == 0 and module.split(".")[0] == package
    }
    assert {user for user in users if not user.startswith(ONLY_IN[package])} == set()


def test_imports_are_absolute():
    assert [place(path) for path in files(*LAYERS) for _, level in imports(path) if level] == []


def test_environment_is_read_in_settings_only():
    """The sandbox and the processes that we start are told theirs by whoever starts them."""
    readers = {
        place(path)
        for path in files("atlvs", "blocks", "tasks", "flows", "deployments/web")
        if {"environ", "getenv"}
        & {
            node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
        }
    }
    assert readers == {"atlvs/settings.py"}


def test_providers_do_not_know_each_other():
    for slug in CONNECTORS:
        for layer in ("blocks", "tasks", "flows"):
            own = [ROOT / layer / f"{slug}.py", *(ROOT / layer / slug).rglob("*.py")]
            others = {
                f"{other}.{name}"
                for other in ("blocks", "tasks", "flows")
                for name in CONNECTORS
                if name != slug
            }
            for path in filter(Path.is_file, own):
                known = {".".join(module.split(".")[:2]) for module, _ in imports(path)}
                assert not known & others, place(path)


def test_sql_stands_in_the_database_layer_only():
    """A statement starts a string: select … from, insert into, update … set, delete from."""
    starts = ("select ", "insert into ", "update ", "delete from ", "with ")
    needs = {"select ": " from ", "update ": " set ", "with ": " as ("}
    wrong = [
        f"{place(path)}:{node.lineno}"
        for path in files("blocks", "tasks", "flows", "deployments/web")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for text in [" ".join(node.value.lower().split()) + " "]
        for start in starts
        if text.startswith(start) and needs.get(start, "") in text
    ]
    assert wrong == []
