"""What a person decides about a subscription: post to it again, keep its events for later, stop."""

from typing import Literal
from uuid import UUID

from atlvs.db import hook_standing, hooks
from atlvs.errors import Rejected
from atlvs.hooks import Hook

Decision = Literal["enable", "disable", "pause"]
STATE = {"enable": "active", "disable": "disabled", "pause": "paused"}
BY_A_PERSON = "a person decided it"


async def decide(
    org_id: UUID, hook_id: UUID, decision: Decision, reason: str = BY_A_PERSON
) -> tuple[Hook, bool]:
    """The subscription as it is now, and whether that changed it. Rejected when it has ended."""
    before = await found(org_id, hook_id)
    match decision:
        case "enable":
            done = await hooks.enable(org_id, hook_id)
        case "disable":
            done = await hooks.disable(org_id, hook_id, reason)
        case "pause":
            done = await hooks.pause(org_id, hook_id)
    after = await found(org_id, hook_id)
    if not done and after.state != STATE[decision]:
        raise _refused(after, decision)
    return after, (before.state, before.rests_until) != (after.state, after.rests_until)


async def found(org_id: UUID, hook_id: UUID) -> Hook:
    """A subscription of the organization; Rejected when there is none of that id."""
    hook = await hooks.find(org_id, hook_id)
    if hook is None:
        raise hook_standing.no_such_hook(hook_id)
    return hook


def _refused(hook: Hook, decision: str) -> Rejected:
    if hook.state == "disabled":
        mend = f"Enable it first: atlvs hooks enable {hook.id}"
    else:
        mend = "Switch the Zap on again: it subscribes anew."
    text = f"subscription {hook.id} is {hook.state}, and cannot be {decision}d. {mend}"
    return Rejected("hooks", text, code="not_posted_to", field="subscription")
