"""Notifications as Slack messages: a line of text, and Block Kit blocks as plain dicts. Pure.

A header, what it is about, fields, free text and a button. All data is escaped and cut at the limits.
https://docs.slack.dev/reference/block-kit/blocks
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from atlvs.events import NotificationType
from atlvs.notices import ITEMS, notice_type
from tasks.slack.layouts import LAYOUTS, Layout, Shown
from tasks.slack.text import address, escaped, line, lines, link, moment, money

Json = dict[str, Any]
Facts = Mapping[str, Any]
HEADER, SECTION, MOST_FIELDS = 150, 3000, 10  # Slack's limits
TEXT = 1000  # the line that phones and screen readers show; Slack would take 4,000
ABOUT, FIELD = 300, 200
BODY, SHORT_BODY = 2500, 400
LARGEST = 12_000  # bytes of all blocks; Slack gives no number for msg_blocks_too_long


def composed(type: str, data: Facts, subject: str | None = None) -> Json:
    """`text` and `blocks` of a notification; of all its items where it is a digest."""
    items = data.get(ITEMS)
    if isinstance(items, list) and items:
        return _digest(type, items, subject)
    layout, title = LAYOUTS[notice_type(type).type], title_of(type, data, subject)
    about = _about(layout, data)
    blocks = _blocks(layout, title, about, data, BODY)
    if len(orjson.dumps(blocks)) > LARGEST:
        blocks = _blocks(layout, title, about, data, SHORT_BODY)
    told = [f"{one.label}: {_written(one, data)[1]}" for one in _told(layout, data)[:2]]
    told = told or [line(data[name], FIELD) for name in layout.bodies if data.get(name)]
    summary = " · ".join([f"{title}: {about}" if about else title, *told])
    return {"text": escaped(summary, TEXT), "blocks": blocks}


def plain(text: str) -> Json:
    """A message of a free text only, as somebody wrote it."""
    return {"text": text}


def title_of(type: str, data: Facts, subject: str | None) -> str:
    """The header's text."""
    notice = notice_type(type)
    if is_decided(type, data):
        return line(f"Approval: {data['status']}", HEADER)
    if notice.type == NotificationType.ANNOUNCEMENT:
        return line(data.get("headline") or subject or notice.title, HEADER)
    return notice.title


def is_decided(type: str, data: Facts) -> bool:
    """Whether an approval is no longer awaited."""
    status = str(data.get("status") or "pending").lower()
    return type == NotificationType.APPROVAL_REQUIRED and status not in ("pending", "open")


def _about(layout: Layout, data: Facts) -> str:
    if not layout.about or data.get(layout.about) in (None, ""):
        return ""
    value = data[layout.about]
    return money(value, data) if layout.about == "amount" else line(value, ABOUT)


def _told(layout: Layout, data: Facts) -> list[Shown]:
    return [one for one in layout.shown if data.get(one.name) not in (None, "")][:MOST_FIELDS]


def _blocks(layout: Layout, title: str, about: str, data: Facts, longest: int) -> list[Json]:
    url = address(data.get(layout.link))
    blocks = [{"type": "header", "text": {"type": "plain_text", "text": title}}]
    if about:
        blocks.append(_section(f"*{escaped(about, 4 * ABOUT)}*"))
    if told := _told(layout, data):
        blocks.append({"type": "section", "fields": [_field(one, data) for one in told]})
    for name in layout.bodies:
        if data.get(name):
            blocks.append(_section(escaped(lines(data[name], longest), SECTION)))
    if url:
        blocks.append(_button(layout.button, url))
    return blocks


def _mrkdwn(text: str) -> Json:
    # Verbatim: what merely looks like a link or a mention stays text.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _section(text: str) -> Json:
    return {"type": "section", "text": _mrkdwn(text)}


def _field(one: Shown, data: Facts) -> Json:
    return _mrkdwn(f"*{one.label}*\n{_written(one, data)[0]}")


def _written(one: Shown, data: Facts) -> tuple[str, str]:
    """A variable as mrkdwn, and as plain text."""
    value = data[one.name]
    if one.kind == "moment":
        return moment(value)
    if one.kind == "money":
        text = money(value, data)
    else:
        text = line(value, FIELD) + (" %" if one.kind == "percent" else "")
    return escaped(text, 4 * FIELD), text


def _button(label: str, url: str) -> Json:
    text = {"type": "plain_text", "text": label}
    button = {"type": "button", "text": text, "url": url, "action_id": "open"}
    return {"type": "actions", "elements": [button]}


def _digest(type: str, items: Sequence[Any], subject: str | None) -> Json:
    """Several notifications as one message, a line each."""
    known = [one for one in items if isinstance(one, dict)]
    title = line(f"{subject or notice_type(type).title} ({len(items)})", HEADER)
    blocks: list[Json] = [{"type": "header", "text": {"type": "plain_text", "text": title}}]
    blocks += [_section(part) for part in _parts(known, len(items), notice_type(type).title)]
    first = next((line(one.get("text") or one.get("title") or "", FIELD) for one in known), "")
    return {"text": escaped(f"{title}: {first}" if first else title, TEXT), "blocks": blocks}


def _parts(items: Sequence[Json], number: int, usual: str) -> list[str]:
    """The lines of a digest, in as few sections as hold them; what is too much is counted."""
    parts, part, size = [], "", 0
    for place, one in enumerate(items):
        shown = f"• {_item(one, usual)}\n"
        size += len(shown.encode()) + 20
        if size > LARGEST - 1000:
            return [*parts, f"{part}… and {number - place} more"]
        if len(part) + len(shown) > SECTION:
            parts, part = [*parts, part], ""
        part += shown
    return [*parts, part] if part else parts


def _item(one: Json, usual: str) -> str:
    title, text = line(one.get("title") or "", 100), line(one.get("text") or "", FIELD)
    label = text if title == usual and text else ": ".join(filter(None, [title, text]))
    return link(address(one.get("url")), label or usual, 4 * FIELD)
