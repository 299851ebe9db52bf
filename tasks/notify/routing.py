"""From domain events to notifications and hooks, in the transaction that marks the events told on."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from atlvs.db import hook_queue, notifications, outbox, platform, rules, subjects
from atlvs.db.engine import Transaction, database
from atlvs.db.notifications import Asked
from atlvs.db.outbox import Happened
from atlvs.db.subjects import subject_from
from atlvs.errors import IntegrationError, Misconfigured, Rejected, Unavailable
from atlvs.events import DomainEvent
from atlvs.notices import notice_type
from atlvs.rules import Rule, Subject, effective, resolved
from tasks.triggers.announcing import announcer

log = logging.getLogger(__name__)
MOST = 500


async def route_events() -> Counter[str]:
    """Raise what the rules of every organization say about its waiting events, and queue these for its
    hooks; counts by type of notification."""
    raised: Counter[str] = Counter()
    unavailable = False
    for org_id in await outbox.waiting_organizations():
        try:
            while found := await _route_some(org_id):
                raised += found
        except Misconfigured:
            raise
        except Exception as error:  # one organization's trouble is not everybody's
            if unavailable and isinstance(error, Unavailable):
                raise  # the second in a row: it is the database's
            unavailable = isinstance(error, Unavailable)
            log.warning("An organization's events wait: %s", type(error).__name__)
        else:
            unavailable = False
    return Counter({name: number for name, number in raised.items() if name})


async def _route_some(org_id: UUID) -> Counter[str]:
    """Some events together; if that fails, one alone, which is buried when it cannot be handled."""
    try:
        return await _route(org_id, MOST)
    except (IntegrationError, Misconfigured):
        raise
    except Exception as error:  # noqa: BLE001  # one poisoned event must not stop the others
        log.warning("Events are told on one by one: %s", type(error).__name__)
    try:
        return await _route(org_id, 1)
    except (IntegrationError, Misconfigured):
        raise
    except Exception as error:
        log.exception("An event cannot be told on")
        await _bury(org_id, f"{type(error).__name__}: {error}")
    return Counter({"": 1})


async def _bury(org_id: UUID, error: str) -> None:
    """No notification can be made of the oldest event: it goes to hooks, as far as it can be read at all."""
    async with database().org(org_id) as tx:
        id = await outbox.oldest(tx)
        if id is None:
            return
        try:
            async with tx.transaction():
                await outbox.take(tx, 1)
                await hook_queue.enqueue(tx, [id])
        except Exception as more:  # noqa: BLE001  # then it reaches nobody
            log.warning("An event cannot be posted either: %s", type(more).__name__)
        await outbox.bury(tx, id, error)


async def _route(org_id: UUID, most: int) -> Counter[str]:
    async with database().org(org_id) as tx:
        events = await outbox.take(tx, most)
        if not events:
            return Counter()
        await hook_queue.enqueue(tx, [event.id for event in events])
        in_force = effective(await rules.stored(tx))
        heard = {rule.event for rule in in_force if rule.enabled}
        wanted = [event for event in events if event.type in heard]
        around = await subjects.around(tx, [event.data for event in wanted])
        raised, errors = Counter[str]({"": len(events)}), dict[UUID, str]()
        for event in wanted:
            subject = subject_from(event.record_type, event.data, around)
            found, refused = await _raised(tx, org_id, in_force, event, subject)
            raised.update(map(str, found))
            if refused:
                errors[event.id] = "; ".join(refused)
        await outbox.finish(tx, [event.id for event in events], errors)
    announcer().announce(events)
    return raised


async def _raised(
    tx: Transaction, org_id: UUID, in_force: Iterable[Rule], event: Happened, subject: Subject
) -> tuple[list[str], list[str]]:
    types, refused = list[str](), list[str]()
    for rule in in_force:
        if rule.event != event.type or not rule.applies(event.data):
            continue
        try:
            asked = asked_by(rule, subject, f"{rule.name}:{event.id}", "event")
            if asked:
                await notifications.raise_in(tx, org_id, asked)
                types.append(rule.type)
        except Rejected as error:  # nothing is written by then
            refused.append(f"{rule.name}: {error.message}")
    return types, refused


def asked_by(rule: Rule, subject: Subject, key: str, origin: str) -> Asked | None:
    """What a rule asks for about a record; None when there is nobody to tell."""
    audience = resolved(rule.audience, subject)
    if audience is None:
        return None
    notice = notice_type(rule.type)
    title = f"{notice.title}: {subject.headline}" if subject.headline else notice.title
    return Asked(
        type=rule.type,
        key=key,
        audience=audience,
        origin=origin,
        data={
            name: subjects.iso(subject.data[name]) for name in subject.data if name in notice.known
        },
        subject=title,
        channels=rule.channels,
        mode=rule.mode,
        record_type=subject.record_type,
        record_id=subject.record_id,
    )


async def raise_due(
    org_id: UUID, tasks_within: timedelta, events_within: timedelta, thresholds: list[int]
) -> Counter[str]:
    """Raise what time brings: tasks falling due, events coming up, budgets crossed. Each once: the key
    holds what makes it new (the due time, the start, the threshold)."""
    raised: Counter[str] = Counter()
    async with database().org(org_id) as tx:
        in_force = effective(await rules.stored(tx))
        for event, table, rows, new in await _found(tx, tasks_within, events_within, thresholds):
            around = await subjects.around(tx, rows)
            for row in rows:
                subject = subject_from(table, row, around)
                for rule in in_force:
                    if rule.event == event and rule.applies(row):
                        key = f"{rule.name}:{row['id']}:{subjects.iso(row[new])}"
                        raised[str(rule.type)] += await _once(tx, org_id, rule, subject, key)
    return +raised


async def _found(
    tx: Transaction, tasks_within: timedelta, events_within: timedelta, thresholds: list[int]
) -> list[tuple[DomainEvent, str, list[dict[str, Any]], str]]:
    """(event, table, rows, the column whose change makes it new again) as far as the tables are there."""
    known = await platform.writable(tx)
    found: list[tuple[DomainEvent, str, list[dict[str, Any]], str]] = []
    if "tasks" in known:
        rows = await subjects.due_tasks(tx, tasks_within)
        found.append((DomainEvent.TASK_DUE_SOON, "tasks", rows, "due_at"))
    if "events" in known:
        rows = await subjects.starting_events(tx, events_within)
        found.append((DomainEvent.EVENT_STARTING, "events", rows, "starts_at"))
    if "budgets" in known:
        rows = await subjects.crossed_budgets(tx, thresholds)
        found.append((DomainEvent.BUDGET_CROSSED, "budgets", rows, "threshold"))
    return found


async def _once(tx: Transaction, org_id: UUID, rule: Rule, subject: Subject, key: str) -> int:
    """1 if it was raised now. What was raised under this key before stands, however the record reads now."""
    asked = asked_by(rule, subject, key, "due")
    try:
        return int(asked is not None and (await notifications.raise_in(tx, org_id, asked))[2])
    except Rejected as error:
        if error.code != "key_reused":
            log.warning("%s cannot be raised: %s", rule.name, error.message)
        return 0


def variables(subject: Subject, more: Mapping[str, Any]) -> dict[str, Any]:
    """A record's variables with those that somebody gave on top."""
    return {name: subjects.iso(value) for name, value in subject.data.items()} | dict(more)
