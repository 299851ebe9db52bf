"""People and events of the world in which notifications are told, and flow runs that tell them."""

import asyncio
from typing import Any
from uuid import UUID

from conftest import Rows
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

EVERYONE = {"kind": "everyone"}
TASK = {"task_title": "Doors", "due_at": "2030-01-01T08:00:00+00:00"}
ANY: dict[str, Any] = {
    "type": "task_due_soon",
    "audience": EVERYONE,
    "data": TASK,
    "channels": ["sms", "email"],
    "mode": "first",
}


def run(flow: Flow[..., Any], **parameters: Any) -> dict[str, Any]:
    """A flow run in this process."""
    return asyncio.run(flow(**parameters))


def artifact(key: str) -> str:
    """The newest artifact of that key."""

    async def read() -> str:
        async with get_client() as client:
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
            found = await client.read_artifacts(artifact_filter=wanted)
        return str(max(found, key=lambda one: str(one.created)).data)

    return asyncio.run(read())


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
