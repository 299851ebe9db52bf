"""The web process's application."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from atlvs.settings import settings
from blocks.base import resources
from deployments.web import notifications, pages_preferences, refresh, zapier
from deployments.web.asgi import Receive, Scope, Send
from deployments.web.commits import GroupCommit
from deployments.web.connectors import Connectors
from deployments.web.failures import Failure, unexpected
from deployments.web.metrics import Exposition
from deployments.web.readiness import missing
from deployments.web.receiver import PREFIX, Receiver

logger = logging.getLogger(__name__)


class Web(FastAPI):
    """FastAPI, with webhooks taken out before its machinery."""

    receiver: Receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Webhooks go to the receiver, all else the usual way."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX) and not zapier.acts(scope):
            address = self.receiver.addressed(scope["path"])
            if address:
                await self.receiver.receive(address, scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def create_app() -> FastAPI:
    """The application, ready for uvicorn."""
    from deployments.web.door import Door

    app = Web(title="ATLVS Integrations", version="1", lifespan=lifespan)
    app.receiver = Receiver(Connectors(), GroupCommit(), settings().webhook_max_bytes)
    app.state.door = Door()
    app.include_router(app.state.door.router())
    app.include_router(notifications.router())
    app.include_router(zapier.router())
    app.include_router(pages_preferences.router())
    app.add_exception_handler(Failure, _told)
    app.add_exception_handler(HTTPException, _told_by_framework)
    app.add_exception_handler(Exception, _told_by_id)
    _watching(app)
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Commit webhooks and keep sealed copies fresh for as long as the process serves."""
    assert isinstance(app, Web)  # noqa: S101
    async with resources():
        app.receiver.start()
        refreshing = asyncio.create_task(refresh.forever())
        try:
            yield
        finally:
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)
            await app.receiver.close()
            await app.state.door.close()


def _watching(app: FastAPI) -> None:
    exposition = Exposition()

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:
        lacking = await missing()
        return JSONResponse(
            {"ready": not lacking, "missing": lacking}, status_code=503 if lacking else 200
        )

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(await exposition.text(), media_type="text/plain; version=0.0.4")


def answered(failure: Failure) -> Response:
    """An error answer."""
    return Response(failure.body(), failure.status, failure.headers, "application/json")


async def _told(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Failure)  # noqa: S101
    return answered(error)


async def _told_by_framework(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    failure = Failure(error.status_code, code, str(error.detail), None, dict(error.headers or {}))
    return answered(failure)


async def _told_by_id(request: Request, error: Exception) -> Response:
    return answered(unexpected(error, f"{request.method} {request.url.path}"))
