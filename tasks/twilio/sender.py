"""Deliveries of the fan-out as SMS and as calls.

Each tells Twilio where to call back, with our delivery's id in the address: the first callback settles
what a lost answer left open.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.db import consents
from atlvs.db.engine import database
from atlvs.errors import OutcomeUnknown, Rejected, Unavailable
from atlvs.records import Delivery, Estimate, Outcome, Word
from blocks.twilio import CALLS, MESSAGES, Twilio
from blocks.twilio_webhooks import moment
from blocks.wire import afterwards
from tasks.twilio.fates import later, outcome_of, refused_outcome, word_of
from tasks.twilio.looking import is_silent, made_since, says, take, unsettled
from tasks.twilio.rows import number_in
from tasks.twilio.segments import segments
from tasks.twilio.texts import text_for, words_for
from tasks.twilio.writing import call_fields, message_fields, validity

Json = dict[str, Any]
CALL_PRICE = 2.0  # a short call costs less than so many segments


class Sms:
    """Text messages, one a call."""

    per_call = 1
    in_flight = 32
    channel = "sms"
    kind = "message"
    path = "/Messages.json"
    bucket = MESSAGES

    def fields(self, connection: Twilio, delivery: Delivery, now: datetime | None) -> Any:
        """The form that Twilio gets; Rejected when there is nothing to send, or nothing to send from."""
        text, lasts = text_for(delivery), validity(delivery, now)
        return message_fields(connection, delivery.address, text, d=delivery.id, lasts=lasts)

    def check(self, connection: Twilio, delivery: Delivery) -> None:
        """Rejected when it cannot be sent as it is."""
        self.fields(connection, delivery, None)

    def estimate(self, connection: Twilio, delivery: Delivery) -> Estimate | None:
        """Segments, and what they cost about."""
        number = segments(text_for(delivery))
        price = round(connection.segment_price(delivery.address) * 1_000_000)
        return Estimate(number, number * price, connection.currency)

    async def turn(self, connection: Twilio, batch: Sequence[Delivery]) -> None:
        """Wait for the sender's pace."""
        for _ in batch:
            await connection.wire.turn(self.bucket)

    async def send(self, connection: Twilio, batch: Sequence[Delivery]) -> list[Outcome]:
        """One request for each; what Twilio refuses is an outcome, and a word about the number."""
        now = await database().now()
        return [await self._send(connection, one, now) for one in batch]

    async def _send(self, connection: Twilio, delivery: Delivery, now: datetime) -> Outcome:
        fields = self.fields(connection, delivery, now)
        try:
            made = await connection.post(
                connection.path(self.path), fields, self.bucket, paced=True
            )
        except Rejected as error:
            await self._record(delivery, str(delivery.id), number_in(error.code))
            return refused_outcome(delivery.id, error.code, error.message)
        outcome = self._outcome(delivery, made)
        if outcome is None:
            raise OutcomeUnknown("twilio", "the answer tells of no message.", code="no_answer")
        return outcome

    def _outcome(self, delivery: Delivery, made: Json) -> Outcome | None:
        """As Twilio has it now. Of what was made, no state means more than that it was."""
        sid, error = made.get("sid"), number_in(made.get("error_code"))
        if not isinstance(sid, str):
            return None
        known = outcome_of(delivery.id, sid, str(made.get("status")), error)
        return known or Outcome(delivery.id, "sent", provider_id=sid)

    async def _record(
        self, delivery: Delivery, event: str, error: int | None, at: datetime | None = None
    ) -> None:
        """Keep what an error says of the number, now or as of then."""
        word = word_of(self.channel, delivery.address, event, error, at)
        if word is not None:
            await told(delivery.org_id, word)

    async def look(self, connection: Twilio, batch: Sequence[Delivery]) -> list[Outcome]:
        """What Twilio's log shows of deliveries of unknown outcome."""
        by_number: dict[str, list[Delivery]] = defaultdict(list)
        for one in batch:
            by_number[one.address].append(one)
        found = await asyncio.gather(*(self._look(connection, *each) for each in by_number.items()))
        return [outcome for outcomes in found for outcome in outcomes]

    async def _look(
        self, connection: Twilio, number: str, batch: Sequence[Delivery]
    ) -> list[Outcome]:
        ordered = sorted(batch, key=sent_at)
        try:
            things = await made_since(connection, self.kind, number, sent_at(ordered[0]))
        except Unavailable as error:
            return [Outcome(one.id, "unknown", reason=error.message) for one in ordered]
        return [await self._looked(one, things) for one in ordered]

    async def _looked(self, delivery: Delivery, things: list[Json]) -> Outcome:
        made = self._match(delivery, things)
        if made is None:
            wait = await unsettled(sent_at(delivery))
            certain = wait == 0 and not self._hidden(things)
            reason = "It is not in Twilio's log." if certain else "It is not in Twilio's log yet."
            return Outcome(delivery.id, "queued" if certain else "unknown", reason=reason)
        error = number_in(made.get("error_code"))
        await self._record(delivery, made["sid"], error, moment(made.get("date_updated")))
        if wait := later(error, delivery.attempts):
            return Outcome(delivery.id, "queued", made["sid"], code=str(error), retry_after=wait)
        return self._outcome(delivery, made) or Outcome(delivery.id, "unknown")

    def _match(self, delivery: Delivery, things: list[Json]) -> Json | None:
        return take(things, sent_at(delivery), says(text_for(delivery)))

    def _hidden(self, things: list[Json]) -> bool:
        return is_silent(things)


class Call(Sms):
    """Calls that say the message twice."""

    channel = "call"
    kind = "call"
    path = "/Calls.json"
    bucket = CALLS

    def fields(self, connection: Twilio, delivery: Delivery, now: datetime | None) -> Any:
        """The form that Twilio gets."""
        return call_fields(connection, delivery.address, words_for(delivery), d=delivery.id)

    def estimate(self, connection: Twilio, delivery: Delivery) -> Estimate | None:
        """A call has no segments; its minute is taken as dear as some of them."""
        price = connection.segment_price(delivery.address) * CALL_PRICE
        return Estimate(0, round(price * 1_000_000), connection.currency)

    def _match(self, delivery: Delivery, things: list[Json]) -> Json | None:
        # The log does not tell what was said: any call of that time that belongs to nobody else.
        return take(things, sent_at(delivery), lambda _: True)

    def _hidden(self, things: list[Json]) -> bool:
        return False


def sent_at(delivery: Delivery) -> datetime:
    """When it was begun to be sent."""
    if delivery.sending_at is None:
        raise Rejected("twilio", "the delivery was never begun.", code="not_begun")
    return delivery.sending_at


async def told(org_id: UUID, word: Word) -> None:
    """Put what Twilio's answer says of a number into the consent ledger."""
    with afterwards("What Twilio says of a number was not written down"):
        async with database().org(org_id) as tx:
            await consents.record(tx, org_id, [word])


SENDERS = {"sms": Sms(), "call": Call()}
