"""The service door: `POST /api/services/{provider}/{method}`, JSON in, JSON out.

Any method of the service interfaces, called directly by the platform. Works while Prefect is away.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Request, Response, Security
from fastapi.security import HTTPBearer

from atlvs.db.requests import request_for
from atlvs.errors import IntegrationError, Misconfigured
from blocks.base import Connector
from blocks.wire import patience
from deployments.web.asgi import Gone, read_body
from deployments.web.callers import Callers, connector_for
from deployments.web.failures import Failure, failure_of, later, unexpected
from deployments.web.methods import Method, every_method
from deployments.web.metrics import CALLS, SECONDS
from deployments.web.openapi import described

MOST_BYTES = 1_000_000
PATIENCE = 8.0  # seconds to wait for a slot of the provider's limit, and between tries
CALL_SECONDS = 25.0  # for the whole call
PREFIX = "/api/services"
OUTCOMES = {
    401: "unauthorized",
    403: "forbidden",
    500: "failed",
    502: "provider_unauthorized",
    503: "unavailable",
    504: "unknown",
}


class Door:
    """The methods that can be called, and the calls under way."""

    def __init__(self, methods: list[Method] | None = None) -> None:
        self.methods = every_method() if methods is None else methods
        self._callers = Callers()
        self._working: set[asyncio.Task[Any]] = set()

    def router(self) -> APIRouter:
        """A route for each method and spelling; the snake_case one is documented."""
        router = APIRouter(prefix=PREFIX, dependencies=[Security(HTTPBearer(auto_error=False))])
        for method in self.methods:
            for name in method.names:
                router.add_api_route(
                    f"/{method.provider}/{name}",
                    self._endpoint(method),
                    methods=["POST"],
                    include_in_schema=name == method.name,
                    **described(method),
                )
        return router

    async def close(self) -> None:
        """Let calls end whose client did not wait for them."""
        if self._working:
            await asyncio.wait(self._working, timeout=CALL_SECONDS)

    def _endpoint(self, method: Method) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            began, status = monotonic(), 200
            try:
                body = orjson.dumps(await self._called(method, request))
                return Response(body, media_type="application/json")
            except Exception as error:  # noqa: BLE001  # the edge of the process: every end is an answer
                failure = failure_from(error, f"{method.provider} {method.name}")
                status = failure.status
                return Response(failure.body(), status, failure.headers, "application/json")
            finally:
                outcome = "ok" if status == 200 else OUTCOMES.get(status, "refused")
                CALLS.labels(method.provider, method.name, outcome).inc()
                SECONDS.labels(method.provider, method.name).observe(monotonic() - began)

        return endpoint

    async def _called(self, method: Method, request: Request) -> Any:
        key = await self._callers.authorized(request.headers.get("authorization"), method)
        arguments = method.arguments(await json_body(request))
        if method.writes:
            arguments["request"] = intended(
                key.org_id, method.task.name, request.headers.get("idempotency-key")
            )
        connector = await connector_for(
            method.provider, request.query_params.get("connection"), key.org_id
        )
        return await self._bounded(method, self._work(method, connector, arguments))

    async def _bounded(self, method: Method, work: Any) -> Any:
        """The work's result. A write goes on when its caller leaves or time is up."""
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=CALL_SECONDS)
        if done:
            return task.result()
        if method.writes:
            text = "It is still being sent. Ask again with the same Idempotency-Key."
            raise Failure(504, "outcome_unknown", text)
        task.cancel()
        raise later("The provider did not answer in time.", None)

    async def _work(self, method: Method, connector: Connector, arguments: dict[str, Any]) -> Any:
        patience.set(PATIENCE)
        try:
            return await method.task.fn(connection=connector, **arguments)
        finally:
            await connector.wire.flush()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain when nobody waited


async def json_body(request: Request, most: int = MOST_BYTES) -> bytes:
    """The raw body; a Failure when it is too large or declared as something else."""
    try:
        body = await read_body(request.scope, request.receive, most)
    except Gone:
        raise Failure(400, "incomplete", "The body did not arrive.") from None
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if body and kind != "application/json":
        raise Failure(415, "not_json", "Send application/json.", "Content-Type")
    return body


def intended(org_id: UUID, operation: str, key: str | None) -> UUID:
    """The request's id: the same for the same Idempotency-Key, else a new one."""
    if key is None:
        return uuid4()
    if not 0 < len(key) <= 255:
        text = "An Idempotency-Key has 1 to 255 characters."
        raise Failure(422, "parameter_invalid", text, "Idempotency-Key")
    return request_for(org_id, operation, key)


def failure_from(error: Exception, doing: str) -> Failure:
    """How a call ends that has no result."""
    match error:
        case Failure():
            return error
        case IntegrationError() | Misconfigured():
            return failure_of(error)
        case _:
            return unexpected(error, doing)
