"""Writing to Stripe so that nothing happens twice: one request row per intended write.

https://docs.stripe.com/api/idempotent_requests · A stored 500 would be replayed for the same key, so
after one we look whether it happened, and only if it did not send again under the next version.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import stripe

from atlvs.db import requests
from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks.stripe import Stripe, translated
from blocks.wire import operation, request_id

Json = dict[str, Any]
Find = Callable[[], Awaitable[Json | None]]
KEYS_KEPT = timedelta(hours=23)  # Stripe keeps them for at least 24 h
MARK = "atlvs_request"  # metadata that tells which request made an object


async def write(
    connection: Stripe,
    request: UUID,
    path: str,
    parameters: Mapping[str, Any],
    *,
    find: Find | None,
    method: str = "post",
    name: str = "",
) -> Json:
    """Send one write, or return what it did before.

    `find` looks for its effect when the outcome is in doubt; without one a person has to look.
    """
    name, sent = name or operation.get(), dict(parameters)
    token = request_id.set(request)
    try:
        row = await requests.claim(connection.connection, request, name, {"path": path} | sent)
        if row.done:
            return replayed(row)
        return await _Sending(connection, row, name, find).send(method, path, sent)
    finally:
        request_id.reset(token)


def replayed(row: requests.Request) -> Json:
    """The stored outcome of a finished request."""
    if row.error is not None:
        raise Rejected(
            "stripe", row.error["message"], code=row.error["code"], field=row.error["field"]
        )
    return row.result or {}


class _Sending:
    """One claimed request on its way."""

    def __init__(
        self, connection: Stripe, row: requests.Request, name: str, find: Find | None
    ) -> None:
        self.connection, self.row, self.name, self.find = connection, row, name, find

    async def send(self, method: str, path: str, parameters: Json) -> Json:
        try:
            result = await self._look_back() or await self._ask(method, path, parameters)
        except Rejected as error:
            told = {"message": error.message, "code": error.code, "field": error.field}
            await requests.finish(self.connection.connection, self.row, error=told)
            raise
        except OutcomeUnknown as error:
            result = await self._resolve(error)
        except (Unavailable, Unauthorized):
            await requests.let_go(self.connection.connection, self.row)
            raise
        await requests.finish(self.connection.connection, self.row, result=result)
        return result

    async def _look_back(self) -> Json | None:
        """A request sent so long ago that Stripe may have forgotten its key is looked up first."""
        sent_at = self.row.sent_at
        if sent_at is None or self.find is None or datetime.now(UTC) - sent_at < KEYS_KEPT:
            return None
        return await self.find()

    async def _ask(self, method: str, path: str, parameters: Json) -> Json:
        connection = self.connection
        await requests.sending(connection.connection, self.row)
        key = self.row.key(self.name, connection.connection.org_id)
        try:
            answer = await connection.client().raw_request_async(
                method, path, idempotency_key=key, **parameters
            )
        except stripe.StripeError as error:
            raise translated(error) from None  # the original holds the request's headers
        return answer.data

    async def _resolve(self, error: OutcomeUnknown) -> Json:
        """After a stored 500: what happened? After no answer at all: the same key may ask again."""
        if error.code == "no_answer":
            await requests.let_go(self.connection.connection, self.row)
            raise error
        if self.find is None:
            await requests.let_go(self.connection.connection, self.row)
            raise OutcomeUnknown(
                "stripe",
                f"{error.message} Look in the dashboard before doing it again.",
                code="ask_person",
            ) from error
        try:
            found = await self.find()
        except IntegrationError:
            await requests.let_go(self.connection.connection, self.row)
            raise
        if found is not None:
            return found
        await requests.let_go(self.connection.connection, self.row, new_version=True)
        raise Unavailable("stripe", error.message, code="stored_failure") from error


def made_by(connection: Stripe, request: UUID, path: str, **query: Any) -> Find:
    """Looks for the object that this request made, by its mark. Lists are current, searches lag."""

    async def find() -> Json | None:
        after: Json = {}
        for _ in range(20):
            page = await connection.get(path, urlencode(query | {"limit": 100} | after))
            for one in page["data"]:
                if (one.get("metadata") or {}).get(MARK) == str(request):
                    return one
            if not page["has_more"]:
                break
            after = {"starting_after": page["data"][-1]["id"]}
        return None

    return find


def in_state(connection: Stripe, path: str, *states: str) -> Find:
    """Looks whether the object has come into one of these states."""

    async def find() -> Json | None:
        found = await connection.get(path)
        return found if found.get("status") in states else None

    return find


def marked(metadata: Mapping[str, str] | None, request: UUID) -> dict[str, str]:
    """Metadata with the mark of the request."""
    return {**(metadata or {}), MARK: str(request)}


def without_none(**parameters: Any) -> Json:
    """The parameters that were given."""
    return {name: value for name, value in parameters.items() if value is not None}
