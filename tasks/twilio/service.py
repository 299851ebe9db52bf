"""Twilio's service interface: SMS and calls.

Each write takes the id of its request: the same id sends once, however often it is called. Twilio
knows no idempotency key, so a lost answer is looked for in its log first.
https://www.twilio.com/docs/messaging/api · https://www.twilio.com/docs/voice/api
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from prefect import Task
from pydantic import Field

from atlvs.db import consents
from atlvs.db.engine import database
from atlvs.db.habits import habits
from atlvs.errors import OutcomeUnknown, Rejected
from atlvs.phones import e164
from blocks.twilio import CALLS, MESSAGES, Twilio
from blocks.twilio_webhooks import moment
from tasks.notify.raising import raise_notification
from tasks.once import once
from tasks.policy import call
from tasks.twilio.changes import CHANNELS
from tasks.twilio.fates import word_of
from tasks.twilio.looking import LISTS, is_silent, made_since, says, take, unsettled
from tasks.twilio.readable import clean
from tasks.twilio.reading import keep
from tasks.twilio.rows import number_in
from tasks.twilio.sender import told
from tasks.twilio.writing import Fields, call_fields, message_fields

Json = dict[str, Any]
Number = Annotated[
    str, Field(min_length=3, max_length=60, description="With its country code, or of the region.")
]
Text = Annotated[str, Field(min_length=1, max_length=1600, pattern=r"\S")]
Region = Annotated[
    str | None,
    Field(
        pattern="^[A-Za-z]{2}$",
        description="Country of numbers without a country code; the organization's if not given.",
    ),
]
WebAddress = Annotated[str, Field(pattern="^https?://", max_length=2048)]
MessageSid = Annotated[str, Field(pattern="^[SM]M[0-9a-fA-F]{32}$")]


@call("twilio")
async def send_sms(
    connection: Twilio,
    request: UUID,
    to: Number,
    message: Text,
    media_url: Annotated[list[WebAddress] | None, Field(max_length=10)] = None,
    region: Region = None,
) -> Json:
    """Send one SMS, or an MMS with media. Nothing goes to a number that refused, or cannot be reached."""
    number = await normal(connection, to, region)
    media = media_url or []
    fields = message_fields(connection, number, message, media=media)
    asked = {"to": number, "message": message, "media_url": media}
    made = Once(connection, "message", number, fields, says(message))
    return await made.make(request, asked)


@call("twilio")
async def send_bulk_sms(
    connection: Twilio,
    request: UUID,
    recipients: Annotated[list[Number], Field(min_length=1, max_length=50_000)],
    message: Text,
    region: Region = None,
) -> Json:
    """Raise a notification to all of these numbers. It is sent in the background, at the sender's pace
    and once to each; above the organization's limits it waits for somebody's approval."""
    region = region or await usual_region(connection)
    numbers = [
        await normal(connection, one, region, field=f"recipients.{place}")
        for place, one in enumerate(recipients)
    ]
    people = [{"phone": number} for number in dict.fromkeys(numbers)]
    return await raise_notification(
        connection.connection.org_id,
        type="announcement",
        key=str(request),
        data={"message": message},
        audience={"kind": "people", "people": people},
        channels=["sms"],
        origin="api",
    )


@call("twilio")
async def make_call(
    connection: Twilio,
    request: UUID,
    to: Number,
    twiml_url: WebAddress | None = None,
    message: Annotated[str | None, Field(min_length=1, max_length=1600)] = None,
    twiml: Annotated[str | None, Field(min_length=1, max_length=4000)] = None,
    region: Region = None,
) -> Json:
    """Call somebody: say a message twice, or do what TwiML says, which is given or fetched."""
    given = [one for one in (twiml_url, message, twiml) if one]
    if len(given) != 1:
        raise Rejected(
            "twilio", "give one of twiml_url, message and twiml.", code="invalid", field="twiml_url"
        )
    number = await normal(connection, to, region)
    words = clean(message or "")
    fields = call_fields(connection, number, words, url=twiml_url, twiml=twiml)
    asked = {"to": number, "twiml_url": twiml_url, "message": message, "twiml": twiml}
    return await Once(connection, "call", number, fields, lambda _: True).make(request, asked)


@call("twilio")
async def cancel_message(connection: Twilio, request: UUID, message_sid: MessageSid) -> Json:
    """Cancel a message that is scheduled and not yet sent."""
    path = connection.path(f"/Messages/{message_sid}.json")

    async def send() -> Json:
        return shown(await connection.post(path, {"Status": "canceled"}))

    async def look(_since: datetime) -> Json | None:
        found = await connection.get(path)
        return shown(found) if found.get("status") == "canceled" else None

    return await once(connection, request, {"message_sid": message_sid}, send, look)


@call("twilio")
async def get_message(connection: Twilio, message_sid: MessageSid) -> Json:
    """A message as Twilio has it now."""
    return shown(await connection.get(connection.path(f"/Messages/{message_sid}.json")))


@call("twilio")
async def get_call(
    connection: Twilio, call_sid: Annotated[str, Field(pattern="^CA[0-9a-fA-F]{32}$")]
) -> Json:
    """A call as Twilio has it now."""
    return shown(await connection.get(connection.path(f"/Calls/{call_sid}.json")))


@call("twilio")
async def list_messages(
    connection: Twilio,
    to: Number | None = None,
    since: datetime | None = None,
    limit: Annotated[int, Field(ge=1, le=1000)] = 50,
    region: Region = None,
) -> Json:
    """The newest messages, all or those to one number, made since a time."""
    query = {"PageSize": str(limit)}
    if to:
        query["To"] = await normal(connection, to, region)
    page = await connection.get(connection.path(LISTS["message"][0]), query)
    after = since.replace(tzinfo=since.tzinfo or UTC) if since else None
    found = [
        shown(one)
        for one in page.get("messages") or []
        if after is None or (moment(one.get("date_created")) or after) >= after
    ]
    return {"messages": found}


async def normal(connection: Twilio, text: str, region: str | None, field: str = "to") -> str:
    """A number as +E.164; Rejected when it is none."""
    number = e164(text.strip(), region or await usual_region(connection))
    if number is None:
        raise Rejected("twilio", "that is no phone number.", code="number_invalid", field=field)
    return number


async def usual_region(connection: Twilio) -> str:
    """The organization's country, for numbers without a country code."""
    async with database().org(connection.connection.org_id) as tx:
        return (await habits(tx)).region


@dataclass
class Once:
    """One message or call that is to be made once."""

    connection: Twilio
    kind: str
    number: str
    fields: Fields
    fits: Callable[[Json], bool]  # whether something in Twilio's log is this one
    asked_at: datetime | None = None

    async def make(self, request: UUID, asked: Json) -> Json:
        """What was made, now or by an earlier call of the same request."""
        made = await once(self.connection, request, asked, lambda: self._send(request), self._look)
        if self.asked_at is not None:  # and not only remembered
            await keep(self.connection, self.kind, [made], self.asked_at)
        return made

    async def _send(self, request: UUID) -> Json:
        channel = CHANNELS[self.kind]
        await refuse_if_refused(self.connection, channel, self.number)
        path, bucket = LISTS[self.kind][0], MESSAGES if self.kind == "message" else CALLS
        asked_at = await database().now()
        try:
            made = await self.connection.post(self.connection.path(path), self.fields, bucket)
        except Rejected as error:
            word = word_of(channel, self.number, str(request), number_in(error.code))
            if word is not None:
                await told(self.connection.connection.org_id, word)
                error.code = "suppressed" if word.verdict == "refused" else error.code
            raise
        self.asked_at = asked_at
        return shown(made)

    async def _look(self, since: datetime) -> Json | None:
        asked_at = await database().now()
        things = await made_since(self.connection, self.kind, self.number, since)
        made = take(things, since, self.fits)
        if made is not None:
            self.asked_at = asked_at
            return shown(made)
        wait = await unsettled(since)
        if wait or (self.kind == "message" and is_silent(things)):
            text = "it is not known yet whether it was sent. Ask again with the same key."
            raise OutcomeUnknown("twilio", text, code="no_answer", retry_after=wait or None)
        return None


async def refuse_if_refused(connection: Twilio, channel: str, number: str) -> None:
    """Rejected when the number's owner refused, or it cannot be reached."""
    async with database().org(connection.connection.org_id) as tx:
        why = (await consents.refusals(tx, channel, [number])).get(number)
    if why:
        raise Rejected("twilio", f"nothing was sent: {why}.", code="suppressed", field="to")


def shown(one: Json) -> Json:
    """What the API tells of a message or call, without what only repeats."""
    return {**one, "id": one["sid"]}


SERVICE: dict[str, Task[..., Any]] = {
    one.name.removeprefix("twilio."): one
    for one in (
        send_sms,
        send_bulk_sms,
        make_call,
        cancel_message,
        get_message,
        get_call,
        list_messages,
    )
}
# The platform's own spellings, which camel case does not make of ours.
SERVICE |= {"sendSMS": send_sms, "sendBulkSMS": send_bulk_sms}
