"""What the fields of an action take.

Zapier sends much as text, and an empty text for what was not mapped: texts are trimmed, numbers may
come as text, and nothing but spaces is a field not given.
"""

import difflib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_snake
from pydantic_core import PydanticCustomError

from atlvs.db.actions import Ground
from atlvs.errors import Rejected
from atlvs.phones import e164

MOST_CENTS = 10**12
EMAIL = re.compile(
    r"[^@\s\"(),:;<>\[\\\]\x00-\x1f\x7f]{1,64}"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)


G = TypeVar("G", bound="Given")


class Given(BaseModel):
    """Input of an action. What is not in it is not given, or was empty."""

    model_config = ConfigDict(
        extra="forbid", coerce_numbers_to_str=True, str_strip_whitespace=True, frozen=True
    )

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: Any) -> Any:
        return given_only(values) if isinstance(values, dict) else values

    def only(self, *names: str) -> dict[str, Any]:
        """These fields, as far as they are given."""
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}


def given_only(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in values.items() if not _empty(value)}


def understood(model: type[G], values: Mapping[str, Any], ground: Ground) -> G:
    """The input, checked. Rejected with the field that is wrong and never with its value."""
    try:
        return model.model_validate(values, context=ground)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
    # a field that there is not may be the one that is missing, in other letters
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    field = ".".join(str(part)[:100] for part in first["loc"])
    if first["type"] == "extra_forbidden":
        raise unknown(field, model)
    if first["type"] == "missing":
        raise missing(field)
    raise invalid(field, f"{field}: {first['msg'].rstrip('.')}.")


def invalid(field: str, message: str) -> Rejected:
    """A field's value cannot be taken."""
    return Rejected("zapier", message, code="parameter_invalid", field=field)


def missing(field: str, message: str = "") -> Rejected:
    """A field is needed."""
    return Rejected(
        "zapier", message or f"{field} is needed.", code="parameter_missing", field=field
    )


def unknown(field: str, model: type[Given]) -> Rejected:
    """A field that there is not, with the one that may be meant."""
    near = difflib.get_close_matches(to_snake(field), model.model_fields, 1, 0.7)
    there = f"Did you mean {near[0]}?" if near else f"There are {', '.join(model.model_fields)}."
    message = f"There is no field {field!r}. {there}"
    return Rejected("zapier", message, code="parameter_unknown", field=field)


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _ground(info: ValidationInfo) -> Ground:
    return info.context if isinstance(info.context, Ground) else Ground()


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "a text holds a NUL character")
    return text


def _email(text: str) -> str:
    if not EMAIL.fullmatch(text) or ".." in text:
        raise PydanticCustomError("email", "this is no e-mail address")
    return text


def _phone(text: str, info: ValidationInfo) -> str:
    found = e164(text, _ground(info).region)
    if found is None:
        raise PydanticCustomError(
            "phone", "this is no phone number; write it with its country code, as +1 202 555 0143"
        )
    return found


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _time_zone(text: str) -> str:
    if text not in _zones():
        raise PydanticCustomError("time_zone", "there is no such time zone; write Europe/Berlin")
    return text


def _time(value: Any, info: ValidationInfo) -> datetime:
    """A time without an offset is one of the organization's time zone."""
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
    except (ValueError, AttributeError):
        raise PydanticCustomError(
            "time", "this is no time; write it in ISO 8601, as 2026-11-30T18:00:00+01:00"
        ) from None
    if not 1900 <= time.year <= 2999:
        raise PydanticCustomError("time", "a year is between 1900 and 2999")
    if time.utcoffset() is None:
        zone = _ground(info).time_zone
        time = time.replace(tzinfo=ZoneInfo(zone if zone in _zones() else "UTC"))
    return time.astimezone(UTC)


def _id(value: Any) -> UUID:
    try:
        return UUID(str(value).strip())
    except ValueError:
        raise PydanticCustomError(
            "id", "this is no id; ids look like 0b9ad2d6-6f1e-4b6c-9a51-3d6f2f1c7e55"
        ) from None


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("int", "Input should be a valid integer")
    return value


def _split(value: Any) -> Any:
    """Zapier joins a list by commas where it becomes one text."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, list):
        return [one for one in value if not _empty(one)]
    return value


Checked = AfterValidator(_without_nul)
Name = Annotated[str, Field(min_length=1, max_length=200), Checked]
Line = Annotated[str, Field(min_length=1, max_length=500), Checked]
Word = Annotated[str, Field(min_length=1, max_length=50), Checked]
Body = Annotated[str, Field(min_length=1, max_length=100_000), Checked]
Tag = Annotated[str, Field(min_length=1, max_length=100), Checked]
Tags = Annotated[list[Tag], Field(min_length=1, max_length=50), BeforeValidator(_split)]
Email = Annotated[str, Field(min_length=3, max_length=254), AfterValidator(_email)]
Phone = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_phone)]
TimeZone = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_time_zone)]
Locale = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
Time = Annotated[datetime, BeforeValidator(_time)]
Id = Annotated[UUID, BeforeValidator(_id)]
Cents = Annotated[int, Field(ge=0, le=MOST_CENTS), BeforeValidator(_no_truth)]
Decimals = Annotated[str, Field(pattern=r"^[0-9]{1,13}(\.[0-9]{1,3})?$")]
Currency = Annotated[str, Field(pattern=r"^[A-Za-z]{3}$"), AfterValidator(str.lower)]
