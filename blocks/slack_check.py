"""What `atlvs check slack` looks at: token and workspace, scopes, channels, webhook, signing secret."""

from typing import TYPE_CHECKING

from atlvs.errors import IntegrationError, Rejected, Unauthorized, Unavailable
from atlvs.records import Finding
from blocks.slack_answers import MENDS

if TYPE_CHECKING:
    from blocks.slack import Slack

# What the service interface needs, and for what. New scopes take a reinstall by the workspace.
SCOPES = {
    "chat:write": "send messages",
    "chat:write.public": "post into public channels that the bot is not in",
    "channels:read": "list public channels",
    "groups:read": "list private channels",
    "channels:manage": "create public channels and invite to them",
    "groups:write": "create private channels and invite to them",
    "im:write": "write to people directly",
    "users:read": "list people",
    "users:read.email": "find people by their e-mail address",
}
ADD = "Add it under OAuth & Permissions, reinstall the app, then run: atlvs check slack"
MAKE = "Make an incoming webhook in the app's settings and set incoming_webhook_url to it."


async def findings_of(slack: "Slack") -> list[Finding]:
    """Everything, as far as it can be looked at."""
    found: list[Finding] = []
    if slack.has_bot:
        found.append(await _workspace(slack))
        if found[0].ok:
            found += _rights(slack)
            found += [await _channel(slack, id) for id in _routed(slack)]
    if slack.incoming_webhook_url or not slack.has_bot:
        found.append(await _hook(slack))
    return [*found, _signing(slack)]


async def _workspace(slack: "Slack") -> Finding:
    try:
        told = await slack.learn()
    except IntegrationError as error:
        return Finding(False, f"The token does not work: {error.message}", _mend(error))
    return Finding(True, f"Workspace {told['team_id']}, as {told.get('user_id', 'a bot')}.")


def _rights(slack: "Slack") -> list[Finding]:
    scopes = slack.scopes
    if scopes is None:
        return [Finding(True, "Slack did not tell which scopes the token has.")]
    lacking = [
        Finding(False, f"Scope {scope} is missing, to {why}.", ADD)
        for scope, why in SCOPES.items()
        if scope not in scopes
    ]
    return lacking or [Finding(True, "All scopes that are needed are there.")]


def _routed(slack: "Slack") -> list[str]:
    ids = {*slack.channels.values(), slack.default_channel or ""} - {""}
    return sorted(ids) if slack.may("channels:read", "groups:read") else []


async def _channel(slack: "Slack", id: str) -> Finding:
    try:
        found = (await slack.api("conversations.info", reading=True, channel=id))["channel"]
    except IntegrationError as error:
        return Finding(False, f"Channel {id}: {error.message}", _mend(error))
    if found.get("is_archived"):
        return Finding(False, f"Channel {id} is archived.", MENDS["is_archived"])
    open_to_all = not found.get("is_private") and slack.may("chat:write.public")
    if not (found.get("is_member") or open_to_all):
        return Finding(False, f"The bot is not in channel {id}.", MENDS["not_in_channel"])
    return Finding(True, f"Can post into channel {id}.")


async def _hook(slack: "Slack") -> Finding:
    """A message without a text is refused by a webhook that lives, and nobody sees it."""
    if not slack.has_hook:
        return Finding(False, "There is no incoming webhook at hooks.slack.com.", MAKE)
    try:
        await slack.post_to_hook(b"{}")
    except Rejected:
        return Finding(True, "The incoming webhook answers.")
    except IntegrationError as error:
        return Finding(False, f"The incoming webhook does not work: {error.message}", MAKE)
    return Finding(True, "The incoming webhook answers.")


def _signing(slack: "Slack") -> Finding:
    where = slack.webhook_url()
    if not slack.signing_secrets:
        text = "Events cannot be verified: there is no signing secret."
        return Finding(
            False, text, f"Set SLACK_SIGNING_SECRET, and {where} as the app's Request URL."
        )
    return Finding(True, f"Events are taken at {where}.")


def _mend(error: IntegrationError) -> str:
    """What a person does about it."""
    if error.code in ("account_taken", "account_differs"):
        return "Use another connection name."
    if isinstance(error, Unauthorized):
        return "Reinstall the app in the workspace, and set SLACK_BOT_TOKEN to its token."
    if isinstance(error, Unavailable):
        return "Try again later; https://slack-status.com tells more."
    return MENDS.get(error.code or "", "See the message.")
