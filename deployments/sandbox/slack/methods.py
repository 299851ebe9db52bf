"""Every method: what it takes, how often it may be called, and what carries it out.

Kinds of arguments are those of `arguments.KINDS`; a `*` marks what must be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deployments.sandbox.slack import (
    chat,
    conversations,
    history,
    membership,
    oauth,
    people,
    scheduled,
    team,
)
from deployments.sandbox.slack.call import Call

Shape = Mapping[str, str]
POSTING: Shape = {
    "text": "string",
    "as_user": "boolean",
    "attachments": "structure",
    "blocks": "structure",
    "thread_ts": "ts",
    "reply_broadcast": "boolean",
    "unfurl_links": "boolean",
    "unfurl_media": "boolean",
    "container_id": "string",
    "icon_emoji": "string",
    "icon_url": "string",
    "mrkdwn": "boolean",
    "link_names": "boolean",
    "username": "string",
    "parse": "string",
    "metadata": "structure",
    "markdown_text": "string",
    # Not in the reference; the service takes it, and does not look at it twice.
    "client_msg_id": "string",
}
PAGED: Shape = {"cursor": "string", "limit": "integer", "team_id": "string"}
READING: Shape = PAGED | {
    "channel": "*string",
    "oldest": "ts",
    "latest": "ts",
    "inclusive": "boolean",
    "include_all_metadata": "boolean",
}
CHANNEL: Shape = {"channel": "*string"}
ANY_READ = ("channels:read", "groups:read", "mpim:read", "im:read")
ANY_HISTORY = ("channels:history", "groups:history", "mpim:history", "im:history")
ANY_MANAGE = ("channels:manage", "groups:write", "im:write", "mpim:write")
ANY_INVITE = (*ANY_MANAGE, "channels:write.invites", "groups:write.invites")


@dataclass(frozen=True, slots=True)
class Method:
    """`json`: whether a JSON body is read. `scopes`: one of them is needed, none: any token."""

    run: Callable[[Call], Any]
    arguments: Shape
    lane: str
    scopes: tuple[str, ...] = ()
    json: bool = True


METHODS: dict[str, Method] = {
    "auth.test": Method(team.auth_test, {}, "special"),
    "auth.revoke": Method(oauth.revoke, {"test": "boolean"}, "tier3", json=False),
    "apps.uninstall": Method(
        oauth.uninstall, {"client_id": "*string", "client_secret": "*string"}, "tier1", json=False
    ),
    "team.info": Method(
        team.team_info, {"team": "string", "domain": "string"}, "tier3", ("team:read",), False
    ),
    "bots.info": Method(
        people.bot_info, {"bot": "string", "team_id": "string"}, "tier3", ("users:read",), False
    ),
    "chat.postMessage": Method(chat.post_message, POSTING | CHANNEL, "posting", ("chat:write",)),
    "chat.postEphemeral": Method(
        chat.post_ephemeral, POSTING | CHANNEL | {"user": "*string"}, "tier4", ("chat:write",)
    ),
    "chat.update": Method(
        chat.update_message, POSTING | CHANNEL | {"ts": "*ts"}, "tier3", ("chat:write",)
    ),
    "chat.delete": Method(
        chat.delete_message,
        CHANNEL | {"ts": "*ts", "as_user": "boolean"},
        "tier3",
        ("chat:write",),
    ),
    "chat.getPermalink": Method(
        chat.permalink, CHANNEL | {"message_ts": "*ts"}, "special", json=False
    ),
    "chat.scheduleMessage": Method(
        scheduled.schedule_message,
        POSTING | CHANNEL | {"post_at": "*integer"},
        "tier3",
        ("chat:write",),
    ),
    "chat.deleteScheduledMessage": Method(
        scheduled.delete_scheduled,
        CHANNEL | {"scheduled_message_id": "*string", "as_user": "boolean"},
        "tier3",
        ("chat:write",),
    ),
    "chat.scheduledMessages.list": Method(
        scheduled.list_scheduled,
        PAGED | {"channel": "string", "oldest": "ts", "latest": "ts"},
        "tier3",
    ),
    "conversations.open": Method(
        conversations.open_direct,
        {"channel": "string", "users": "ids", "return_im": "boolean"}
        | {"prevent_creation": "boolean"},
        "tier3",
        ("im:write", "mpim:write"),
    ),
    "conversations.close": Method(conversations.close, CHANNEL, "tier2", ANY_MANAGE),
    "conversations.create": Method(
        conversations.create,
        {"name": "string", "is_private": "boolean", "team_id": "string"},
        "tier2",
        ("channels:manage", "groups:write"),
    ),
    "conversations.invite": Method(
        membership.invite,
        CHANNEL | {"users": "ids", "force": "boolean"},
        "tier3",
        ANY_INVITE,
    ),
    "conversations.join": Method(membership.join, CHANNEL, "tier3", ("channels:join",)),
    "conversations.leave": Method(membership.leave, CHANNEL, "tier3", ANY_MANAGE),
    "conversations.kick": Method(
        membership.kick, CHANNEL | {"user": "*string"}, "tier3", ANY_MANAGE
    ),
    "conversations.archive": Method(conversations.archive, CHANNEL, "tier2", ANY_MANAGE),
    "conversations.unarchive": Method(conversations.unarchive, CHANNEL, "tier2", ANY_MANAGE),
    "conversations.rename": Method(
        conversations.rename, CHANNEL | {"name": "string"}, "tier2", ANY_MANAGE
    ),
    "conversations.setTopic": Method(
        conversations.set_topic, CHANNEL | {"topic": "*string"}, "tier2", ANY_MANAGE
    ),
    "conversations.setPurpose": Method(
        conversations.set_purpose, CHANNEL | {"purpose": "*string"}, "tier2", ANY_MANAGE
    ),
    "conversations.list": Method(
        conversations.list_conversations,
        PAGED | {"types": "ids", "exclude_archived": "boolean"},
        "tier2",
        ANY_READ,
        json=False,
    ),
    "conversations.info": Method(
        conversations.info,
        CHANNEL | {"include_locale": "boolean", "include_num_members": "boolean"},
        "tier3",
        ANY_READ,
        json=False,
    ),
    "conversations.members": Method(
        conversations.members, PAGED | CHANNEL, "tier4", ANY_READ, json=False
    ),
    "conversations.history": Method(history.history, READING, "tier3", ANY_HISTORY),
    "conversations.replies": Method(
        history.replies, READING | {"ts": "*ts"}, "tier3", ANY_HISTORY, json=False
    ),
    "users.list": Method(
        people.list_users,
        PAGED | {"include_locale": "boolean"},
        "tier2",
        ("users:read",),
        json=False,
    ),
    "users.info": Method(
        people.user_info,
        {"user": "*string", "include_locale": "boolean"},
        "tier4",
        ("users:read",),
        json=False,
    ),
    "users.lookupByEmail": Method(
        people.lookup_by_email, {"email": "*string"}, "tier3", ("users:read.email",), json=False
    ),
    "users.conversations": Method(
        membership.of_user,
        PAGED | {"types": "ids", "exclude_archived": "boolean", "user": "string"},
        "tier3",
        ANY_READ,
        json=False,
    ),
}

# Called by the app itself, without a token.
BY_CLIENT = {
    "oauth.v2.access": (
        oauth.access,
        {
            "client_id": "string",
            "client_secret": "string",
            "code": "string",
            "redirect_uri": "string",
            "grant_type": "string",
            "refresh_token": "string",
        },
    ),
    "oauth.v2.exchange": (
        oauth.exchange,
        {"client_id": "string", "client_secret": "string", "token": "*string"},
    ),
}
