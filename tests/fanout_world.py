"""An organization with three connected channels, people on them, and what they received.

Imported by tests, or started as a program: it then drains notifications until nothing is left, and may
be killed at any moment.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from atlvs.db import connections
from blocks.base import resources
from tasks.inbox import drain
from tasks.notify.draining import Told, drain_notifications
from tasks.notify.raising import raise_notification


class World:
    """Person i is reached by e-mail, SMS or Slack, by turns."""

    def __init__(self, sandbox: Any, rows: Any, org: UUID, people: int, url: str) -> None:
        from sendgrid_client import SENDER, Post
        from slack_workspace import Workspace
        from twilio_client import TwilioAccount

        self.rows, self.org, self.url, self.number = rows, org, url, people
        self.mail = Post(sandbox.url)
        self.phones = TwilioAccount(sandbox)
        slackers = [{"email": f"p{i}@slack.test", "name": f"P{i}"} for i in range(2, people, 3)]
        name = f"w{org.hex[:10]}"
        # With history, a message whose answer got lost can be looked up.
        scopes = ["chat:write", "chat:write.public", "im:write", "users:read", "users:read.email"]
        scopes += [
            "channels:read",
            "groups:read",
            "im:history",
            "channels:history",
            "groups:history",
        ]
        self.slack = Workspace(
            sandbox, name, people=slackers, channels=[{"name": "crew"}], scopes=scopes
        )
        self.slack.limits(off=True)
        self.fields = {
            "sendgrid": {
                "api_key": self.mail.key,
                "from_email": SENDER,
                "api_base": sandbox.base("sendgrid"),
                "webhook_public_key": self.mail.hook(f"{url}/api/webhooks/sendgrid")["public_key"],
                "sends_per_second": 100,
            },
            "twilio": {
                "account_sid": self.phones.sid,
                "auth_tokens": self.phones.token,
                "messaging_service_sid": self.phones.service,
                "api_base": sandbox.base("twilio"),
                "messages_per_second": 1_000,
            },
            "slack": {
                "bot_token": self.slack.token,
                "granted_scopes": ",".join(scopes),
                "signing_secrets": self.slack.made["signing_secret"],
                "api_base": sandbox.base("slack"),
                "default_channel": self.slack.channel("crew"),
                "posts_per_second": 1_000,
                "posts_per_second_per_channel": 100,
                "pace": 100,
            },
        }

    async def connect(self) -> None:
        """Save the three connections."""
        for provider, fields in self.fields.items():
            await connections.save(self.org, provider, "default", fields)

    def people(self) -> None:
        """People, each with one way to be reached."""
        self.rows(
            "insert into contacts (org_id, first_name, email, phone) select %s, 'P' || i,"
            " case i %% 3 when 0 then 'p' || i || '@mail.test' when 2 then 'p' || i || '@slack.test' end,"
            " case i %% 3 when 1 then '+1415' || (5000000 + i) end from generate_series(0, %s) as i",
            self.org,
            self.number - 1,
        )
        self.rows(
            "insert into integration_notification_settings"
            " (org_id, approve_above_recipients, quiet_begins, quiet_ends)"
            " values (%s, 1000000, '00:00', '00:00')",
            self.org,
        )

    async def tell(self, key: str = "k", **more: Any) -> dict[str, Any]:
        """Raise a notification that everybody gets on the one channel that works."""
        asked: dict[str, Any] = {
            "type": "task_due_soon",
            "audience": {"kind": "everyone"},
            "origin": "test",
            "data": {"task_title": "Doors", "due_at": "2030-01-01T08:00:00+00:00"},
            "channels": ["sms", "slack", "email"],
            "mode": "first",
        }
        return await raise_notification(self.org, key=key, **asked | more)

    def received(self) -> Counter[str]:
        """How often each person got something."""
        found = Counter[str]()
        for phone, number in self.phones.counts().items():
            found[f"p{int(phone[5:]) - 5000000}"] += number
        for address, number in self.mail.ask("counts").items():
            found[address.partition("@")[0]] += number
        for address, number in self.slack.counts(**{"as": "email"})["counts"].items():
            found[address.partition("@")[0]] += number
        return found


async def drained(seconds: float = 60) -> Told:
    """Handle callbacks and notifications until nothing is due."""
    total = Told()
    async with resources():
        while True:
            events = await drain(seconds)
            told = await drain_notifications(seconds)
            total.add(told)
            if not (events.events or told.events):
                return total


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    print("ready", flush=True)
    asyncio.run(drained(float(os.environ.get("DRAIN_SECONDS", "60"))))
