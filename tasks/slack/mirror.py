"""Our copy of a workspace's people and channels, and what it tells of who can be reached."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from atlvs.db import consents
from atlvs.db import slack as stored
from atlvs.db.bulk import mark_deleted, upsert
from atlvs.db.engine import Transaction
from atlvs.db.slack import CHANNELS, PEOPLE
from atlvs.records import Connection, Counts, Word
from blocks.slack_events import a_text

Json = dict[str, Any]
Row = dict[str, Any]
KEPT = ("id", "name", "creator", "created", "is_private", "is_archived", "is_member", "num_members")


def person_row(person: Json, fetched_at: datetime) -> Row:
    """A row of a person, as `blocks.slack_events.person_from` gives them."""
    return {
        "slack_user_id": person["id"],
        "email": (person["email"] or "").strip().lower() or None,
        "name": person["name"],
        "real_name": person["real_name"] or person["display_name"],
        "time_zone": person["tz"],
        "is_bot": person["is_bot"],
        "deactivated": person["deleted"],
        "raw": orjson.dumps(person).decode(),
        "fetched_at": fetched_at,
    }


def channel_row(channel: Json, fetched_at: datetime) -> Row:
    """A row of a channel; its topic and its people's names are not kept."""
    kept = {name: channel[name] for name in KEPT if channel.get(name) is not None}
    kept["name"] = a_text(channel.get("name"))
    return {
        "slack_channel_id": channel["id"],
        "name": kept["name"],
        "is_private": channel.get("is_private") is True,
        "is_archived": channel.get("is_archived") is True,
        "is_member": channel.get("is_member") is True,
        "members": channel.get("num_members"),
        "raw": orjson.dumps(kept).decode(),
        "fetched_at": fetched_at,
    }


@dataclass
class Changes:
    """What was heard of a workspace: rows by id, the latest of each, and channels that are gone."""

    people: dict[str, Row] = field(default_factory=dict[str, Row])
    channels: dict[str, Row] = field(default_factory=dict[str, Row])
    gone: set[str] = field(default_factory=set[str])

    def update(self, other: "Changes") -> None:
        """Take over what another heard, unless it is known from later."""
        for mine, theirs in ((self.people, other.people), (self.channels, other.channels)):
            for key, row in theirs.items():
                if key not in mine or mine[key]["fetched_at"] <= row["fetched_at"]:
                    mine[key] = row
        self.gone |= other.gone


async def store(tx: Transaction, connection: Connection, changes: Changes) -> dict[str, Counts]:
    """Write what was heard, and what it means for who can be reached."""
    counts: dict[str, Counts] = {}
    if changes.people:
        rows = await _with_emails(tx, connection, changes.people)
        counts["users"] = await upsert(tx, connection, PEOPLE, rows)
        await consents.record(tx, connection.org_id, await _words(tx, connection, changes.people))
    if changes.channels or changes.gone:
        rows = list(changes.channels.values())
        counts["channels"] = await upsert(tx, connection, CHANNELS, rows)
        gone = sorted(changes.gone - set(changes.channels))
        counts["channels"].deleted = await mark_deleted(tx, CHANNELS, gone, connection)
    return counts


async def _with_emails(
    tx: Transaction, connection: Connection, people: dict[str, Row]
) -> list[Row]:
    """The rows; an address that Slack no longer tells is kept: people are deactivated, rights taken away."""
    lacking = [id for id, row in people.items() if not row["email"] and not row["is_bot"]]
    if not lacking:
        return list(people.values())
    known = await stored.emails(tx, connection, lacking)
    return [row | {"email": row["email"] or known.get(id)} for id, row in people.items()]


async def _words(tx: Transaction, connection: Connection, ids: Iterable[str]) -> list[Word]:
    """Who cannot be reached any more, and who can again. What a person refused stays refused."""
    rows = await stored.people(tx, connection, ids)
    by_address = {
        address: row for row in rows for address in (row["slack_user_id"], row["email"]) if address
    }
    standing = await consents.refusals(tx, "slack", by_address)
    words: list[Word] = []
    for address, row in by_address.items():
        stands = standing.get(address)
        if row["deactivated"] and not stands:
            words.append(_word(address, row, "unreachable", "deactivated in Slack"))
        elif not row["deactivated"] and stands and stands.startswith("unreachable"):
            words.append(_word(address, row, "allowed", "active in Slack"))
    return words


def _word(address: str, row: Row, verdict: str, reason: str) -> Word:
    at: datetime = row["fetched_at"]
    return Word(
        channel="slack",
        address=address,
        verdict=verdict,
        reason=reason,
        source="slack",
        event_id=f"{verdict}:{address}:{at.timestamp():.6f}",
        # Now, when somebody is back: whatever was found out before no longer counts.
        occurred_at=at if verdict == "unreachable" else None,
    )
