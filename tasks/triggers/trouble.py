"""Telling an organization that a subscription of it is not posted to any more."""

from uuid import UUID

from atlvs.db import hooks, notifications
from atlvs.db.engine import Transaction
from atlvs.db.notifications import Asked
from atlvs.events import Channel, NotificationType


async def tell_owner(tx: Transaction, org_id: UUID, hook_id: UUID, reason: str) -> None:
    """In the transaction that disables it: by e-mail to whom its key belongs to, else to Slack."""
    owner = await hooks.owner_of(tx, hook_id)
    found = await hooks.named(tx, hook_id)
    asked = Asked(
        type=NotificationType.CONNECTION_TROUBLE,
        key=f"hook {hook_id} disabled {found['updated_at']:%Y-%m-%d %H:%M}",
        audience={"kind": "people", "people": [{"email": owner}]}
        if owner
        else {"kind": "slack_channel", "channel": "default"},
        origin="hooks",
        data={
            "connection": f"{found['event']} to {found['shown']}",
            "reason": reason,
            "mend": f"When the target is mended: atlvs hooks enable {hook_id}",
        },
        channels=(Channel.EMAIL,) if owner else (Channel.SLACK,),
        record_type="integration_hooks",
        record_id=hook_id,
    )
    await notifications.raise_in(tx, org_id, asked)
