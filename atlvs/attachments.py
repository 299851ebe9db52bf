"""Files that go along with a mail: what they have to be, checked before anything of it is kept."""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Any, cast

from atlvs.errors import Rejected

MOST_BYTES = 30 * 2**20  # of a request, attachments and all
TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
OCTETS = "application/octet-stream"


def check_all(attachments: Any, provider: str) -> None:
    """Rejected, by field, when a mail could not have them."""
    if not isinstance(attachments, list):
        raise _wrong(provider, "attachments", "are a list.")
    files = [check(one, provider) for one in cast("list[Any]", attachments)]
    if sum(len(one["content"]) for one in files) > MOST_BYTES:
        raise _too_large(provider)


def check(given: Any, provider: str) -> Mapping[str, Any]:
    """One attachment as it was given; Rejected, by field, when it is none."""
    if not isinstance(given, Mapping):
        raise _wrong(provider, "attachments", "are objects with filename, content and type.")
    one = cast("Mapping[str, Any]", given)
    body, kind = one.get("content"), one.get("type") or OCTETS
    if not is_name(re.split(r"[\\/]", str(one.get("filename") or ""))[-1]):
        raise _wrong(provider, "attachments.filename", "is missing.")
    if not isinstance(kind, str) or not TYPE.fullmatch(kind):
        raise _wrong(provider, "attachments.type", "is a media type, as application/pdf.")
    if isinstance(body, str) and len(body) > MOST_BYTES:
        raise _too_large(provider)
    if not isinstance(body, str) or not is_base64(body):
        raise _wrong(provider, "attachments.content", "is the file in base64.")
    return one


def is_name(text: str) -> bool:
    """Whether there is something to read in it."""
    return any(letter.isprintable() and not letter.isspace() for letter in text)


def is_base64(text: str) -> bool:
    """Whether it decodes to at least one byte."""
    try:
        return bool(b64decode(text, validate=True))
    except (NotBase64, ValueError):
        return False


def _too_large(provider: str) -> Rejected:
    text = "the attachments are larger than 30 MB."
    return Rejected(provider, text, code="too_large", field="attachments")


def _wrong(provider: str, field: str, text: str) -> Rejected:
    return Rejected(provider, f"{field} {text}", code="invalid", field=field)
