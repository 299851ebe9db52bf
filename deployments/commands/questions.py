"""Asking a person for a connection's fields, or reading the answers from a pipe."""

import sys
from typing import Any

import typer
from pydantic.fields import FieldInfo

from atlvs.errors import Misconfigured
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector
from deployments.commands.output import warn


def known(provider: str) -> type[Connector]:
    """The connector of a provider."""
    if provider not in CONNECTORS:
        raise Misconfigured(f"There is no {provider!r}; there are: {', '.join(CONNECTORS)}.")
    return CONNECTORS[provider]


def asked_fields(kind: type[Connector], name: str, stored: dict[str, Any]) -> dict[str, str]:
    """The fields that were answered. Nothing answered leaves what is stored."""
    given = kind.from_environment() if name == DEFAULT else {}
    for field in given:
        warn(f"{field}: taken from {kind.environment[field]}")
    asked = [field for field in kind.environment if field not in given]
    answers = {field: _asked(kind.model_fields[field], field, field in stored) for field in asked}
    return {field: value for field, value in answers.items() if value}


def _asked(about: FieldInfo, field: str, stored: bool) -> str:
    """One answer; a pipe has one a line, in the order of the questions."""
    secret = "SecretStr" in str(about.annotation)
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    empty = "leave empty to keep" if stored else "may be empty"
    if about.is_required() and not stored:
        empty = "required"
    return typer.prompt(
        f"{field} ({about.description} {empty})",
        default="",
        hide_input=secret,
        show_default=False,
        err=True,
    ).strip()
