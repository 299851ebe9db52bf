"""Reading SendGrid's lists of who gets no mail: five of the account, and one for each group.

https://www.twilio.com/docs/sendgrid/api-reference/suppressions-suppressions
Pages are cut by time, not by place: an entry that is taken off the list meanwhile would move all that
come after it, and one of them would be missed.
"""

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from blocks.sendgrid import SendGrid
from tasks.policy import retrying

Json = dict[str, Any]
Row = dict[str, Any]
PAGE = 500
# List → what it says of its addresses. Blocked mail was refused once: the address is written to again.
LISTS: dict[str, tuple[str, str] | None] = {
    "bounces": ("unreachable", "bounce"),
    "blocks": None,
    "spam_reports": ("refused", "spam report"),
    "invalid_emails": ("unreachable", "invalid address"),
    "unsubscribes": ("refused", "unsubscribe"),
}
GROUP = "group:"


@dataclass(frozen=True)
class Entry:
    """An address on a list; `created` is when it got there, or when we first saw it there."""

    list: str
    email: str
    created: float
    raw: Json

    @property
    def key(self) -> str:
        """Its key in our copy."""
        return f"{self.list}:{self.email}"

    def row(self, fetched_at: datetime) -> Row:
        """As we keep it."""
        return {
            "suppression_key": self.key,
            "list": self.list,
            "email": self.email,
            "reason": _text(self.raw.get("reason")),
            "status": _text(self.raw.get("status")),
            "suppressed_at": datetime.fromtimestamp(self.created, UTC),
            "raw": orjson.dumps(self.raw).decode().replace("\\u0000", ""),
            "fetched_at": fetched_at,
        }


async def group_lists(connector: SendGrid) -> list[str]:
    """The lists of the unsubscribe groups that there are."""
    groups = await asked(connector, "/v3/asm/groups")
    return [f"{GROUP}{one['id']}" for one in groups or []]


async def entries_since(
    connector: SendGrid, name: str, since: int | None = None
) -> AsyncGenerator[list[Entry]]:
    """The pages of an account's list, newest first; all of it, or what was added since then."""
    until: int | None = None
    offset = 0
    while True:
        page = await asked(
            connector,
            f"/v3/suppression/{name}",
            limit=PAGE,
            offset=offset,
            start_time=since,
            end_time=until,
        )
        yield [entry_from(name, one) for one in page or []]
        if not page or len(page) < PAGE:
            return
        last = int(page[-1]["created"]) + 1
        newest_first = page[0]["created"] >= page[-1]["created"]
        if newest_first and (until is None or last < until):
            until, offset = last, 0
        else:  # more of one second than a page holds
            offset += PAGE


async def members(
    connector: SendGrid, name: str, seen: dict[str, float], now: float
) -> list[Entry]:
    """Who has left a group. SendGrid does not say since when: since we first saw them there."""
    path = f"/v3/asm/groups/{name.removeprefix(GROUP)}/suppressions"
    return [
        Entry(name, email, seen.get(email, now), {"email": email})
        for one in await asked(connector, path) or []
        if (email := normal(one))
    ]


def entry_from(name: str, one: Json) -> Entry:
    """An entry as SendGrid has it. Who reported spam from which address of the network is not kept."""
    kept = {key: value for key, value in one.items() if key != "ip"}
    return Entry(name, normal(one["email"]), int(one["created"]), kept)


async def asked(connector: SendGrid, path: str, **query: str | int | None) -> Any:
    """One page, asked for again while SendGrid is away."""
    return await retrying()(connector.call, "GET", path, **query)


def normal(email: Any) -> str:
    """An address as it is compared."""
    return str(email).strip().lower().replace("\0", "")


def hashed(email: str) -> str:
    """An address in an id."""
    return hashlib.sha256(email.encode()).hexdigest()[:24]


def _text(value: Any) -> str | None:
    return str(value).replace("\0", "")[:500] if value not in (None, "") else None
