"""Webhooks when something is wrong: poison, a lost database, kill -9 under load."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from web_client import PATH, WebProcess, event_body, ids, post, signed, wait_until

from atlvs.db import connections, inbox
from atlvs.errors import Rejected
from atlvs.records import ProviderEvent
from deployments.web import commits
from deployments.web.commits import GroupCommit

pytest_plugins = ["web_fixtures"]


@pytest.mark.parametrize(
    "poison",
    [
        event_body("evt_p", data={"object": {"id": "pi_1", "note": "a\0b"}}),
        event_body("evt_p\0"),
        b'{"object":"event","id":"evt_p","type":"t","created":1,"data":{"object":{"id":"pi","x":'
        + b"[" * 400
        + b"]" * 400
        + b"}}}",
    ],
)
def test_poison_fails_alone(receiver: str, rows: Any, poison: bytes) -> None:
    bodies = [event_body(f"evt_{number:02}") for number in range(20)]
    with ThreadPoolExecutor(21) as pool:
        poisoned = pool.submit(post, receiver, poison)
        answers = list(pool.map(lambda body: post(receiver, body).status_code, bodies))
    assert answers == [200] * 20
    assert poisoned.result().status_code == 400
    assert poisoned.result().json()["error"]["code"] in ("unstorable", "malformed")
    assert len(ids(rows)) == 20


async def test_poison_in_one_batch_with_others(receiving: UUID, rows: Any) -> None:
    found = await connections.find("stripe", "default")
    assert found
    connection = found[0]

    def event(number: int, note: str) -> ProviderEvent:
        return ProviderEvent(f"evt_{number}", "t", "lane", {"note": note}, None)

    committing = GroupCommit()
    answers = [
        committing.stored([(connection, event(number, "\0" if number == 2 else "fine"))], 10)
        for number in range(5)
    ]
    committing.start()
    results = await asyncio.gather(*answers, return_exceptions=True)
    await committing.close()
    assert [type(result) for result in results] == [type(None)] * 2 + [Rejected] + [type(None)] * 2
    assert ids(rows) == ["evt_0", "evt_1", "evt_3", "evt_4"]


async def test_full_queue_refuses_at_once(receiving: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MOST_WAITING", 2)
    committing = GroupCommit()  # not started: nothing leaves the queue
    committing.stored([], 1)
    committing.stored([], 1)
    with pytest.raises(commits.Unavailable):
        committing.stored([], 1)


async def test_same_events_in_opposite_order_do_not_lock_each_other(receiving: UUID) -> None:
    found = await connections.find("stripe", "default")
    assert found
    events = [ProviderEvent(f"evt_{number:04}", "t", "lane", {}, None) for number in range(400)]
    rows = [(found[0], event) for event in events]
    new = await asyncio.gather(*(inbox.store(rows[::step]) for step in (1, -1) * 4))
    assert sum(new) == 400


def test_lost_database_connections_are_not_noticed(receiver: str, rows: Any) -> None:
    assert post(receiver, event_body("evt_1")).status_code == 200
    ended = rows(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert ended
    assert post(receiver, event_body("evt_2")).status_code == 200
    assert ids(rows) == ["evt_1", "evt_2"]


def test_stuck_database_is_503_in_time_and_recovers(
    receiver: str, rows: Any, database_url: str
) -> None:
    body = event_body("evt_1")
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table integration_inbox in access exclusive mode")
        with ThreadPoolExecutor(6) as pool:
            began = monotonic()
            answers = list(pool.map(lambda _: post(receiver, body), range(6)))
        assert monotonic() - began < 9.5
        assert {answer.status_code for answer in answers} == {503}
        assert all(answer.headers["retry-after"] for answer in answers)
    assert post(receiver, body).status_code == 200
    assert ids(rows) == ["evt_1"]


def test_database_away_is_503_and_the_same_event_is_taken_later(
    receiver: str, rows: Any, postgres: str, database_url: str
) -> None:
    assert post(receiver, event_body("evt_0")).status_code == 200
    name = conninfo_to_dict(database_url)["dbname"]
    body = event_body("evt_1")
    rename(postgres, f"{name}", f"{name}_away")
    try:
        began = monotonic()
        answer = post(receiver, body)
        assert monotonic() - began < 9.5
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        ready = httpx.get(f"{receiver}/readyz", timeout=5)
        assert ready.status_code == 503
        assert ready.json()["missing"]
        assert httpx.get(f"{receiver}/healthz").status_code == 200
        assert httpx.get(f"{receiver}/metrics", timeout=15).status_code == 200
    finally:
        rename(postgres, f"{name}_away", f"{name}")
    wait_until(lambda: post(receiver, body).status_code == 200)
    assert ids(rows) == ["evt_0", "evt_1"]
    assert httpx.get(f"{receiver}/readyz", timeout=5).json() == {"ready": True, "missing": []}


def rename(postgres: str, old: str, new: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        for _ in range(100):
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [old]
            )
            with contextlib.suppress(psycopg.errors.ObjectInUse):  # somebody was quicker
                connection.execute(f'alter database "{old}" rename to "{new}"'.encode())
                return
    raise AssertionError("the database is always in use")


class Sender:
    """Several clients that deliver events until the receiver is gone, and note what was answered."""

    def __init__(self, url: str, clients: int = 8) -> None:
        self.url = url
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.odd: list[int] = []
        self._pool = ThreadPoolExecutor(clients)
        self._running = True
        self._work = [self._pool.submit(self._deliver, number) for number in range(clients)]

    def _deliver(self, client: int) -> None:
        with httpx.Client(timeout=20) as http:
            for number in range(100_000):
                if not self._running:
                    return
                event_id = f"evt_{client}_{number}"
                self.sent.add(event_id)
                body = event_body(event_id)
                try:
                    answer = http.post(self.url + PATH, content=body, headers=signed(body))
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    self.acknowledged.add(event_id)
                else:
                    self.odd.append(answer.status_code)

    def finish(self) -> None:
        """Wait for all clients to have ended."""
        self._running = False
        for work in self._work:
            work.result(30)
        self._pool.shutdown()


def test_kill_under_load_loses_nothing_that_was_acknowledged(receiving: UUID, rows: Any) -> None:
    web = WebProcess()
    sender = Sender(web.url)
    wait_until(lambda: len(sender.acknowledged) > 300)
    web.kill()
    sender.finish()
    assert sender.odd == []
    stored = ids(rows)
    assert len(stored) == len(set(stored))
    assert sender.acknowledged <= set(stored) <= sender.sent

    again = WebProcess()
    for event_id in sorted(sender.sent - sender.acknowledged):
        assert post(again.url, event_body(event_id)).status_code == 200
    again.stop()
    assert ids(rows) == sorted(sender.sent)


def test_sigterm_under_load_finishes_what_was_accepted(receiving: UUID, rows: Any) -> None:
    web = WebProcess()
    sender = Sender(web.url)
    wait_until(lambda: len(sender.acknowledged) > 100)
    code, said = web.stop()
    sender.finish()
    assert code == 0
    assert "Traceback" not in said
    assert sender.odd == []
    assert sender.acknowledged <= set(ids(rows))
