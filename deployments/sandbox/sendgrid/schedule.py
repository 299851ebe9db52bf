"""Batches, and pausing or cancelling what was scheduled with them.

https://www.twilio.com/docs/sendgrid/api-reference/cancel-scheduled-sends
"""

from __future__ import annotations

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.call import Call, Object, Reply
from deployments.sandbox.sendgrid.errors import Refused, refusal
from deployments.sandbox.sendgrid.journey import release
from deployments.sandbox.sendgrid.shapes import checked

MOST = 10


def create_batch(call: Call) -> Reply:
    batch = call.account.ids.batch()
    call.account.batches.add(batch)
    return 201, {"batch_id": batch}


def retrieve_batch(call: Call) -> Reply:
    batch = call.path["batch_id"]
    if batch not in call.account.batches:
        raise refusal(400, "invalid batch id")
    return 200, {"batch_id": batch}


def stop(call: Call) -> Reply:
    given = checked({"*batch_id": "string", "*status": "string"}, call.fields())
    account, batch = call.account, given["batch_id"]
    _check_status(given["status"])
    if batch not in account.batches:
        raise refusal(400, "invalid batch id")
    if batch in account.scheduled:
        raise refusal(
            400,
            "a status update for that batch id already exists, please try using patch to update "
            "the existing status",
        )
    if len(account.scheduled) >= MOST:
        raise refusal(400, f"you may have at most {MOST} paused or cancelled batches")
    account.scheduled[batch] = given["status"]
    return 201, {"batch_id": batch, "status": given["status"]}


def list_stopped(call: Call) -> Reply:
    return 200, [_shown(call.account, batch) for batch in call.account.scheduled]


def retrieve_stopped(call: Call) -> Reply:
    batch = call.path["batch_id"]
    return 200, [_shown(call.account, batch)] if batch in call.account.scheduled else []


def change_stopped(call: Call) -> Reply:
    batch = _stopped(call)
    given = checked({"*status": "string"}, call.fields())
    _check_status(given["status"])
    call.account.scheduled[batch] = given["status"]
    if given["status"] == "cancel":
        _release_held(call.account, batch)
    return 204, None


def resume(call: Call) -> Reply:
    batch = _stopped(call)
    del call.account.scheduled[batch]
    _release_held(call.account, batch)
    return 204, None


def _release_held(account: Account, batch: str) -> None:
    """What is late goes out at once, or is thrown away."""
    for messages in account.held.pop(batch, []):
        release(account, messages)


def _stopped(call: Call) -> str:
    batch = call.path["batch_id"]
    if batch not in call.account.scheduled:
        raise refusal(404, "batch id not found")
    return batch


def _check_status(status: str) -> None:
    if status not in ("pause", "cancel"):
        raise Refused(400, {"field": "status", "message": "status must be pause or cancel"})


def _shown(account: Account, batch: str) -> Object:
    return {"batch_id": batch, "status": account.scheduled[batch]}
