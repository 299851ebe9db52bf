"""Where a message to somebody goes: the direct conversation with them, found by id or e-mail address."""

import re
from time import monotonic
from typing import Any
from uuid import UUID

from atlvs.db import slack as mirror
from atlvs.db.engine import database
from atlvs.errors import Rejected
from blocks.slack import Slack

CHANNEL = re.compile(r"[CGD][A-Z0-9]{2,30}")
PERSON = re.compile(r"[UW][A-Z0-9]{2,30}")
MOST = 50_000  # conversations and addresses remembered in a process
NOBODY = 600.0  # seconds that an address without a person is remembered
DEFAULTS = ("", "default")


_rooms: dict[tuple[UUID, str], str] = {}
_people: dict[tuple[UUID, str], str] = {}
_nobody: dict[tuple[UUID, str], float] = {}


def is_channel(address: str) -> bool:
    """Whether many may read what is posted there."""
    address = address.strip()
    named = address in DEFAULTS or address.startswith("#")
    return named or bool(CHANNEL.fullmatch(address) and not address.startswith("D"))


async def room_for(slack: Slack, address: str) -> str:
    """The conversation at an address: a channel's id or #name, a person's id, or an e-mail address."""
    if CHANNEL.fullmatch(address):
        return address
    if address.startswith("#"):
        connection = slack.connection
        async with database().org(connection.org_id) as tx:
            known = await mirror.channel_named(tx, connection, address[1:])
        return known or address  # Slack takes names too
    return await _room_of(slack, await person_at(slack, address))


async def person_at(slack: Slack, address: str) -> str:
    """The person with this id or e-mail address; Rejected when there is none."""
    if PERSON.fullmatch(address):
        return address
    if "@" not in address:
        raise Rejected(
            "slack",
            "this is no id of a channel or person, and no e-mail address.",
            code="address_invalid",
        )
    key = (slack.connection.id, address.strip().lower())
    return _people.get(key) or await _found(slack, key)


async def _found(slack: Slack, key: tuple[UUID, str]) -> str:
    connection = slack.connection
    async with database().org(connection.org_id) as tx:
        known = await mirror.person_with(tx, connection, key[1])
    if known and known["deactivated"]:
        raise Rejected("slack", "this person's account is deactivated.", code="user_disabled")
    return _kept(_people, key, known["slack_user_id"] if known else await _asked(slack, key))


async def _asked(slack: Slack, key: tuple[UUID, str]) -> str:
    if _nobody.get(key, 0.0) > monotonic():
        text = "nobody in the workspace has this address."
        raise Rejected("slack", text, code="users_not_found")
    slack.need("users:read.email")
    try:
        told = await slack.api("users.lookupByEmail", reading=True, email=key[1])
    except Rejected as error:
        if error.code == "users_not_found":
            _kept(_nobody, key, monotonic() + NOBODY)
        raise
    return told["user"]["id"]


async def _room_of(slack: Slack, person: str) -> str:
    key = (slack.connection.id, person)
    if key not in _rooms:
        slack.need("im:write")
        told = await slack.api("conversations.open", reading=True, users=person)
        _kept(_rooms, key, told["channel"]["id"])
    return _rooms[key]


def forget() -> None:
    """Look everybody up again."""
    for known in (_rooms, _people, _nobody):
        known.clear()


def _kept(known: dict[tuple[UUID, str], Any], key: tuple[UUID, str], value: Any) -> Any:
    """Remember; the oldest makes room."""
    if len(known) >= MOST:
        known.pop(next(iter(known)))
    known[key] = value
    return value
