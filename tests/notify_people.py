"""People and events of the world in which notifications are told."""

from typing import Any
from uuid import UUID

from conftest import Rows


def contact(rows: Rows, number: int) -> UUID:
    """A person's contact."""
    return rows("select id from contacts where first_name = %s", f"P{number}")[0][0]


def tagged(rows: Rows, org: UUID, tag: str, numbers: list[int]) -> None:
    """Give people a tag."""
    rows("insert into tags (org_id, name) values (%s, %s)", org, tag)
    rows(
        "insert into taggings (org_id, tag_id, record_type, record_id) select %s, t.id, 'contact', c.id"
        " from tags as t, contacts as c where t.name = %s and c.first_name = any(%s)",
        org,
        tag,
        [f"P{number}" for number in numbers],
    )


def event(rows: Rows, org: UUID, hours: float, **more: Any) -> UUID:
    """An event that begins in so many hours, with three confirmed registrations and a pending one."""
    made = rows(
        "insert into events (org_id, name, location, starts_at, status) values"
        " (%s, 'Gala', 'Harbour Hall', now() + %s * interval '1 hour', %s) returning id",
        org,
        hours,
        more.get("status", "published"),
    )[0][0]
    rows(
        "insert into registrations (org_id, event_id, contact_id, status) select %s, %s, id,"
        " case when first_name = 'P6' then 'pending' else 'confirmed' end"
        " from contacts where first_name in ('P0', 'P1', 'P3', 'P6')",
        org,
        made,
    )
    # what the registrations themselves bring is not what is told here
    rows("update integration_outbox set state = 'done' where state = 'waiting'")
    return made
