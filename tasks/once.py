"""Writing to a service that knows no idempotency key, so that nothing happens twice.

A row in `integration_requests` is written before the call. If its answer got lost, the provider is asked
what became of it; where it cannot be asked, a person has to look.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.checkpoints import checkpoint
from atlvs.db import requests
from atlvs.errors import OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks.base import Connector
from blocks.wire import operation, request_id

Json = dict[str, Any]
Send = Callable[[], Awaitable[Json]]
Look = Callable[[datetime], Awaitable[Json | None]]  # given the time before which nothing was sent


async def once(
    connector: Connector,
    request: UUID,
    parameters: Mapping[str, Any],
    send: Send,
    look: Look | None = None,
    name: str = "",
) -> Json:
    """The result of `send`, which happens at most once for a request; asked again, the same result.

    `look` finds what an earlier sending of unknown outcome made; None from it means that nothing was.
    """
    connection, provider = connector.connection, connector.slug
    token = request_id.set(request)
    try:
        row = await requests.claim(connection, request, name or operation.get(), dict(parameters))
        if row.done:
            return _replayed(provider, row)
        result = await _found(connector, row, look) if row.sent_at else None
        if result is None:
            result = await _sent(connector, row, send)
        checkpoint("once.answered")
        await requests.finish(connection, row, result=result)
        return result
    finally:
        request_id.reset(token)


async def _found(connector: Connector, row: requests.Request, look: Look | None) -> Json | None:
    try:
        if look is not None and row.sent_at is not None:
            return await look(row.sent_at)
    except BaseException:
        await requests.let_go(connector.connection, row)
        raise
    await requests.let_go(connector.connection, row)
    raise OutcomeUnknown(
        connector.slug,
        f"it was sent on {row.sent_at:%F %T} UTC without an answer. Look there before doing it again.",
        code="ask_person",
    )


async def _sent(connector: Connector, row: requests.Request, send: Send) -> Json:
    connection = connector.connection
    await requests.sending(connection, row)
    checkpoint("once.sending")
    try:
        return await send()
    except Rejected as error:
        kept = {"message": error.message, "code": error.code, "field": error.field}
        await requests.finish(connection, row, error=kept)
        raise
    except (Unavailable, Unauthorized):  # nothing happened: the next try is a first one
        await requests.let_go(connection, row, new_version=True)
        raise
    except BaseException:
        await requests.let_go(connection, row)
        raise


def _replayed(provider: str, row: requests.Request) -> Json:
    if row.error is not None:
        error = row.error
        raise Rejected(provider, error["message"], code=error["code"], field=error["field"])
    return row.result or {}
