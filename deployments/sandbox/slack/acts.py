"""What the outside world does: people come and go, talk, click; owners take rights away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deployments.sandbox.slack.events import click, emit, tell_of_message
from deployments.sandbox.slack.ids import Ids
from deployments.sandbox.slack.membership import depart, enter
from deployments.sandbox.slack.messages import keep
from deployments.sandbox.slack.oauth import remove_app, revoke_token
from deployments.sandbox.slack.people import View, user_shown
from deployments.sandbox.slack.received import channels_named
from deployments.sandbox.slack.seed import add_channel, add_person
from deployments.sandbox.slack.workspace import Channel, Message, User, Workspace

if TYPE_CHECKING:
    from deployments.sandbox.slack.provider import SlackSandbox

Given = dict[str, Any]
Act = Callable[["SlackSandbox", Workspace, Given], Given]


def person(workspace: Workspace, given: Given) -> User:
    wanted = str(given.get("user") or given.get("id"))
    found = workspace.users.get(wanted) or workspace.by_email.get(wanted.lower())
    if found is None:
        raise LookupError(f"no user {wanted}")
    return found


def place(workspace: Workspace, given: Given) -> Channel:
    return channels_named(workspace, str(given.get("channel") or given.get("id")))[0]


def _told(workspace: Workspace, user: User, event: str) -> Given:
    shown = user_shown(user, workspace.id, View(emails=True))
    emit(workspace, {"type": event, "user": shown})
    return shown


def _join(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    return _told(workspace, add_person(workspace, given), "team_join")


def _deactivate(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    return _set(workspace, given, deleted=True)


def _reactivate(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    return _set(workspace, given, deleted=False)


def _set(workspace: Workspace, given: Given, **changes: Any) -> Given:
    user = person(workspace, given)
    for name, value in changes.items():
        setattr(user, name, value)
    user.updated = workspace.seconds()
    if user.deleted:
        for channel in workspace.channels.values():
            if not channel.is_direct:
                channel.members.pop(user.id, None)
    return _told(workspace, user, "user_change")


def _change_email(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    user = person(workspace, given)
    workspace.change_email(user, given["email"])
    return _told(workspace, user, "user_change")


def _rename_user(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    return _set(workspace, given, real_name=given["name"])


def _invite_bot(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    channel = place(workspace, given)
    enter(workspace, channel, workspace.bot.id, workspace.owner.id)
    return _plain(channel)


def _remove_bot(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    channel = place(workspace, given)
    depart(workspace, channel, workspace.bot.id)
    return _plain(channel)


def _join_channel(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    channel = place(workspace, given)
    enter(workspace, channel, person(workspace, given).id)
    return _plain(channel)


def _leave_channel(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    channel = place(workspace, given)
    depart(workspace, channel, person(workspace, given).id)
    return _plain(channel)


def _make_channel(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    return _plain(add_channel(workspace, given))


def _archive(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    channel = place(workspace, given)
    channel.archived = True
    event = {"type": "channel_archive", "channel": channel.id, "user": workspace.owner.id}
    emit(workspace, event)
    return _plain(channel)


def _unarchive(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    channel = place(workspace, given)
    channel.archived = False
    return _plain(channel)


def _rename_channel(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    channel = place(workspace, given)
    workspace.rename(channel, given["name"])
    event = {"id": channel.id, "name": channel.name, "created": channel.created}
    emit(workspace, {"type": "channel_rename", "channel": event})
    return _plain(channel)


def _delete_channel(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    channel = place(workspace, given)
    workspace.remove(channel)
    emit(workspace, {"type": "channel_deleted", "channel": channel.id})
    return _plain(channel)


def _restrict(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    """`kind`: read_only, thread_only, non_threadable, any other word, or nothing."""
    channel = place(workspace, given)
    channel.restriction = given.get("kind")
    return _plain(channel)


def _plain(channel: Channel) -> Given:
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "members": list(channel.members),
        "archived": channel.archived,
        "restriction": channel.restriction,
    }


def _say(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    """A person writes into a channel, or without one to the bot."""
    user = person(workspace, given)
    pair = frozenset({user.id, workspace.bot.id})
    direct = given.get("channel") is None
    channel = workspace.direct(pair, user.id)[0] if direct else place(workspace, given)
    message = Message(workspace.stamp(), user.id, given["text"], is_bot=False)
    message.thread_ts = given.get("thread_ts")
    keep(channel, message)
    tell_of_message(workspace, channel, message)
    return {"channel": channel.id, "ts": message.ts}


def _click(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    """A person presses a button: {"user", "channel", "ts", "action_id", "value"?, "block_id"?}."""
    user, channel = person(workspace, given), place(workspace, given)
    message = channel.messages[given["ts"]]
    named = ("action_id", "block_id", "value")
    action = {name: given[name] for name in named if name in given}
    payload = {
        "type": "block_actions",
        "team": {"id": workspace.id, "domain": workspace.name},
        "user": {"id": user.id, "username": user.name, "team_id": workspace.id},
        "api_app_id": workspace.app.id,
        "token": workspace.app.verification_token,
        "container": {"type": "message", "message_ts": message.ts, "channel_id": channel.id},
        "trigger_id": f"{Ids(message.ts).digits(12)}.{workspace.ids.digits(11)}",
        "channel": {"id": channel.id, "name": channel.name or "directmessage"},
        "message": {"type": "message", "user": message.user, "ts": message.ts}
        | {"text": message.text},
        "actions": [{"type": "button", "action_ts": workspace.stamp(), **action}],
    }
    return {"id": click(workspace, payload), "trigger_id": payload["trigger_id"]}


def _uninstall(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    remove_app(sandbox, workspace)
    return {"installed": workspace.installed}


def _revoke_tokens(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    """`error`: with which words the tokens are refused from now on."""
    for token in sandbox.grants.of(workspace):
        if token.state == "live":
            revoke_token(sandbox, token, given.get("error", "token_revoked"))
    return {"installed": workspace.installed}


def _expire_tokens(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    for token in sandbox.grants.of(workspace):
        token.expires_at = workspace.clock.now()
    return {}


def _install(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    """The owner installs the app again, by hand: a living token with these scopes."""
    workspace.installed = True
    for token in sandbox.grants.of(workspace):
        token.state, token.expires_at = "live", None
        token.scopes = tuple(given.get("scopes", token.scopes))
    return {"installed": True}


def _set_scopes(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    for token in sandbox.grants.of(workspace):
        token.scopes = tuple(given["scopes"])
    return {"scopes": given["scopes"]}


ACTS: dict[str, Act] = {
    "join_workspace": _join,
    "deactivate_user": _deactivate,
    "reactivate_user": _reactivate,
    "change_email": _change_email,
    "rename_user": _rename_user,
    "invite_bot": _invite_bot,
    "remove_bot": _remove_bot,
    "join_channel": _join_channel,
    "leave_channel": _leave_channel,
    "create_channel": _make_channel,
    "archive_channel": _archive,
    "unarchive_channel": _unarchive,
    "rename_channel": _rename_channel,
    "delete_channel": _delete_channel,
    "restrict_channel": _restrict,
    "say": _say,
    "click": _click,
    "uninstall_app": _uninstall,
    "install_app": _install,
    "revoke_tokens": _revoke_tokens,
    "expire_tokens": _expire_tokens,
    "set_scopes": _set_scopes,
}
