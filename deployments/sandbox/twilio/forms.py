"""Form-encoded parameters, checked as far as the service checks them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from deployments.sandbox.twilio.errors import Refused
from deployments.sandbox.wire import Request

FORM = "application/x-www-form-urlencoded"


class Form:
    """Names are matched exactly; unknown ones are ignored, as Twilio does."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.values: dict[str, list[str]] = {}
        for name, value in pairs:
            self.values.setdefault(name, []).append(value)

    def get(self, name: str, default: str = "") -> str:
        found = self.values.get(name)
        return found[-1] if found else default

    def all(self, name: str) -> list[str]:
        return [each for each in self.values.get(name, ()) if each]

    def flag(self, name: str) -> bool:
        value = self.get(name).lower()
        if value not in ("", "true", "false"):
            raise Refused(20001, f"{name}: {self.get(name)}")
        return value == "true"

    def number(self, name: str, default: int, low: int, high: int, code: int = 20001) -> int:
        text = self.get(name)
        if not text:
            return default
        if not text.isdigit() or not low <= int(text) <= high:
            raise Refused(code, text if code != 20001 else f"{name}: {text}")
        return int(text)

    def url(self, name: str, code: int) -> str | None:
        text = self.get(name)
        if text and not is_url(text):
            raise Refused(code, text)
        return text or None

    def shown(self) -> dict[str, str | list[str]]:
        return {
            name: values if len(values) > 1 else values[0] for name, values in self.values.items()
        }


def form_of(request: Request) -> Form:
    """The parameters of the query, or of a form body. Any other body has no parameters."""
    source = request.query
    if request.method != "GET":
        sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        source = request.body if sent == FORM else b""
    return Form(parse_qsl(source.decode("utf-8", "replace"), keep_blank_values=True))


def is_url(text: str) -> bool:
    """A host name with an underscore is not one to Twilio."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        return parts.scheme in ("http", "https") and bool(host) and "_" not in host
    except ValueError:
        return False
