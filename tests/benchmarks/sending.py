"""Telling people: what a message costs, how many go out a second, memory, and how soon they arrive."""

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import time
from typing import Any

from atlvs.db import connections
from tasks.notify.raising import raise_notification
from tests.benchmarks.bare_sender import TABLE
from tests.benchmarks.cost import output_of
from tests.benchmarks.ground import Ground, python, wait_until
from tests.benchmarks.reading import Run, Say, check, parts
from tests.benchmarks.verdict import Result, spread

LATENCY = 0.1
IN_FLIGHT = 32
PER_REQUEST = 1_000
PLENTY = 10_000  # messages a second: nothing of ours holds anything back
FOREVER = 100_000.0  # seconds that a message travels: nothing more becomes of it
TOLD_PER_SECOND = 4
DATA = {"task_title": "Build the stage", "due_at": "2030-01-01T08:00:00+00:00"}
TEXT = "Due Tue 1 Jan 2030, 08:00 UTC: Build the stage."
TABLES = ("contacts", "integration_notifications", "integration_deliveries", "integration_outbox")
NUMBER, SENDER = "+14155552671", "noreply@example.com"


@dataclass
class Sending:
    """The measurements."""

    ground: Ground
    say: Say
    messages: int
    large: int
    small: int
    rounds: int
    twilio: dict[str, Any] = field(default_factory=dict[str, Any])

    async def measure(self) -> list[Result]:
        """All of them."""
        self.ground.run(f"drop table if exists bare_messages; {TABLE}")
        await self._connect()
        results = [*self._cost(), self._paced(), *self._mail()]
        return results + await self._soon()

    async def _connect(self) -> None:
        """A Twilio and a SendGrid account without limits, that call nobody back."""
        sandbox = self.ground.sandbox
        sandbox.limits("twilio", off=True)
        sandbox.limits("sendgrid", off=True)
        sandbox.webhooks(drop=1.0)
        self.twilio = self._account(transit=FOREVER)
        fields = {
            "account_sid": self.twilio["account"],
            "auth_tokens": self.twilio["auth_token"],
            "messaging_service_sid": self.twilio["services"]["alerts"],
            "api_base": sandbox.base("twilio"),
            "messages_per_second": PLENTY,
        }
        await connections.save(self.ground.org, "twilio", "default", fields)
        key = f"SG.{'b' * 22}.{'b' * 43}"
        sandbox.control("POST", "sendgrid/seed", {"key": key, "senders": [SENDER]})
        fields = {"api_key": key, "from_email": SENDER, "api_base": sandbox.base("sendgrid")}
        await connections.save(self.ground.org, "sendgrid", "default", fields)

    def _account(self, **settings: Any) -> dict[str, Any]:
        wanted = {
            "key": "bench",
            "services": [{"name": "alerts", "numbers": [NUMBER]}],
            "settings": {"scale": None, **settings},
        }
        return self.ground.sandbox.control("POST", "twilio/seed", wanted)

    def _cost(self) -> list[Result]:
        """CPU of a message, against the bare sender."""
        ours, bare = [], []
        rounds = (
            self.rounds if self.rounds < 3 else self.rounds + 2
        )  # short ones, which differ more
        for number in range(rounds):
            self.say(f"sending {self.messages:,} SMS, round {number + 1} of {rounds}")
            ours.append(self._ours(self.messages))
            bare.append(self._bare(self.messages))
        ratios = [one.cpu / other.cpu for one, other in zip(ours, bare, strict=True)]
        each = [1000 * median(one.cpu for one in runs) / self.messages for runs in (ours, bare)]
        rates = [
            self.messages / median(one.told["seconds"] for one in runs) for runs in (ours, bare)
        ]
        return [
            Result(
                "CPU of an SMS, ours ÷ bare",
                median(ratios),
                "≤ 1.5",
                detail=f"{spread(ratios)}; ours {each[0]:.2f} ms, {rates[0]:,.0f} a second "
                f"({parts(ours)}); bare {each[1]:.2f} ms, {rates[1]:,.0f} a second ({parts(bare)})",
            )
        ]

    def _paced(self) -> Result:
        """Messages a second where each call takes a while."""
        self.ground.sandbox.latency(LATENCY, "twilio")
        most, number = IN_FLIGHT / LATENCY, max(1_000, self.messages // 2)
        found = []
        for place in range(self.rounds):
            self.say(f"sending {number:,} SMS at 100 ms a call, round {place + 1} of {self.rounds}")
            found.append(number / self._ours(number).told["seconds"] / most)
        self.ground.sandbox.latency(0, "twilio")
        return Result(
            f"SMS a second at 100 ms a call, of the {most:,.0f} that {IN_FLIGHT} calls allow",
            median(found),
            "≥ 0.85",
            detail=f"{spread(found)}; {spread([one * most for one in found], '{:,.0f}')} a second",
        )

    def _ours(self, number: int) -> Run:
        self._people(number)
        self._program("plan", asked=told_by("sms"))
        return self._measured(lambda: self._sent(number))

    def _sent(self, number: int) -> dict[str, Any]:
        told = self._program("send", channel="sms")["send"]
        check(told["states"].get("sent", 0), number)
        return told

    def _bare(self, number: int) -> Run:
        self.ground.empty()
        self.ground.run(
            "truncate bare_messages; insert into bare_messages (number, body)"
            f" select '+1415' || (5000000 + i), '{TEXT}' from generate_series(1, {number}) as i"
        )
        task = {
            "url": f"{self.ground.sandbox.base('twilio')}/2010-04-01/Accounts/"
            f"{self.twilio['account']}/Messages.json",
            "account": self.twilio["account"],
            "token": self.twilio["auth_token"],
            "service": self.twilio["services"]["alerts"],
            "callback": "http://127.0.0.1:8080/api/webhooks/twilio/default",
            "database": self.ground.database_url,
        }
        command = python("tests.benchmarks.bare_sender")
        environment = self.ground.environment
        run = self._measured(lambda: json.loads(output_of(command, environment, json.dumps(task))))
        check(run.told["messages"], number)
        return run

    def _measured(self, program: Callable[[], dict[str, Any]]) -> Run:
        """From rows that were planned a moment ago."""
        self.ground.run("analyze")
        meter = self.ground.meter()
        told = program()
        return Run(meter.read(client=told["cpu"]), told)

    def _mail(self) -> list[Result]:
        """Planning and sending e-mail: few and many recipients, each in a process of its own."""
        small, large = [], []
        for number in range(self.rounds):
            self.say(f"e-mail to {self.large:,} people, round {number + 1} of {self.rounds}")
            small.append(self._mailed(self.small))
            large.append(self._mailed(self.large))
        planned = [self.large / one["plan"]["seconds"] for one in large]
        sent = [self.large / one["send"]["seconds"] for one in large]
        peaks = [median(one["peak"] for one in runs) for runs in (small, large)]
        requests = median(one["requests"] for one in large)
        return [
            Result(
                f"requests for e-mail to {self.large:,} people",
                requests,
                f"≤ {math.ceil(self.large / PER_REQUEST)}",
                "{:.0f}",
                f"{spread(sent, '{:,.0f}')} recipients a second",
            ),
            Result(
                "recipients planned a second",
                median(planned),
                "≥ 5000",
                "{:,.0f}",
                spread(planned, "{:,.0f}"),
                counts=False,
            ),
            Result(
                f"growth of the peak from {self.small:,} to {self.large:,} recipients, MB",
                peaks[1] - peaks[0],
                "≤ 15",
                "{:.1f}",
                f"{peaks[0]:.0f} and {peaks[1]:.0f} MB",
            ),
        ]

    def _mailed(self, number: int) -> dict[str, Any]:
        self._people(number)
        before = self.ground.sandbox.stats("sendgrid").get("requests", 0)
        told = self._program("plan", "send", asked=told_by("email"), channel="email")
        check(told["send"]["states"].get("sent", 0), number)
        return told | {"requests": self.ground.sandbox.stats("sendgrid")["requests"] - before}

    async def _soon(self) -> list[Result]:
        """From a raised notification to Twilio, with the processes that do it in production."""
        number = TOLD_PER_SECOND * (5 if self.messages < 5_000 else 20)
        self.say(f"{number} notifications, {TOLD_PER_SECOND} a second, with the drainer")
        self._people(number)
        self._account(transit=0.0)
        raised: dict[str, float] = {}
        with self.ground.drainer():
            await asyncio.sleep(8)  # it listens
            for place in range(number):
                await asyncio.sleep(1 / TOLD_PER_SECOND)
                phone = f"+1415{5_100_000 + place}"
                raised[phone] = time()
                people = {"kind": "people", "people": [{"phone": phone}]}
                asked = told_by("sms") | {"key": f"soon {place}", "audience": people}
                await raise_notification(self.ground.org, origin="api", **asked)
            await asyncio.to_thread(wait_until, lambda: self._arrived() == number)
        waits = [one["at"] - raised[one["to"]] for one in self._received() if one["to"] in raised]
        check(len(waits), number)
        return [
            Result(
                "raised notification to its SMS at Twilio, median, s",
                median(waits),
                "≤ 1",
                detail=f"{number} notifications, the longest {max(waits):.2f} s",
                counts=False,
            ),
            Result(
                "raised notification to its SMS at Twilio, 95th percentile, s",
                quantiles(waits, n=20)[18],
                "≤ 2",
                counts=False,
            ),
        ]

    def _arrived(self) -> int:
        return self.ground.rows(
            "select count(*) from integration_deliveries where state = 'sent' and address like '+14155100%'"
        )[0][0]

    def _received(self) -> list[dict[str, Any]]:
        return self.ground.sandbox.control("GET", "twilio/received", key="bench")

    def _people(self, number: int) -> None:
        """So many contacts, none of them told anything; no quiet hours, no approval."""
        org = f"'{self.ground.org}'"
        self.ground.empty()
        self.ground.run(
            f"truncate {', '.join(TABLES)} cascade",
            "insert into contacts (org_id, first_name, last_name, email, phone) select"
            f" {org}, 'Ada', 'Lovelace ' || i, 'p' || i || '@example.net', '+1415' || (5000000 + i)"
            f" from generate_series(1, {number}) as i",
            "truncate integration_outbox cascade",
            "insert into integration_notification_settings (org_id, approve_above_recipients,"
            f" approve_above_cost_cents, quiet_begins, quiet_ends) values ({org}, 10000000, 100000000,"
            " '00:00', '00:00') on conflict do nothing",
            "analyze contacts",
        )

    def _program(self, *steps: str, **given: Any) -> dict[str, Any]:
        given = {"org": str(self.ground.org), **given}
        command = python("tests.benchmarks.fan_out", *steps, "--given", json.dumps(given))
        return json.loads(output_of(command, self.ground.environment))


def told_by(channel: str) -> dict[str, Any]:
    """What everybody is told."""
    return {
        "type": "task_due_soon",
        "key": f"bench {channel}",
        "audience": {"kind": "everyone"},
        "data": DATA,
        "channels": [channel],
    }
