"""Dynamic templates: our copy of their list, and what one looks like when it is filled in.

https://www.twilio.com/docs/sendgrid/api-reference/transactional-templates
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from atlvs.db.bulk import mark_deleted, upsert
from atlvs.db.engine import Transaction, database
from atlvs.db.sendgrid import TEMPLATES, template_ids
from atlvs.errors import Rejected
from atlvs.records import Connection, Counts
from blocks.sendgrid import SendGrid
from tasks.policy import retriable, retrying
from tasks.sendgrid.handlebars import Unrenderable, rendered_apart
from tasks.sendgrid.letters import notice_for, source
from tasks.sendgrid.variables import UNSEEN, clean, one_line, shown

Json = dict[str, Any]
FEW = 10


@dataclass
class TemplatesRead:
    """What was read of the templates, and what came of it."""

    counts: Counts = field(default_factory=Counts)
    notes: list[str] = field(default_factory=list[str])


@retriable("sendgrid.read_templates")
async def read_templates(
    connector: SendGrid, allow_deletes: bool = False, dry_run: bool = False
) -> TemplatesRead:
    """Read all dynamic templates into our copy."""
    whose, asked_at = connector.connection, await database().now()
    found = {one["id"]: one for one in await retrying()(connector.all_templates)}
    gone = sorted(await template_ids(whose) - set(found))
    read = TemplatesRead()
    if len(gone) > FEW and not allow_deletes:
        read.counts.skip("vanished, held", len(gone))
        read.notes.append(
            f"{len(gone):,} templates are no longer at SendGrid. Nothing was deleted. If that is "
            "right, run the full sync again with allow_deletes."
        )
        gone = []
    async with database().org(whose.org_id) as tx:
        read.counts += await _stored(tx, whose, found, gone, asked_at)
        if dry_run:
            await tx.rollback()
    return read


async def _stored(
    tx: Transaction,
    whose: Connection,
    found: dict[str, Json],
    gone: list[str],
    asked_at: datetime,
) -> Counts:
    rows = [row_of(one, asked_at) for one in found.values()]
    counts = await upsert(tx, whose, TEMPLATES, rows)
    if gone:
        counts.deleted = await mark_deleted(tx, TEMPLATES, gone, whose)
    return counts


def row_of(template: Json, fetched_at: datetime) -> Json:
    """A template as we keep it: its active version, without bodies."""
    version = active(template) or {}
    return {
        "sendgrid_template_id": template["id"],
        "name": template.get("name"),
        "subject": version.get("subject"),
        "version_id": version.get("id"),
        "template_updated_at": time_of(template.get("updated_at")),
        "raw": orjson.dumps(template).decode().replace("\\u0000", ""),
        "fetched_at": fetched_at,
    }


def active(template: Json) -> Json | None:
    """The version that is sent."""
    return next((one for one in template.get("versions", []) if one.get("active")), None)


def time_of(text: Any) -> datetime | None:
    """SendGrid's times of templates have no zone, and are UTC."""
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)
    except ValueError:
        return None


async def preview(connector: SendGrid, template: str, data: Mapping[str, Any]) -> Json:
    """A template of SendGrid's, or our own content of a key, filled in: subject, html and text."""
    wanted = template if template.startswith("d-") else connector.templates.get(template)
    parts = await _of_sendgrid(connector, wanted) if wanted else _own(template)
    given = {name: clean(value) for name, value in data.items()}
    try:
        told = await rendered_apart(parts, given | {"shown": shown(given)})
    except Unrenderable as error:
        raise Rejected(
            "sendgrid", f"the template cannot be rendered: {error}", code="template_faulty"
        ) from None
    return told | {"subject": one_line(UNSEEN.sub(" ", told["subject"]), 998)}


async def _of_sendgrid(connector: SendGrid, template: str) -> dict[str, str]:
    found = await connector.call("GET", f"/v3/templates/{template}")
    version = active(found)
    if version is None:
        raise Rejected("sendgrid", "the template has no active version.", code="template_inactive")
    names = {"subject": "subject", "html": "html_content", "text": "plain_content"}
    return {name: str(version.get(there) or "") for name, there in names.items()}


def _own(template: str) -> dict[str, str]:
    notice = notice_for(template)
    parts = source(str(notice.type)).without_marks()
    return {"subject": parts.subject, "html": parts.html, "text": parts.text}
