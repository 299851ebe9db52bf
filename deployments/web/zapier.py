"""What a Zapier app needs: `/api/zapier/*`, and the eight actions at `POST /api/webhooks/zapier`.

Each request has an API key, and a signature where the key is a signed one. Works while Prefect is away.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import Field
from pydantic.alias_generators import to_camel

from atlvs.db import api_keys, hooks
from atlvs.db.actions import Ground, ground
from atlvs.db.engine import database
from atlvs.errors import Rejected
from atlvs.hooks import TRIGGERS, Hook
from atlvs.records import ApiKey
from deployments.web import signatures
from deployments.web.asgi import Scope
from deployments.web.callers import Callers
from deployments.web.door import OUTCOMES, failure_from, json_body
from deployments.web.failures import Failure, later
from deployments.web.methods import parsed
from deployments.web.metrics import CALLS
from deployments.web.zapier_openapi import (
    acting,
    asking,
    listing,
    sampling,
    subscribing,
    unsubscribing,
)
from tasks.triggers.samples import samples
from tasks.triggers.subscribing import subscribe
from tasks.zapier.actions import ACTIONS, perform
from tasks.zapier.fields import Given, Line, understood

ACTING = "/api/webhooks/zapier"
PREFIX = "/api/zapier"
ALL, TRIGGERING, PERFORMING = "zapier", "zapier:triggers", "zapier:actions"
CALL_SECONDS = 25.0  # Zapier waits for 30
MOST_KEY = 255
STATUS_OF = {"not_found": 404, "key_revoked": 401}  # of a refusal; the others are 422
Answer = tuple[int, Any]
ZapId = Annotated[str, Field(max_length=100, pattern=r"^[!-~]+$")]


class Subscription(Given):
    """What is to be told, and where."""

    event: Line = Field(description="A domain event, as contact.created.")
    target_url: Annotated[str, Field(max_length=4000)] = Field(
        description="https; each event is posted there as JSON."
    )
    zap_id: ZapId | None = None
    own_writes: bool = Field(
        False, description="Whether what this key or Zap has written itself is told as well."
    )


class Call(Given):
    """An action and its input."""

    action: Line
    data: dict[str, Any]
    zap_id: ZapId | None = None


@dataclass(frozen=True)
class Asked:
    """A request that is let in."""

    key: ApiKey
    body: bytes
    request: Request
    signature: str | None  # the one that fits, where the key asks for one


@dataclass(frozen=True)
class Route:
    """One route: who may, and what it does."""

    scopes: frozenset[str]
    doing: str
    work: Callable[[Asked], Awaitable[Answer]]


def acts(scope: Scope) -> bool:
    """Whether it is an action, which no webhook receiver takes."""
    return scope["path"].rstrip("/") == ACTING


def router() -> APIRouter:
    """The six routes, documented as the door's are."""
    made = APIRouter(dependencies=[Security(HTTPBearer(auto_error=False))])
    callers = Callers()
    for path, verb, route, description in (
        (f"{PREFIX}/me", "GET", ME, asking()),
        (f"{PREFIX}/hooks", "POST", SUBSCRIBE, subscribing(Subscription)),
        (f"{PREFIX}/hooks", "GET", LIST, listing()),
        (f"{PREFIX}/hooks/{{id}}", "DELETE", UNSUBSCRIBE, unsubscribing()),
        (f"{PREFIX}/samples/{{event}}", "GET", SAMPLES, sampling()),
        (ACTING, "POST", ACT, acting({name: one.model for name, one in ACTIONS.items()})),
    ):
        made.add_api_route(path, _endpoint(route, callers), methods=[verb], **description)
    return made


async def me(asked: Asked) -> Answer:
    """Whose key it is: how Zapier tests a connection."""
    async with database().org(asked.key.org_id) as tx:
        organization = (await ground(tx)).name
    return 200, {
        "org_id": asked.key.org_id,
        "organization": organization,
        "key": asked.key.name,
        "scopes": asked.key.scopes,
        "signed": asked.key.signed,
    }


async def subscribed(asked: Asked) -> Answer:
    """Switch a Zap on: 201 when it is new, 200 when it was on."""
    given = understood(Subscription, _spelled(Subscription, parsed(asked.body)), Ground())
    hook, new = await subscribe(
        asked.key.org_id,
        asked.key.id,
        given.event,
        given.target_url,
        zap_id=given.zap_id,
        own_writes=given.own_writes,
    )
    told = {"id": hook.id, "event": hook.event, "status": hook.state, "secret": hook.secret}
    return 201 if new else 200, told | {"created_at": hook.created_at}


async def listed(asked: Asked) -> Answer:
    """The organization's subscriptions."""
    return 200, {"hooks": [_shown(one) for one in await hooks.every(asked.key.org_id)]}


async def unsubscribed(asked: Asked) -> Answer:
    """Switch a Zap off. What is off already, or never was on, is off."""
    id = asked.request.path_params["id"]
    with contextlib.suppress(ValueError):
        await hooks.unsubscribe(asked.key.org_id, UUID(id))
    return 200, {"id": id, "status": "ended"}


async def sampled(asked: Asked) -> Answer:
    """Payloads as they are posted, for setting a Zap up."""
    event, limit = asked.request.path_params["event"], asked.request.query_params.get("limit", "3")
    if event not in TRIGGERS:
        raise Failure(404, "not_found", f"There is no such event; there are {', '.join(TRIGGERS)}.")
    if limit not in ("1", "2", "3"):
        raise Failure(422, "parameter_invalid", "limit is 1, 2 or 3.", "limit")
    return 200, await samples(asked.key.org_id, event, int(limit))


async def acted(asked: Asked) -> Answer:
    """Carry an action out: 201 when it made something, 200 when it was there, changed or repeated."""
    call = understood(Call, _spelled(Call, parsed(asked.body)), Ground())
    asked.request.state.action = call.action if call.action in ACTIONS else "unknown"
    done = await perform(
        asked.key.org_id,
        asked.key.id,
        call.action,
        call.data,
        key=_key(asked.request.headers.get("idempotency-key")),
        zap_id=call.zap_id or "",
        signature=asked.signature,
    )
    return 201 if done.created else 200, done.result


ME = Route(frozenset({ALL, TRIGGERING, PERFORMING}), "use Zapier", me)
SUBSCRIBE = Route(frozenset({ALL, TRIGGERING}), "subscribe to events", subscribed)
LIST = Route(frozenset({ALL, TRIGGERING}), "read subscriptions", listed)
UNSUBSCRIBE = Route(frozenset({ALL, TRIGGERING}), "end subscriptions", unsubscribed)
SAMPLES = Route(frozenset({ALL, TRIGGERING}), "read samples", sampled)
ACT = Route(frozenset({ALL, PERFORMING}), "carry out actions", acted)


async def admitted(request: Request, callers: Callers, route: Route) -> Asked:
    """The request with its key and body; a Failure when it may not, is not signed, or comes too fast."""
    header = request.headers.get("authorization")
    key = await callers.allowed(header, set(route.scopes), route.doing)
    body = await json_body(request)
    signature = None
    if key.signed:
        secret = api_keys.signing_secret(key)
        signature = signatures.check(secret, request.scope, request.headers, body)
    await callers.paced(key)
    return Asked(key, body, request, signature)


def _endpoint(route: Route, callers: Callers) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        status = 200
        try:
            status, answer = await _answered(await admitted(request, callers, route), route)
            return Response(orjson.dumps(answer), status, media_type="application/json")
        except Exception as error:  # noqa: BLE001  # the edge of the process: every end is an answer
            failure = _failure(error, f"zapier {route.work.__name__}")
            status = failure.status
            return Response(failure.body(), status, failure.headers, "application/json")
        finally:
            outcome = "ok" if status < 300 else OUTCOMES.get(status, "refused")
            name = getattr(request.state, "action", route.work.__name__)
            CALLS.labels("zapier", name, outcome).inc()

    return endpoint


async def _answered(asked: Asked, route: Route) -> Answer:
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await route.work(asked)
    except TimeoutError:
        if asked.request.method == "GET":
            raise later("The database did not answer.", None) from None
        text = "It may have happened: ask again with the same Idempotency-Key."
        raise Failure(504, "outcome_unknown", text) from None


def _failure(error: Exception, doing: str) -> Failure:
    if isinstance(error, Rejected):
        status = STATUS_OF.get(error.code or "", 422)
        return Failure(status, error.code or "rejected", error.message, error.field)
    return failure_from(error, doing)


def _spelled(model: type[Given], given: Mapping[str, Any]) -> dict[str, Any]:
    """The body in snake_case: camelCase is taken as well."""
    snake = {to_camel(name): name for name in model.model_fields}
    spelled: dict[str, Any] = {}
    for key, value in given.items():
        name = snake.get(key, key)
        if name in spelled:
            text = f"{name!r} and {key!r} are the same parameter. Give one."
            raise Failure(422, "parameter_twice", text, key)
        spelled[name] = value
    return spelled


def _key(header: str | None) -> str | None:
    if header is not None and not 0 < len(header) <= MOST_KEY:
        text = f"An Idempotency-Key has 1 to {MOST_KEY} characters."
        raise Failure(422, "parameter_invalid", text, "Idempotency-Key")
    return header


def _shown(hook: Hook) -> dict[str, Any]:
    names = "id event target created_at last_success_at failing_since reason"
    return {name: getattr(hook, name) for name in names.split()} | {"status": hook.state}
