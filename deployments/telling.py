"""The demo's second half: people are told about payments, and what their phones and inboxes received."""

import asyncio
from datetime import time
from typing import Any
from uuid import UUID

from atlvs.db import consents, habits, inbox, notifications, overview, records
from atlvs.db.engine import database
from atlvs.errors import Unavailable
from blocks import CONNECTORS
from blocks.base import DEFAULT
from blocks.slack import Slack
from deployments.commands.output import console, step, table
from deployments.sandbox_control import SandboxControl
from flows.notify import send_event_reminder
from flows.notify.report import masked
from tasks.connections import connect
from tasks.slack.service import list_channels

KEY, CHANNEL = "demo", "production"
SENDER = "tickets@example.com"
NUMBER, PHONE, OTHER_PHONE = "+14155552671", "+14155550123", "+14155550124"
GUESTS = (
    ("Grace", "Hopper", "grace@example.com", None),
    ("Alan", "Turing", None, PHONE),
    ("Edith", "Clarke", None, OTHER_PHONE),
    ("Katherine", "Johnson", "bounce@example.com", None),
)
Json = dict[str, Any]


class Telling:
    """Slack, SendGrid and Twilio of the sandbox, connected, and what arrives there."""

    def __init__(self, control: SandboxControl, org_id: UUID) -> None:
        self.control, self.org_id = control, org_id
        self.slack: Json = {}
        self.sendgrid_key = f"SG.{'d' * 22}.{'e' * 43}"

    async def connect(self) -> None:
        """The three connections, as `atlvs connect` makes them."""
        people = [{"email": "ada@example.com", "name": "Ada Lovelace"}]
        self.slack = await self.control.post(
            "slack/seed", {"key": KEY, "people": people, "channels": [CHANNEL]}
        )
        phones = await self.control.post(
            "twilio/seed",
            {"key": KEY, "numbers": [NUMBER], "settings": {"scale": None, "transit": 0.0}},
        )
        mailboxes = {"bounce@example.com": "bounce"}
        await self.control.post("sendgrid/seed", {"key": self.sendgrid_key, "senders": [SENDER]})
        await self.control.post(
            "sendgrid/settings", {"key": self.sendgrid_key, "mailboxes": mailboxes}
        )
        secrets = {"bot_token": self.slack["token"]}
        secrets |= {"signing_secrets": self.slack["signing_secret"]}
        await self._save("slack", **secrets)
        await self._save("slack", **secrets, default_channel=await self._channel())
        await habits.change(
            self.org_id, quiet_begins=time(0), quiet_ends=time(0)
        )  # it may be night
        await self._save("sendgrid", api_key=self.sendgrid_key, from_email=SENDER)
        await self._save(
            "twilio",
            account_sid=phones["account"],
            auth_tokens=phones["auth_token"],
            phone_number=NUMBER,
        )

    async def tell(self) -> None:
        """All of it: who is told of the payments so far, of an event, and who does not want to be."""
        await self.settled()
        event = await self._event()
        await self._remind(event)
        step(f"{PHONE[:-4]}… answers STOP; the next reminder does not reach that phone")
        await self._stop()
        await send_event_reminder(event, ["sms"], hours_before=24 * 40, dry_run=False)
        await self.settled()
        await self._show()

    async def _remind(self, event: UUID) -> None:
        """A reminder to guests: a dry run first, then once, however often it is asked for."""
        hours = 24 * 31.0
        dry = await send_event_reminder(event, ["email", "sms"], hours, dry_run=True)
        await self._show_planned(UUID(dry["notification"]))
        for _ in range(2):
            await send_event_reminder(event, ["email", "sms"], hours, dry_run=False)
        await self.settled()

    async def _stop(self) -> None:
        """Somebody answers STOP: from then on they get no SMS, whatever is sent."""
        reply = {"from": PHONE, "to": NUMBER, "body": "STOP"}
        await self.control.post("twilio/act", {"key": KEY, "action": "reply", **reply})
        for _ in range(100):
            async with database().org(self.org_id) as tx:
                if await consents.refusals(tx, "sms", [PHONE]):
                    return
            await asyncio.sleep(0.1)
        raise Unavailable("demo", "STOP did not arrive within 10 s.")

    async def settled(self) -> None:
        """Until everything is sent, and every callback handled."""
        for _ in range(300):
            async with database().org(self.org_id) as tx:
                waiting = await notifications.under_way(tx)
            if not waiting and not (await inbox.backlog())["waiting"]:
                return
            await asyncio.sleep(0.1)
        raise Unavailable("demo", "messages still wait after 30 s.")

    async def _show_planned(self, notification: UUID) -> None:
        async with database().org(self.org_id) as tx:
            rows = await overview.sample(tx, notification)
        console.print(table("Dry run: who would get what", [masked(row) for row in rows]))

    async def _show(self) -> None:
        """What Slack's channels, the inboxes and the phones received, and the states of deliveries."""
        slack = await self.control.get("slack/received", key=KEY)
        mails = await self.control.get("sendgrid/received", key=self.sendgrid_key)
        texts = await self.control.get("twilio/received", key=KEY)
        rows = [
            *({"where": f"#{one['channel_name']}", "what": one["text"]} for one in slack),
            *({"where": one["recipient"], "what": one["subject"]} for one in mails),
            *({"where": one["to"], "what": one["body"]} for one in texts),
        ]
        console.print(table("What people received", rows))
        async with database().org(self.org_id) as tx:
            console.print(table("Deliveries", await overview.totals(tx)))

    async def _event(self) -> UUID:
        async with database().org(self.org_id) as tx:
            event = await records.create_event(tx, self.org_id, "Harbour concert")
            for first, last, email, phone in GUESTS:
                guest = await records.create_contact(tx, self.org_id, first, last, email, phone)
                await records.create_registration(
                    tx, self.org_id, event, guest, 0, "usd", status="confirmed"
                )
        return event

    async def _save(self, provider: str, **fields: str) -> None:
        base = {"api_base": f"{self.control.address}/{provider}"}
        console.print(await connect(CONNECTORS[provider], self.org_id, DEFAULT, fields | base))

    async def _channel(self) -> str:
        """Channels are kept by id: names change."""
        async with Slack.opened(DEFAULT) as slack:
            found = await list_channels.fn(slack)
        return next(one["id"] for one in found["channels"] if one["name"] == CHANNEL)
