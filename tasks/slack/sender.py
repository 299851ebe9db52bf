"""Notifications into Slack: a channel, a person by id or e-mail address, or the type's own channel.

What belongs together stays together: due tasks, news of an incident and payments come into the thread of
the first message; a decision changes the message that asked for it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from atlvs.db import consents, deliveries
from atlvs.db.engine import database
from atlvs.errors import OutcomeUnknown, Rejected, Unauthorized, Unavailable
from atlvs.events import NotificationType
from atlvs.notices import ITEMS
from atlvs.records import Delivery, Estimate, Outcome, Word
from blocks.slack import Slack
from blocks.wire import afterwards
from tasks.slack import posting
from tasks.slack.messages import composed, is_decided
from tasks.slack.people import CHANNEL, DEFAULTS, room_for
from tasks.slack.privacy import check_private

Json = dict[str, Any]
MARK = "delivery"
# Type → types of earlier messages about the same record under which it comes.
THREADS: dict[str, tuple[str, ...]] = {
    NotificationType.TASK_DUE_SOON: (NotificationType.TASK_ASSIGNED,),
    NotificationType.INCIDENT_REPORTED: (NotificationType.INCIDENT_REPORTED,),
    NotificationType.PAYMENT_RECEIVED: (
        NotificationType.INVOICE_SENT,
        NotificationType.PAYMENT_RECEIVED,
    ),
}
UNREACHABLE = ("user_disabled", "user_not_found", "user_not_visible", "cannot_dm_bot")
GONE = ("message_not_found", "cant_update_message", "edit_window_closed", "is_inactive")
ASKING = 4  # conversations looked through at the same time


class SlackSender:
    """How one delivery becomes one message."""

    per_call = 1
    in_flight = 16

    def check(self, connector: Slack, delivery: Delivery) -> None:
        """Rejected when there is nowhere to post it, or when it holds what a channel must not see."""
        composed(delivery.type, delivery.data, delivery.subject)
        check_private(delivery.type, delivery.address)
        if delivery.address.strip() in DEFAULTS:
            _routed(connector, delivery)

    def estimate(self, connector: Slack, delivery: Delivery) -> Estimate | None:
        """Messages cost nothing by themselves."""
        return None

    async def turn(self, connector: Slack, batch: Sequence[Delivery]) -> None:
        """Find the conversation, and wait for its pace and the workspace's."""
        for delivery in batch:
            try:
                channel = await _conversation(connector, delivery)
            except (Rejected, Unauthorized, OutcomeUnknown):
                continue  # `send` tells what becomes of it
            await posting.turn(connector, channel)

    async def send(self, connector: Slack, batch: Sequence[Delivery]) -> list[Outcome]:
        """Post each of them once."""
        return [await _sent(connector, delivery) for delivery in batch]

    async def look(self, connector: Slack, batch: Sequence[Delivery]) -> list[Outcome]:
        """By the mark in each message, where a history scope is granted; else it cannot be told."""
        gate = asyncio.Semaphore(ASKING)

        async def looked(channel: str | None, ours: list[Delivery]) -> list[Outcome]:
            async with gate:
                return await _looked(connector, channel, ours)

        by_channel: dict[str | None, list[Delivery]] = defaultdict(list)
        nowhere: list[Outcome] = []
        for delivery in batch:
            try:
                by_channel[await _place(connector, delivery)].append(delivery)
            except Rejected as error:  # there is no such conversation: it was posted nowhere
                nowhere.append(
                    Outcome(delivery.id, "failed", code=error.code, reason=error.message)
                )
        found = await asyncio.gather(*(looked(*one) for one in by_channel.items()))
        return [*nowhere, *(outcome for outcomes in found for outcome in outcomes)]


def _routed(slack: Slack, delivery: Delivery) -> str | None:
    """The type's own channel; None where the incoming webhook's is meant."""
    channel = slack.channel_for(delivery.type)
    if channel is None and not slack.has_hook:
        text = f"no channel is set for {delivery.type}: set default_channel of the connection."
        raise Rejected("slack", text, code="no_channel")
    return channel


async def _conversation(slack: Slack, delivery: Delivery) -> str | None:
    address = delivery.address.strip()
    if address in DEFAULTS:
        return _routed(slack, delivery)
    if not CHANNEL.fullmatch(address) and not slack.has_bot:
        text = "there is no bot token: people cannot be written to."
        raise Rejected("slack", text, code="hook_only")
    return await room_for(slack, address)


async def _sent(slack: Slack, delivery: Delivery) -> Outcome:
    try:
        return await _posted(slack, delivery)
    except Unauthorized as error:
        # Without one right other messages still go out, and this person may be told otherwise.
        if error.code != "missing_scope" or error.field == "chat:write":
            raise
        return Outcome(delivery.id, "failed", code=error.code, reason=error.message)
    except Rejected as error:
        if error.code in UNREACHABLE:
            await _tell_unreachable(delivery, error.code)
        return Outcome(delivery.id, "failed", code=error.code, reason=error.message)


async def _posted(slack: Slack, delivery: Delivery) -> Outcome:
    check_private(delivery.type, delivery.address)
    channel = await _conversation(slack, delivery)
    message = composed(delivery.type, delivery.data, delivery.subject)
    if channel is None or posting.by_hook(slack, channel):
        return await _by_hook(slack, delivery, message)
    message |= posting.marked(delivery.type, MARK, str(delivery.id))
    before = await _earlier(delivery, channel)
    if before and is_decided(delivery.type, delivery.data):
        try:
            told = await posting.update(slack, channel, before[0]["provider_id"], message)
            return Outcome(delivery.id, "sent", provider_id=told["ts"], place=told["channel"])
        except Rejected as error:
            if error.code not in GONE:
                raise
    elif before:
        message["thread_ts"] = before[-1]["provider_id"]
    try:
        told = await posting.post(slack, channel, message)
    except Unauthorized as error:
        if error.code == "missing_scope" and posting.by_hook(slack, channel):
            return await _by_hook(slack, delivery, message)
        raise
    return Outcome(delivery.id, "sent", provider_id=told["ts"], place=told["channel"])


async def _by_hook(slack: Slack, delivery: Delivery, message: Json) -> Outcome:
    await posting.post_to_hook(slack, message)
    return Outcome(delivery.id, "sent")


async def _earlier(delivery: Delivery, channel: str) -> list[dict[str, Any]]:
    """Messages that this one belongs to, newest first."""
    wanted = THREADS.get(delivery.type, ())
    if is_decided(delivery.type, delivery.data):
        wanted = (NotificationType.APPROVAL_REQUIRED,)
    if not wanted or delivery.record_id is None or ITEMS in delivery.data:
        return []
    async with database().org(delivery.org_id) as tx:
        found = await deliveries.earlier(tx, delivery)
    return [one for one in found if one["type"] in wanted and one["place"] == channel]


async def _tell_unreachable(delivery: Delivery, code: str) -> None:
    word = Word(
        channel="slack",
        address=delivery.address,
        verdict="unreachable",
        reason=code.replace("_", " "),
        source="slack",
        event_id=f"delivery:{delivery.id}",
        contact_id=delivery.contact_id,
    )
    with afterwards("Who cannot be reached in Slack was not written down"):
        async with database().org(delivery.org_id) as tx:
            await consents.record(tx, delivery.org_id, [word])


async def _place(slack: Slack, delivery: Delivery) -> str | None:
    """The conversation that it went to; None where it cannot be looked through. Rejected: there is none."""
    try:
        channel = await _conversation(slack, delivery)
    except (Unavailable, OutcomeUnknown):
        return None
    except Unauthorized as error:
        if error.code != "missing_scope":
            raise
        return None
    return None if posting.by_hook(slack, channel) else channel


async def _looked(slack: Slack, channel: str | None, ours: list[Delivery]) -> list[Outcome]:
    if channel is None:
        return [_unknown(one, "Slack cannot be asked about it.") for one in ours]
    since = min(one.sending_at or datetime.now(UTC) for one in ours)
    try:
        marks = await posting.marks_in(slack, channel, MARK, since)
        return [await _found(slack, channel, one, marks) for one in ours]
    except (OutcomeUnknown, Unavailable) as error:
        return [_unknown(one, error.message) for one in ours]


async def _found(slack: Slack, channel: str, one: Delivery, marks: dict[str, str]) -> Outcome:
    ts = marks.get(str(one.id))
    before = await _earlier(one, channel) if ts is None else []
    if before and not is_decided(one.type, one.data):
        since = one.sending_at or datetime.now(UTC)
        thread = before[-1]["provider_id"]
        ts = (await posting.marks_in(slack, channel, MARK, since, thread)).get(str(one.id))
    if ts is None:  # it never came, or changing a message once more changes nothing
        return Outcome(one.id, "queued")
    return Outcome(one.id, "sent", provider_id=ts, place=channel)


def _unknown(one: Delivery, why: str) -> Outcome:
    return Outcome(one.id, "unknown", code="cannot_tell", reason=why)


SENDERS = {"slack": SlackSender()}
