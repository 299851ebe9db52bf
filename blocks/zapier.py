"""Zapier: it calls us, with API keys; our posts go to the addresses that it subscribed. Nothing of its
own is needed to use it, so a connection holds no secret.

https://docs.zapier.com/platform/build/hook-trigger
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, Self
from uuid import UUID, uuid4

from pydantic import Field, HttpUrl

from atlvs.db import api_keys, connections, hooks
from atlvs.db.engine import database
from atlvs.db.organizations import the_organization
from atlvs.errors import Misconfigured, Rejected, Unauthorized
from atlvs.records import Check, Connection, ProviderEvent
from blocks.base import DEFAULT, Connector
from blocks.zapier_check import findings_of, has_key


class Zapier(Connector):
    """Where the organization's Zapier app is."""

    _block_type_name = "ATLVS Zapier"
    _block_type_slug = "atlvs-zapier"
    _documentation_url = HttpUrl("https://docs.zapier.com/platform/build/hook-trigger")
    _description = "Zaps that are told of what happens here, and act here, with API keys."

    slug: ClassVar[str] = "zapier"
    receives: ClassVar[bool] = False
    environment: ClassVar[dict[str, str]] = {"app_url": "ZAPIER_APP_URL"}

    app_url: str | None = Field(
        None, description="Page of the Zapier app, or the link that invites to it: https://…."
    )

    @classmethod
    async def open(cls, name: str = DEFAULT) -> Self:
        """The connection; where none was saved, what the organization has without one."""
        if name == DEFAULT and await connections.find(cls.slug, name) is None:
            return cls.assembled(_unsaved(await the_organization()), {})
        return await super().open(name)

    @classmethod
    async def is_used(cls) -> bool:
        """Whether there is a key for Zapier, or a subscription."""
        try:
            org_id = await the_organization()
        except Misconfigured:  # there are several, or none
            return False
        return await has_key(org_id) or bool(await hooks.every(org_id))

    def is_configured(self) -> bool:
        """Always: Zapier brings an API key of ours, and we post to what it subscribed."""
        return True

    def limits(self) -> dict[str, float]:
        """Zapier has no API that we call; posts have a pace of their own, by address."""
        return {}

    async def test_connection(self) -> Check:
        """Keys, whether Zapier reaches us, how the subscriptions do, and whether anybody posts."""
        found = await findings_of(self.connection.org_id)
        return Check("zapier", self.connection.name, tuple(found))

    def verify(self, body: bytes, headers: Mapping[str, str], url: str) -> list[ProviderEvent]:
        """Unauthorized: Zapier sends no webhooks of its own. Its actions come with an API key."""
        text = "it signs no webhooks. Actions are posted to /api/webhooks/zapier, with an API key."
        raise Unauthorized("zapier", text, code="signature")

    def get_auth_url(self) -> str:
        """The page of the Zapier app, where a person connects it with an API key."""
        if not (self.app_url or "").startswith("https://"):
            text = "where its app is, is not told: set ZAPIER_APP_URL (app_url) to its https page."
            raise Rejected("zapier", text, code="no_app_url", field="app_url")
        return str(self.app_url)

    async def disconnect(self) -> None:
        """Revoke the keys that were given to Zapier, end all subscriptions (their Zaps are paused), and
        forget the connection."""
        async with database().org(self.connection.org_id) as tx:
            await api_keys.revoke_scoped(tx, "zapier")
            await hooks.end_all(tx, "Zapier was disconnected")
        await super().disconnect()


def _unsaved(org_id: UUID) -> Connection:
    return Connection(uuid4(), org_id, "zapier", DEFAULT, None, None, True, datetime.now(UTC))
