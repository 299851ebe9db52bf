"""Raising a notification: the one door through which rules, forms, the API and commands come."""

from typing import Any, Literal
from uuid import UUID

from atlvs.db import notifications
from atlvs.db.engine import database
from atlvs.db.notifications import Asked


async def raise_notification(
    org_id: UUID,
    *,
    type: str,
    key: str,
    audience: dict[str, Any],
    origin: str,
    data: dict[str, Any] | None = None,
    subject: str | None = None,
    channels: list[str] | None = None,
    mode: Literal["all", "first"] = "all",
    record_type: str | None = None,
    record_id: UUID | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Write down what is to be told; it is planned and sent by whoever drains, or by the caller's flow.

    Returns `{"id", "state", "created"}`. Rejected with the field that is wrong, or with the code
    "key_reused" when the key stands for something else.
    """
    asked = Asked(
        type=type,
        key=key,
        audience=audience,
        origin=origin,
        data=data or {},
        subject=subject,
        channels=tuple(channels or ()),
        mode=mode,
        record_type=record_type,
        record_id=record_id,
        dry_run=dry_run,
    )
    async with database().org(org_id) as tx:
        found, state, created = await notifications.raise_in(tx, org_id, asked)
    return {"id": str(found), "state": state, "created": created}
