"""The README names what there is, and only that; no file names the machine that made it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from atlvs.settings import Settings
from blocks import CONNECTORS
from deployments.commands.line import app
from deployments.deploy import entries, wanted

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# Of processes that are not ours, or of what only tests read.
FOREIGN = {"PREFECT_SERVER_API_AUTH_STRING", "PREFECT_SERVER_API_PORT", "ATLVS_SPECS"}
FOR_TESTS = {"ATLVS_KILL_AT"}
# Spelled so that this file does not hold them itself.
PLACES = [
    *("/wor" + "k/", "/tm" + "p/pi", "/root" + "/", "/home/" + "runner"),
    *("py" + "pi.org", "files.python" + "hosted", "index" + "-url", "arti" + "factory"),
    *("trusted" + "-host", "find" + "-links"),
]


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command, by its words."""
    inner = getattr(group, "commands", {})
    if not inner:
        yield " ".join(path)
    for name, command in inner.items():
        yield from commands(command, (*path, name))


def tracked() -> list[Path]:
    """Files under version control."""
    listed = subprocess.run(
        ["git", "ls-files"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def code_words() -> set[str]:
    """What stands in the README between backticks, and in its blocks of code."""
    blocks = re.findall(r"```.*?```", README, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
    return {*spans, *blocks}


def named(word: str) -> bool:
    """Whether a word stands in the README's code, whole."""
    whole = re.compile(rf"(?<![\w/-]){re.escape(word)}(?![\w-])")
    return any(whole.search(text) for text in code_words())


def environment_variables() -> set[str]:
    ours = {str(field.alias) for field in Settings.model_fields.values()} - FOR_TESTS
    return ours | {name for one in CONNECTORS.values() for name in one.environment.values()}


# What there is


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["entrypoint"])
def test_flow_and_deployment_are_named(entry: dict[str, Any]):
    assert named(wanted(entry).full_name)


@pytest.mark.parametrize("command", sorted(commands(typer.main.get_command(app))))
def test_command_is_named(command: str):
    assert named(f"atlvs {command}")


@pytest.mark.parametrize("variable", sorted(environment_variables()))
def test_variable_is_named(variable: str):
    assert named(variable)


@pytest.mark.parametrize("slug", sorted(CONNECTORS))
def test_block_and_its_fields_are_named(slug: str):
    kind = CONNECTORS[slug]
    assert named(str(kind.get_block_type_name()))
    assert not [name for name in kind.model_fields if not named(name)]


# What there is not


def test_every_variable_in_the_readme_exists():
    told = set(re.findall(r"\b(?:ATLVS|STRIPE|PREFECT|DATABASE|PUBLIC)_[A-Z_]+\b", README))
    assert told - environment_variables() - FOREIGN == set()


def test_every_command_in_the_readme_exists():
    there = set(commands(typer.main.get_command(app)))
    told = re.findall(
        r"(?m)(?:^|`| )atlvs ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", "\n".join(code_words())
    )
    for words in told:
        first, _, second = words.partition(" ")
        assert words in there or first in there, words
        assert first not in {one.split()[0] for one in there if " " in one} or words in there, (
            second
        )


def test_every_deployment_in_the_readme_exists():
    there = {wanted(entry).full_name for entry in entries()}
    providers = "|".join([*CONNECTORS, "webhooks"])
    told = set(re.findall(rf"`((?:{providers})-[a-z-]+/[a-z0-9-]+)`", README))
    assert told <= there


def test_every_path_in_the_readme_exists():
    for path in re.findall(r"`((?:atlvs|blocks|tasks|flows|deployments|tests)/[\w./-]*)`", README):
        assert (ROOT / path).exists(), path


# No traces


def test_no_file_names_a_machine_or_a_registry():
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        assert not [place for place in PLACES if place in text], path


def test_locks_hold_hashes_and_no_address():
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = (ROOT / name).read_text().splitlines()
        addressed = [line for line in lines if "://" in line and not line.lstrip().startswith("#")]
        assert addressed == [], name
        assert not [line for line in lines if line.startswith(("-", "--"))], name
        pins = [line for line in lines if re.match(r"[a-z0-9]", line)]
        assert pins
        assert all("==" in line for line in pins), name
        assert sum("--hash=sha256:" in line for line in lines) >= len(pins)
