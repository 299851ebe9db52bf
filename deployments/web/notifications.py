"""`POST /api/notifications`: tell people something, once for each key. `GET …/{id}`: what became of it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atlvs.db import notifications
from atlvs.db.engine import database
from atlvs.errors import Rejected
from atlvs.events import Channel
from atlvs.notices import notice_type
from deployments.web.callers import Callers
from deployments.web.door import OUTCOMES, failure_from, json_body
from deployments.web.failures import Failure, not_found
from deployments.web.methods import parsed, wrong
from deployments.web.metrics import CALLS
from deployments.web.notifications_openapi import raising, reading
from tasks.notify.raising import raise_notification

MOST_BYTES = 5_000_000  # a list of people may be long
WRITES, READS = "notifications", "notifications:read"
Answer = tuple[int, dict[str, Any]]


class Raised(BaseModel):
    """Something to tell."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: str = Field(description="The notification type, as task_assigned.")
    key: Annotated[str, Field(min_length=1, max_length=300)] | None = Field(
        None,
        description="Your own: the same key tells it once. The Idempotency-Key header may stand for it.",
    )
    subject: Annotated[str, Field(max_length=500)] | None = Field(
        None, description="Instead of the type's own subject."
    )
    data: dict[str, Any] = Field(
        default_factory=dict, description="The variables that the type needs, and those it can use."
    )
    audience: dict[str, Any] | None = Field(
        None,
        description="Who is told, as {kind: contacts, ids: […]}. Missing: the e-mail or phone in data, "
        "else the default Slack channel, where the type goes to Slack.",
    )
    channels: list[Annotated[Channel, Field(strict=False)]] | None = Field(
        None, description="Missing: the type's own."
    )
    mode: Literal["all", "first"] = Field(
        "all", description="On all channels, or on the first that works."
    )


def router() -> APIRouter:
    """The two routes, documented as the door's are."""
    made = APIRouter(
        prefix="/api/notifications", dependencies=[Security(HTTPBearer(auto_error=False))]
    )
    callers = Callers()
    made.add_api_route("", _endpoint(raised, callers), methods=["POST"], **raising(Raised))
    made.add_api_route("/{id}", _endpoint(told, callers), methods=["GET"], **reading())
    return made


async def raised(request: Request, callers: Callers) -> Answer:
    """Write it down: 202 when it is new, 200 when the key is known."""
    header = request.headers.get("authorization")
    key = await callers.allowed(header, {WRITES}, "raise notifications")
    given = _given(await json_body(request, MOST_BYTES))
    answer = await raise_notification(
        key.org_id,
        type=given.type,
        key=_key(given.key, request.headers.get("idempotency-key")),
        data=given.data,
        subject=given.subject,
        audience=audience_of(given),
        channels=[str(channel) for channel in given.channels or ()] or None,
        mode=given.mode,
        origin="api",
    )
    return 202 if answer["created"] else 200, answer


async def told(request: Request, callers: Callers) -> Answer:
    """A notification as it stands, with its deliveries by channel and state."""
    header = request.headers.get("authorization")
    key = await callers.allowed(header, {WRITES, READS}, "read notifications")
    try:
        id = UUID(request.path_params["id"])
        async with database().org(key.org_id) as tx:
            found = await notifications.read(tx, id)
            rows = await notifications.counts(tx, id)
    except (ValueError, Rejected):
        raise not_found("There is no such notification.") from None
    deliveries: dict[str, dict[str, int]] = {}
    for row in rows:
        states = deliveries.setdefault(row["channel"], {})
        states[row["state"]] = states.get(row["state"], 0) + row["number"]
    names = "id key type category subject state reason dry_run created_at planned_at finished_at"
    return 200, {name: getattr(found, name) for name in names.split()} | {"deliveries": deliveries}


def audience_of(given: Raised) -> dict[str, Any]:
    """Who is told; where nobody is named, whom the variables name, or the type's Slack channel."""
    if given.audience is not None:
        return given.audience
    person = {name: given.data[name] for name in ("email", "phone", "name") if given.data.get(name)}
    if "email" in person or "phone" in person:
        return {"kind": "people", "people": [person]}
    if Channel.SLACK in (given.channels or notice_type(given.type).channels):
        return {"kind": "slack_channel", "channel": "default"}
    raise Failure(422, "parameter_missing", "Say who is told: audience.", "audience")


def _given(body: bytes) -> Raised:
    try:
        return Raised.model_validate_json(orjson.dumps(parsed(body)))
    except ValidationError as error:
        raise wrong(error, {}) from None  # the original shows the values
    except orjson.JSONEncodeError:
        raise Failure(422, "parameter_invalid", "The body is nested too deeply.") from None


def _key(given: str | None, header: str | None) -> str:
    if given and header and given != header:
        text = "The Idempotency-Key is not the key in the body. Give one."
        raise Failure(422, "parameter_twice", text, "Idempotency-Key")
    if header is not None and not 0 < len(header) <= 255:
        text = "An Idempotency-Key has 1 to 255 characters."
        raise Failure(422, "parameter_invalid", text, "Idempotency-Key")
    if not (found := given or header):
        text = "Give a key of your own: the same key tells it once."
        raise Failure(422, "parameter_missing", text, "key")
    return found


def _endpoint(
    work: Callable[[Request, Callers], Awaitable[Answer]], callers: Callers
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        status = 200
        try:
            status, answer = await work(request, callers)
            return Response(orjson.dumps(answer), status, media_type="application/json")
        except Exception as error:  # noqa: BLE001  # the edge of the process: every end is an answer
            failure = failure_from(error, f"notifications {work.__name__}")
            status = failure.status
            return Response(failure.body(), status, failure.headers, "application/json")
        finally:
            outcome = "ok" if status < 300 else OUTCOMES.get(status, "refused")
            CALLS.labels("notifications", work.__name__, outcome).inc()

    return endpoint
