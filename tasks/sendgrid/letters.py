"""Our own contents: subject, text and HTML of each type of notification, as Handlebars files.

A layout goes around each. `{{!cut}}` divides it into parts, so that a mail to a thousand people holds
once what all of them read, and for each of them only the parts that differ.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from atlvs.errors import Rejected
from atlvs.events import EmailTemplate, NotificationType
from atlvs.notices import ITEMS, TYPES, NoticeType
from tasks.sendgrid.handlebars import Unrenderable, compiled
from tasks.sendgrid.variables import one_line

Json = dict[str, Any]
CUT, CONTENT = "{{!cut}}", "{{!content}}"
MARK = "\x1e"  # in place of the cuts; variables hold no control characters
LONGEST_SUBJECT = 250
DIGEST = "digest"
# Our contents by the keys of e-mail templates.
BY_TEMPLATE: dict[str, NoticeType] = {
    str(one.template): one for one in TYPES.values() if one.template is not None
}


@dataclass(frozen=True)
class Letter:
    """One mail, rendered: parts that stand for themselves, so that they can be compared."""

    subject: str
    text: tuple[str, ...]
    html: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """The Handlebars of one mail, with its layout around it."""

    subject: str
    text: str
    html: str

    def without_marks(self) -> "Source":
        """As somebody would keep it at SendGrid."""
        return Source(self.subject, self.text.replace(MARK, ""), self.html.replace(MARK, ""))


@cache
def source(name: str) -> Source:
    """Our content of a type, or of a digest."""
    text = _read("layout.txt").replace(CONTENT, _read(f"{name}.txt"))
    html = _read("layout.html").replace(CONTENT, _read(f"{name}.html"))
    marked = (one.replace(f"{CUT}\n", MARK).replace(CUT, MARK) for one in (text, html))
    return Source(_read(f"{name}.subject").strip(), *marked)


def letter(notice: NoticeType, given: Json, subject: str | None = None) -> Letter:
    """A notification as a mail, from its `variables`."""
    name = DIGEST if ITEMS in given else str(notice.type)
    headline, text, html = _compiled(name)
    try:
        parts = [one.format(given).split(MARK) for one in (text, html)]
        line = one_line(subject or headline.format(given), LONGEST_SUBJECT)
    except (ValueError, TypeError) as error:
        raise _unrenderable(error) from None
    return Letter(line or notice.title, *map(tuple, parts))


def notice_for(template: str) -> NoticeType:
    """The type whose template has this key; Rejected, naming all of them, when there is none."""
    try:
        return BY_TEMPLATE[template]
    except KeyError:
        raise Rejected(
            "sendgrid",
            f"there is no template {template[:100]!r}. Give an id (d-…) or one of: "
            f"{', '.join(EmailTemplate)}.",
            code="template_unknown",
            field="template_id",
        ) from None


@cache
def _compiled(name: str) -> tuple[Any, Any, Any]:
    parts = source(name)
    try:
        return compiled(parts.subject), compiled(parts.text), compiled(parts.html)
    except Unrenderable as error:
        raise _unrenderable(error) from None


def _unrenderable(error: Exception) -> Rejected:
    return Rejected("sendgrid", f"the mail cannot be rendered ({type(error).__name__}).")


def _read(name: str) -> str:
    return (files("tasks.sendgrid") / "contents" / name).read_text(encoding="utf-8")


def every_name() -> list[str]:
    """All contents that are shipped."""
    return [*map(str, NotificationType), DIGEST]
