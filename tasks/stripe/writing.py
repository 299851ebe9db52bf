"""Writing to Stripe so that nothing happens twice: one request row per intended write.

https://docs.stripe.com/api/idempotent_requests · A stored 500 would be replayed for the same key, so
after one we look whether it happened, and only if it did not send again under the next version.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

import stripe

from atlvs.checkpoints import checkpoint
from atlvs.db import requests
from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks.stripe import Stripe, translated
from blocks.wire import operation, request_id

Json = dict[str, Any]
Find = Callable[[datetime], Awaitable[Json | None]]  # given the time before which nothing was sent
KEYS_KEPT = timedelta(hours=23)  # Stripe keeps them for at least 24 h
CLOCKS = timedelta(hours=1)  # more than Stripe's clock and ours may differ
MARK = "atlvs_request"  # metadata that tells which request made an object
logging.getLogger("stripe").setLevel(logging.WARNING)  # below, the SDK logs whole answers
PLAIN = (401, 403, 409, 429)  # mean the same from whoever answers


@dataclass(frozen=True)
class Written:
    """What a write did. An answer told again, by us or by Stripe, is as old as the first sending."""

    object: Json
    known_at: datetime


async def write(
    connection: Stripe,
    request: UUID,
    path: str,
    parameters: Mapping[str, Any],
    *,
    find: Find | None,
    method: str = "post",
    name: str = "",
) -> Written:
    """Send one write, or return what it did before.

    `find` looks for its effect when the outcome is in doubt; without one a person has to look.
    """
    name, sent = name or operation.get(), dict(parameters)
    token = request_id.set(request)
    try:
        row = await requests.claim(connection.connection, request, name, {"path": path} | sent)
        if row.done:
            return replayed(row)
        sending = _Sending(connection, row, name, find)
        result = await sending.send(method, path, sent)
        return Written(result, sending.sent_at)
    finally:
        request_id.reset(token)


def replayed(row: requests.Request) -> Written:
    """The stored outcome of a finished request."""
    if row.error is not None:
        raise Rejected(
            "stripe", row.error["message"], code=row.error["code"], field=row.error["field"]
        )
    return Written(row.result or {}, row.sent_at or row.created_at)


class _Sending:
    """One claimed request on its way."""

    def __init__(
        self, connection: Stripe, row: requests.Request, name: str, find: Find | None
    ) -> None:
        self.connection, self.row, self.name, self.find = connection, row, name, find
        self.sent_at = row.sent_at or row.created_at

    async def send(self, method: str, path: str, parameters: Json) -> Json:
        try:
            result = await self._look_back(method) or await self._ask(method, path, parameters)
        except Rejected as error:
            result = await self._refused(method, error)
        except OutcomeUnknown as error:
            result = await self._resolve(error)
        except (Unavailable, Unauthorized):
            await requests.let_go(self.connection.connection, self.row)
            raise
        checkpoint("write.answered")
        await requests.finish(self.connection.connection, self.row, result=result)
        checkpoint("write.finished")
        return result

    async def _look_back(self, method: str) -> Json | None:
        """Where no key protects, what is done already is looked up first.

        Stripe keeps keys for a day, and takes none with a DELETE, which it refuses the second time.
        """
        sent_at = self.row.sent_at
        if method == "delete" and self.find is not None:
            return await self.find(self.row.created_at)
        if sent_at is None or datetime.now(UTC) - sent_at < KEYS_KEPT:
            return None
        if self.find is None:
            raise await self._for_a_person(f"It was sent on {sent_at:%F %T} UTC without an answer.")
        return await self.find(self.row.created_at)

    async def _ask(self, method: str, path: str, parameters: Json) -> Json:
        connection = self.connection
        self.sent_at = await requests.sending(connection.connection, self.row)
        checkpoint("write.sending")
        key = self.row.key(self.name, connection.connection.org_id)
        try:
            answer = await connection.client().raw_request_async(
                method, path, idempotency_key=key, **parameters
            )
        except stripe.StripeError as error:
            raise told(error) from None  # the original holds the request's headers
        return cast("Json", answer.data)

    async def _resolve(self, error: OutcomeUnknown) -> Json:
        """After a stored 500: what happened? After no answer at all: the same key may ask again."""
        if error.code == "no_answer":
            await requests.let_go(self.connection.connection, self.row)
            raise error
        if self.find is None:
            raise await self._for_a_person(error.message) from error
        found = await self._found(self.find)
        if found is not None:
            return found
        await requests.let_go(self.connection.connection, self.row, new_version=True)
        raise Unavailable("stripe", error.message, code="stored_failure") from error

    async def _refused(self, method: str, error: Rejected) -> Json:
        """A second DELETE is refused because the first one worked; all else stays refused."""
        if method == "delete" and self.find and (found := await self._found(self.find)):
            return found
        kept = {"message": error.message, "code": error.code, "field": error.field}
        await requests.finish(self.connection.connection, self.row, error=kept)
        raise error

    async def _found(self, find: Find) -> Json | None:
        try:
            return await find(self.row.created_at)
        except IntegrationError:
            await requests.let_go(self.connection.connection, self.row)
            raise

    async def _for_a_person(self, text: str) -> OutcomeUnknown:
        """Nothing tells whether it happened, and nobody wants it twice."""
        await requests.let_go(self.connection.connection, self.row)
        return OutcomeUnknown(
            "stripe", f"{text} Look in the dashboard before doing it again.", code="ask_person"
        )


def told(error: stripe.StripeError) -> IntegrationError:
    """An error of the SDK as one of ours. What a proxy says does not tell what Stripe did."""
    status, body = error.http_status or 0, error.json_body
    if status in PLAIN or (isinstance(body, dict) and isinstance(body.get("error"), dict)):
        return translated(error)
    return OutcomeUnknown("stripe", f"the answer ({status}) is not Stripe's.", code="no_answer")


def made_by(connection: Stripe, request: UUID, path: str, **query: Any) -> Find:
    """Looks for the object that this request made, by its mark. Lists are current, searches lag."""

    async def find(since: datetime) -> Json | None:
        wanted = query | {"limit": 100, "created[gte]": int((since - CLOCKS).timestamp())}
        while True:
            page = await connection.get(path, urlencode(wanted, safe="[]"))
            for one in page["data"]:
                if (one.get("metadata") or {}).get(MARK) == str(request):
                    return one
            if not page["has_more"]:
                return None
            wanted["starting_after"] = page["data"][-1]["id"]

    return find


def in_state(connection: Stripe, path: str, *states: str) -> Find:
    """Looks whether the object has come into one of these states."""

    async def find(_since: datetime) -> Json | None:
        found = await connection.get(path)
        return found if found.get("status") in states else None

    return find


def marked(metadata: Mapping[str, str] | None, request: UUID) -> dict[str, str]:
    """Metadata with the mark of the request."""
    return {**(metadata or {}), MARK: str(request)}


def without_none(**parameters: Any) -> Json:
    """The parameters that were given."""
    return {name: value for name, value in parameters.items() if value is not None}
