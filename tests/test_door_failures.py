"""The service door in front of methods that fail, or take too long."""

import asyncio
import logging
from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from prefect import task
from web_client import Caller, new_key, refused, serving, wait_until

from atlvs.errors import Misconfigured, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks.stripe import Stripe
from deployments.web import door as door_module
from deployments.web.app import create_app
from deployments.web.door import Door
from deployments.web.methods import method_of

pytest_plugins = ["web_fixtures"]
SECRET = "sk_test_very_secret"
SLOW_ENDED: list[str] = []


@task(name="stripe.write_slowly")
async def write_slowly(connection: Stripe, request: UUID, note: str) -> dict[str, str]:
    """Take two seconds."""
    await asyncio.sleep(2)
    SLOW_ENDED.append(note)
    return {"note": note}


@task(name="stripe.read_slowly")
async def read_slowly(connection: Stripe) -> dict[str, str]:
    """Take two seconds."""
    await asyncio.sleep(2)
    SLOW_ENDED.append("read")
    return {}


FAILURES: dict[str, Exception] = {
    "rejected": Rejected("stripe", "no.", code="card_declined", field="payment_method"),
    "unauthorized": Unauthorized("stripe", "no."),
    "unavailable": Unavailable("stripe", "no.", retry_after=2.5),
    "unknown": OutcomeUnknown("stripe", "no answer."),
    "misconfigured": Misconfigured("Set STRIPE_SECRET_KEY."),
    "internal": RuntimeError(f"Authorization: Bearer {SECRET}"),
}


@task(name="stripe.fail")
async def fail(connection: Stripe, how: str) -> None:
    """Fail as asked."""
    raise FAILURES[how]


@pytest.fixture
def own(door_org: UUID) -> Iterator[Caller]:
    """The door with methods that misbehave."""
    app = create_app()
    tasks = {"write_slowly": write_slowly, "read_slowly": read_slowly, "fail": fail}
    own_door = Door([method_of("stripe", name, one) for name, one in tasks.items()])
    app.state.door = own_door
    app.include_router(own_door.router())
    SLOW_ENDED.clear()
    with serving(app) as address:
        yield Caller(address, new_key(door_org, "services"))


@pytest.mark.parametrize(
    ("how", "status", "code", "field", "retry_after"),
    [
        ("rejected", 422, "card_declined", "payment_method", None),
        ("unauthorized", 502, "provider_unauthorized", None, None),
        ("unavailable", 503, "unavailable", None, "3"),
        ("unknown", 504, "outcome_unknown", None, None),
        ("misconfigured", 503, "not_configured", None, "60"),
    ],
)
def test_errors_as_answers(
    own: Caller, how: str, status: int, code: str, field: str | None, retry_after: str | None
) -> None:
    answer = own("fail", {"how": how})
    assert refused(answer, status, code, field)
    assert answer.headers.get("retry-after") == retry_after


def test_fault_of_ours_tells_an_id_and_no_secret(
    own: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = own("fail", {"how": "internal"})
    assert refused(answer, 500, "internal")
    assert SECRET not in answer.text + caplog.text
    fault = answer.json()["error"]["message"].rsplit(" ", 1)[1].rstrip(".")
    assert any(fault in record.getMessage() for record in caplog.records)


def test_write_goes_on_when_its_caller_leaves(own: Caller) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{own.url}/api/services/stripe/write_slowly",
            json={"note": "kept"},
            headers={"Authorization": f"Bearer {own.key}"},
            timeout=0.5,
        )
    wait_until(lambda: SLOW_ENDED == ["kept"])


def test_call_is_bounded(own: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "CALL_SECONDS", 0.3)
    assert refused(own("write_slowly", {"note": "late"}), 504, "outcome_unknown")
    assert refused(own("read_slowly"), 503, "unavailable")
    wait_until(lambda: SLOW_ENDED == ["late"])
