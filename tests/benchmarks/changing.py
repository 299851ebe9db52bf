"""What our triggers add to a bulk change, beside plain statements that make the same events."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psycopg
from psycopg import Connection

from tests.benchmarks.cost import Cost
from tests.benchmarks.ground import Ground
from tests.benchmarks.reading import Say, check
from tests.benchmarks.verdict import Result, spread

FEWEST = 5  # rounds of what has a bound: other work of the machine is seen in its time
WARMING = 2_000
TABLES = """  -- `bare_former`: the rows as they were before an update
    drop table if exists bare_contacts, bare_outbox, bare_former;
    create table bare_contacts (like contacts including all,
        foreign key (org_id) references organizations on delete cascade,
        foreign key (company_id) references companies on delete set null);
    create table bare_outbox (like integration_outbox including all);
    create table bare_former (like contacts);
"""
COLUMNS = "(org_id, first_name, last_name, email, phone)"
CREATED = """
    insert into bare_outbox (org_id, type, record_type, record_id, data, source)
    select org_id, 'contact.created', 'contacts', id, to_jsonb(c), 'platform' from bare_contacts as c
"""
CHANGED = "set last_name = upper(last_name), email = 'new.' || email, updated_at = now()"
UPDATED = """
    insert into bare_outbox (org_id, type, record_type, record_id, data, changed, source)
    select c.org_id, 'contact.updated', 'contacts', c.id, to_jsonb(c),
        jsonb_build_object('last_name', f.last_name, 'email', f.email), 'platform'
    from bare_contacts as c join bare_former as f on f.id = c.id
"""
TOLD = {"insert": CREATED, "copy": CREATED, "update": UPDATED}  # way → what the plain road adds
OUTBOXES = {"contacts": "integration_outbox", "bare_contacts": "bare_outbox"}


@dataclass
class Changing:
    """The measurement: ours and the plain statements, by turns, each in one transaction."""

    ground: Ground
    say: Say
    contacts: int
    rounds: int

    def measure(self) -> list[Result]:
        """Only the insert has a bound."""
        self.ground.run(TABLES)
        for way in TOLD:  # files and caches that the first one makes
            self._timed(way, "contacts", WARMING)
            self._timed(way, "bare_contacts", WARMING)
        found = {way: self._compared(way) for way in TOLD}
        self._empty()
        self.ground.run("drop table bare_contacts, bare_outbox, bare_former")
        ours, plain = ([one.seconds for one in runs] for runs in found["insert"])
        return [
            Result(
                f"time to insert {self.contacts:,} contacts with our triggers, ours ÷ plain",
                median(ratios(ours, plain)),
                "≤ 1.3",
                detail="; ".join(f"{way}: {described(*runs)}" for way, runs in found.items()),
            )
        ]

    def _compared(self, way: str) -> tuple[list[Cost], list[Cost]]:
        ours, plain = list[Cost](), list[Cost]()
        rounds = max(self.rounds, FEWEST) if way == "insert" else self.rounds
        for number in range(rounds):
            self.say(f"{way} of {self.contacts:,} contacts, round {number + 1} of {rounds}")
            ours.append(self._timed(way, "contacts", self.contacts))
            plain.append(self._timed(way, "bare_contacts", self.contacts))
        return ours, plain

    def _timed(self, way: str, table: str, contacts: int) -> Cost:
        """To the end of the commit."""
        self._empty()
        org, outbox = str(self.ground.org), OUTBOXES[table]
        with psycopg.connect(self.ground.database_url, autocommit=True) as connection:
            if way == "update":
                change(connection, "insert", table, org, contacts)
                connection.execute(f"truncate {outbox}, bare_former cascade".encode())
                connection.execute(f"insert into bare_former table {table}".encode())
            connection.execute(f"vacuum analyze {table}, bare_former".encode())
            connection.execute("checkpoint")
            meter = self.ground.meter()
            with connection.transaction():
                change(connection, way, table, org, contacts)
                if table == "bare_contacts":
                    connection.execute(TOLD[way].encode())
            cost = meter.read()
        check(self.ground.rows(f"select count(*) from {outbox}")[0][0], contacts)
        return cost

    def _empty(self) -> None:
        self.ground.run(f"truncate {', '.join([*OUTBOXES, *OUTBOXES.values()])} cascade")


def change(connection: Connection, way: str, table: str, org: str, contacts: int) -> None:
    """Make or change so many contacts. What is copied is made up on the way, for both roads alike."""
    match way:
        case "insert":
            connection.execute(
                f"insert into {table} {COLUMNS} select '{org}', 'Ada', 'Lovelace ' || i, 'p' || i ||"
                f" '@example.net', '+1415' || (5000000 + i) from generate_series(1, {contacts}) as i".encode()
            )
        case "copy":
            lines = (
                f"{org}\tAda\tLovelace {number}\tp{number}@example.net\t+1415{5_000_000 + number}\n"
                for number in range(contacts)
            )
            with connection.cursor().copy(f"copy {table} {COLUMNS} from stdin".encode()) as copy:
                copy.write("".join(lines))
        case _:
            connection.execute(f"update {table} {CHANGED}".encode())


def ratios(ours: Sequence[float], bare: Sequence[float]) -> list[float]:
    """Round by round."""
    return [one / other for one, other in zip(ours, bare, strict=True)]


def described(ours: Sequence[Cost], bare: Sequence[Cost]) -> str:
    """Time and CPU of PostgreSQL, in ratios and in seconds of this machine."""
    times = [[one.seconds for one in runs] for runs in (ours, bare)]
    cpu = [[one["postgres"] for one in runs] for runs in (ours, bare)]
    return (
        f"time {spread(ratios(*times))}, {median(times[0]):.2f} s beside {median(times[1]):.2f} s,"
        f" CPU of PostgreSQL {spread(ratios(*cpu))}, {median(cpu[0]):.2f} s beside {median(cpu[1]):.2f} s"
    )
