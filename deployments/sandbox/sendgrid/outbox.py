"""Events on their way to the webhooks: written down, gathered into batches, signed.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from deployments.sandbox.deliveries import Delivery
from deployments.sandbox.sendgrid.ids import base64url
from deployments.sandbox.sendgrid.messages import Message, custom_args
from deployments.sandbox.sendgrid.webhook import Webhook

if TYPE_CHECKING:
    from deployments.sandbox.sendgrid.account import Account

ENGAGEMENT = frozenset(
    ("open", "click", "spamreport", "unsubscribe", "group_unsubscribe", "group_resubscribe")
)
FLAG = {"spamreport": "spam_report"}
Pending = tuple[str, str, bytes]


@dataclass(slots=True)
class Outbox:
    account: Account
    pending: dict[str, list[Pending]] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None
    number: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311  repeatable

    def emit(self, message: Message, kind: str, **more: Any) -> None:
        self.account.told[kind] += 1
        webhooks = self._wanting(kind)
        if webhooks:
            self._gather(webhooks, kind, self._event(message, kind, more))

    def emit_about_account(self, kind: str, **more: Any) -> None:
        self.account.told[kind] += 1
        event = {"event": kind, "timestamp": self.account.seconds(), **more}
        event["sg_event_id"] = base64url(self.account.ids.rng.randbytes(16))
        self._gather(self._wanting(kind), kind, event)

    def settle(self) -> None:
        """At the end of a call: send at once, or see to it that someone will."""
        if not any(self.pending.values()):
            return
        if self.account.settings.batch_seconds <= 0:
            self.flush()
        elif self.timer is None:
            self._arm()

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.pending.clear()

    def flush(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        for identifier, events in self.pending.items():
            webhook = self.account.webhooks.get(identifier)
            if events and webhook is not None:
                self._send(webhook, events)
        self.pending.clear()

    def _wanting(self, kind: str) -> list[Webhook]:
        if kind in self.account.world.dispatcher.policy.drop_types:
            return []
        flag = FLAG.get(kind, kind)
        return [each for each in self.account.webhooks.values() if each.wants(flag)]

    def _gather(self, webhooks: list[Webhook], kind: str, event: dict[str, Any]) -> None:
        # The service's keys are in order, as its language writes maps.
        entry = (kind, event["sg_event_id"], orjson.dumps(event, option=orjson.OPT_SORT_KEYS))
        for webhook in webhooks:
            events = self.pending.setdefault(webhook.id, [])
            events.append(entry)
            if self.rng.random() < self.account.settings.duplicate_events:
                events.append(entry)
            if len(events) >= self.account.settings.batch_events:
                self._send(webhook, events)
                self.pending[webhook.id] = []
        if self.timer is None:
            self._arm()

    def _arm(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # filled before the server runs: `settle` of the first call arms it
            return
        self.timer = loop.call_later(max(0.0, self.account.settings.batch_seconds), self.flush)

    def _send(self, webhook: Webhook, events: list[Pending]) -> None:
        if self.account.settings.shuffle_events:
            self.rng.shuffle(events)
        room = self.account.settings.batch_bytes
        batch: list[Pending] = []
        for event in events:
            room -= len(event[2]) + 3
            if batch and (room < 0 or len(batch) >= self.account.settings.batch_events):
                self._post(webhook, batch)
                batch, room = [], self.account.settings.batch_bytes - len(event[2])
            batch.append(event)
        self._post(webhook, batch)

    def _post(self, webhook: Webhook, events: list[Pending]) -> None:
        kinds = {kind for kind, _, _ in events}
        self.account.world.dispatcher.enqueue(
            Delivery(
                provider="sendgrid",
                url=webhook.shown["url"],
                kind=kinds.pop() if len(kinds) == 1 else "batch",
                key=events[0][1],
                # The line ends are part of what is signed.
                body=b"[" + b",\r\n".join(event for _, _, event in events) + b"]\r\n",
                sign=webhook.sign,
                account=self.account.name,
            )
        )

    def _event(self, message: Message, kind: str, more: dict[str, Any]) -> dict[str, Any]:
        mail = message.mail
        body = mail.body
        event = {
            **custom_args(message),
            "email": message.email,
            "event": kind,
            "sg_event_id": self._event_id(message, kind),
            "sg_message_id": message.id,
            "timestamp": self.account.seconds(),
        }
        if kind not in ENGAGEMENT:
            event["smtp-id"] = f"<{mail.id}@geopod-ismtpd-17>"
        if categories := body.get("categories"):
            event["category"] = categories if len(categories) > 1 else categories[0]
        if "asm" in body:
            event["asm_group_id"] = body["asm"]["group_id"]
        if pool := body.get("ip_pool_name"):
            event["pool"] = {"name": pool, "id": self.account.number % 1_000}
        return event | more

    def _event_id(self, message: Message, kind: str) -> str:
        """Unique; the service's own are readable for delivery events, too."""
        self.number += 1
        told = f"{kind}-{self.number}-{self.account.number}-{message.mail.id}-{message.number}"
        return base64url(told.encode())
