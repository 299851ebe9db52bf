"""The sender of the channel "email": a thousand recipients in one request, each alone in its To."""

import re
from collections.abc import Sequence
from typing import Any

from atlvs.db import consents
from atlvs.db.engine import database
from atlvs.errors import OutcomeUnknown, Rejected
from atlvs.events import Channel
from atlvs.notices import notice_type
from atlvs.records import Delivery, Estimate, Outcome, Word
from atlvs.settings import settings
from blocks.sendgrid import SEND, SendGrid
from blocks.sendgrid_answers import accepted, errors_in, masked
from blocks.wire import Answer, afterwards
from tasks.sendgrid.calls import Request, again, invalid, request_for
from tasks.sendgrid.hearing import all_was_told

NAMED = re.compile(r"personalizations\.(\d{1,4})(?:\.|$)(.*)")


class EmailSender:
    """E-mail over SendGrid."""

    per_call = 1_000
    in_flight = 4

    def check(self, connector: SendGrid, delivery: Delivery) -> None:
        """Render the message and throw it away: Rejected when it cannot be sent as it is."""
        for outcome in request_for(connector, [delivery]).aside:
            raise Rejected(
                "sendgrid", outcome.reason or "the message cannot be sent.", code=outcome.code
            )

    def estimate(self, connector: SendGrid, delivery: Delivery) -> Estimate | None:
        """A plan has a price, a message has none."""
        return None

    async def turn(self, connector: SendGrid, batch: Sequence[Delivery]) -> None:
        """Wait until the pace lets this call go."""
        await connector.wire.turn(SEND)

    async def send(self, connector: SendGrid, batch: Sequence[Delivery]) -> list[Outcome]:
        """One request for the batch. What cannot go along comes back as queued or failed."""
        made = request_for(connector, batch)
        await _tell(connector, made.words)
        known = len(made.words)
        sent = await _sent(connector, made) if made.going else []
        with afterwards("What SendGrid refused was not written down"):
            await _tell(connector, made.words[known:])
        return sent + made.aside

    async def look(self, connector: SendGrid, batch: Sequence[Delivery]) -> list[Outcome]:
        """Events settle what was sent: see `changes`. What none tells of, while what was sent later is
        told of, never left."""
        told: dict[Any, bool] = {}
        for at in {one.sending_at for one in batch}:
            told[at] = at is not None and await all_was_told(connector, at)
        return [
            Outcome(one.id, "queued", reason="SendGrid never told of it.", retry_after=0)
            if told[one.sending_at] and notice_type(one.type).resend_unknown
            else Outcome(one.id, "unknown")
            for one in batch
        ]


SENDERS = {Channel.EMAIL: EmailSender()}


async def _sent(connector: SendGrid, made: Request) -> list[Outcome]:
    try:
        answer = await connector.mail(made.body, paced=True)
        wrong = named(answer) if answer.status == 400 else {}
        if any(place < len(made.going) for place in wrong):
            return _without(made, wrong)
        message = accepted(answer) or None
    except (OutcomeUnknown, Rejected) as error:
        if not made.aside:
            raise
        # The others of the batch have a fate of their own.
        return [_ended(one.delivery, error) for one in made.going]
    return [Outcome(one.delivery.id, "sent", provider_id=message) for one in made.going]


def named(answer: Answer) -> dict[int, str]:
    """Recipients that a refusal names by their place, and what is said of each. All of the request was
    refused for them."""
    found: dict[int, str] = {}
    for error in errors_in(answer):
        place = NAMED.match(str(error.get("field") or ""))
        if place:
            about_address = place[2].startswith(("to", "cc", "bcc"))
            found[int(place[1])] = "" if about_address else masked(str(error.get("message")))[:200]
    return found


def _without(made: Request, wrong: dict[int, str]) -> list[Outcome]:
    """Who was named fails, the others go at once."""
    outcomes: list[Outcome] = []
    for place, one in enumerate(made.going):
        if place not in wrong:
            outcomes.append(again(one.delivery))
        elif wrong[place]:
            outcomes.append(Outcome(one.delivery.id, "failed", code="invalid", reason=wrong[place]))
        else:
            invalid(one.delivery, made)
    return outcomes


def _ended(delivery: Delivery, error: OutcomeUnknown | Rejected) -> Outcome:
    if isinstance(error, Rejected):
        return Outcome(delivery.id, "failed", code=error.code, reason=error.message)
    wait = settings().settle_seconds
    return Outcome(delivery.id, "unknown", code=error.code, reason=str(error), retry_after=wait)


async def _tell(connector: SendGrid, words: Sequence[Word]) -> None:
    if words:
        org_id = connector.connection.org_id
        async with database().org(org_id) as tx:
            await consents.record(tx, org_id, words)
