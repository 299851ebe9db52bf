"""The methods of the service interfaces, with the names and parameters that their tasks declare."""

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import orjson
from prefect import Task
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.alias_generators import to_camel

from blocks import CONNECTORS
from deployments.web.failures import Failure

OURS = ("connection", "request")  # parameters of a task that no caller gives
EMPTY = inspect.Parameter.empty


@dataclass(frozen=True)
class Method:
    """One method of a provider's service interface."""

    provider: str
    name: str
    task: Task[..., Any]
    parameters: type[BaseModel]
    writes: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Both spellings, or one where they are the same."""
        return tuple(dict.fromkeys((self.name, to_camel(self.name))))

    @property
    def documentation(self) -> str:
        """What the task says about itself."""
        return inspect.getdoc(self.task.fn) or ""

    def arguments(self, body: bytes) -> dict[str, Any]:
        """The task's arguments in a JSON body, in either spelling."""
        given = parsed(body)
        spelled = self._spelled(given)
        try:
            values = self.parameters.model_validate_json(
                orjson.dumps({name: given[key] for name, key in spelled.items()})
            )
        except ValidationError as error:
            raise wrong(error, spelled) from None  # the original shows the values
        except orjson.JSONEncodeError:
            raise Failure(422, "parameter_invalid", "The body is nested too deeply.") from None
        return {name: getattr(values, name) for name in values.model_fields_set}

    def _spelled(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Parameter → the key that the caller used for it."""
        known = {
            key: name for name in self.parameters.model_fields for key in (to_camel(name), name)
        }
        spelled: dict[str, str] = {}
        for key in given:
            name = known.get(key)
            if name is None:
                raise Failure(422, "parameter_unknown", f"There is no parameter {key!r}.", key)
            if name in spelled:
                text = f"{spelled[name]!r} and {key!r} are the same parameter. Give one."
                raise Failure(422, "parameter_twice", text, key)
            spelled[name] = key
        return spelled


def parsed(body: bytes) -> dict[str, Any]:
    """A body's JSON object; an empty body counts as one without parameters."""
    try:
        given = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise Failure(400, "malformed", f"The body is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise Failure(422, "malformed", "The body is not a JSON object.")
    if b"\\u0000" in body and holds_nul(given):
        raise Failure(422, "parameter_invalid", "A text holds a NUL character.")
    return given


def holds_nul(value: Any) -> bool:
    """Whether any text in there holds what neither PostgreSQL nor the providers take."""
    if isinstance(value, dict):
        return any(holds_nul(key) or holds_nul(part) for key, part in value.items())
    if isinstance(value, list):
        return any(map(holds_nul, value))
    return isinstance(value, str) and "\0" in value


def wrong(error: ValidationError, spelled: Mapping[str, str]) -> Failure:
    """The first thing that is wrong, without the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    loc = [str(part) for part in first["loc"]] or ["body"]
    field = ".".join([spelled.get(loc[0], loc[0]), *loc[1:]])
    code = "parameter_missing" if first["type"] == "missing" else "parameter_invalid"
    return Failure(422, code, f"{field}: {first['msg']}.", field)


def every_method() -> list[Method]:
    """All methods of all providers in the registry."""
    return [
        method_of(provider, name, task)
        for provider in CONNECTORS
        for name, task in service_of(provider).items()
    ]


def service_of(provider: str) -> Mapping[str, Task[..., Any]]:
    """A provider's service interface: `SERVICE` of its tasks; nothing where it has none."""
    module = f"tasks.{provider}"
    if importlib.util.find_spec(module) is None:
        return {}
    return getattr(importlib.import_module(module), "SERVICE", {})


def method_of(provider: str, name: str, task: Task[..., Any]) -> Method:
    """A method as its task's signature declares it."""
    declared = inspect.signature(task.fn).parameters
    hints = get_type_hints(task.fn, include_extras=True)
    fields: dict[str, Any] = {
        parameter.name: (
            hints[parameter.name],
            ... if parameter.default is EMPTY else parameter.default,
        )
        for parameter in declared.values()
        if parameter.name not in OURS
    }
    model = create_model(
        f"{provider}.{name}", __config__=ConfigDict(strict=True, extra="forbid"), **fields
    )
    return Method(provider, name, task, model, "request" in declared)
