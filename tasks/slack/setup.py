"""What can be prepared for a connection: its workspace and scopes are learnt. The Request URL of events
and the scopes are set by hand, in the app's settings. https://api.slack.com/apps"""

from dataclasses import dataclass, field

from blocks.slack import Slack
from blocks.slack_check import SCOPES
from tasks.policy import call


@dataclass(frozen=True)
class Prepared:
    """What was done, and fields of the connection that came of it."""

    line: str
    fields: dict[str, str] = field(default_factory=dict[str, str])


@call("slack")
async def prepare(connection: Slack) -> Prepared:
    """Learn whose token it is and what it may do. Twice changes nothing."""
    name = f"slack {connection.connection.name}"
    if not connection.has_bot:
        return Prepared(f"{name}: posts through its incoming webhook.")
    told = await connection.learn()
    lacking = sorted(set(SCOPES) - (connection.scopes or set(SCOPES)))
    scopes = f"missing scopes: {', '.join(lacking)}; " if lacking else ""
    return Prepared(
        f"{name}: workspace {told['team_id']}; {scopes}events arrive once {connection.webhook_url()} "
        "is the Request URL of the app's Event Subscriptions."
    )
