"""Our copy of SendGrid's suppression lists and templates."""

from atlvs.db.bulk import Mirror
from atlvs.db.engine import database
from atlvs.records import Connection

SUPPRESSIONS = Mirror("sendgrid_suppressions", "suppression_key", per_connection=True)
TEMPLATES = Mirror("sendgrid_templates", "sendgrid_template_id", per_connection=True)


async def on_list(connection: Connection, name: str) -> dict[str, float]:
    """Who was on a list when it was last read: address → when it came there, in Unix seconds."""
    async with database().org(connection.org_id) as tx:
        cursor = await tx.execute(
            "select email, extract(epoch from suppressed_at)::float8 as at from sendgrid_suppressions"
            " where connection_id = %s and list = %s and deleted_at is null",
            [connection.id, name],
        )
        return {row["email"]: row["at"] for row in await cursor.fetchall()}


async def template_ids(connection: Connection) -> set[str]:
    """The templates that there were when they were last read."""
    async with database().org(connection.org_id) as tx:
        cursor = await tx.execute(
            "select sendgrid_template_id as id from sendgrid_templates where connection_id = %s and deleted_at is null",
            [connection.id],
        )
        return {row["id"] for row in await cursor.fetchall()}
