"""What every connector can do.

A *connector* is a block class, a *connection* one saved block document: its name is the block
document's name, and the same name stands in `/api/webhooks/{provider}/{connection}`. The block is
what people edit in the Prefect UI; its fields are also kept sealed in our database, so that webhooks
and the service door work while Prefect is away. A field set by the environment wins, for the
connection called "default".
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any, ClassVar, Self
from uuid import UUID
from weakref import WeakKeyDictionary

import httpx
from prefect.blocks.core import Block
from prefect.settings import PREFECT_API_URL
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, ValidationError

from atlvs.db import connections
from atlvs.db.engine import database
from atlvs.errors import Misconfigured, Rejected, Unauthorized, Unavailable
from atlvs.records import Check, Connection, ProviderEvent
from atlvs.settings import settings, variable
from blocks.targets import close_targets
from blocks.wire import Wire, close_session

DEFAULT = "default"


class Connector(Block, ABC):
    """The credentials and options of one connection, and what can be done with them."""

    # A misspelled secret is not kept as a field of its own, nor shown by a refusal.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    slug: ClassVar[str]
    environment: ClassVar[dict[str, str]] = {}  # field → variable
    receives: ClassVar[bool] = True  # the provider delivers webhooks, which `verify` knows
    received: ClassVar[tuple[int, bytes, str]] = (200, b'{"received":true}', "application/json")
    _block_schema_capabilities = ["atlvs-connector"]

    organization: UUID | None = Field(
        None, description="The organization that this connection belongs to."
    )

    _connection: Connection | None = PrivateAttr(None)

    @property
    def name(self) -> str:
        """The provider's name, as in the registry."""
        return self.slug

    @cached_property  # pydantic takes some microseconds to find a private attribute
    def connection(self) -> Connection:
        """Whose connection this is; set when it was opened."""
        if self._connection is None:
            raise Misconfigured(f"This {self.slug} block was not opened as a connection.")
        return self._connection

    @cached_property
    def wire(self) -> Wire:
        """This connection's paced and audited HTTP."""
        return Wire(self.connection, self.limits())

    @abstractmethod
    def is_configured(self) -> bool:
        """Whether all that a call needs is there. Asks nobody."""

    @abstractmethod
    async def test_connection(self) -> Check:
        """Ask the provider whether the credential works, and which rights or settings are missing."""

    @abstractmethod
    def limits(self) -> dict[str, float]:
        """Calls a second for each bucket of the provider's limits."""

    @abstractmethod
    def verify(self, body: bytes, headers: Mapping[str, str], url: str) -> list[ProviderEvent]:
        """The events in a webhook's raw body; Unauthorized when the signature is not the provider's.

        `url` is the address as the provider called it: PUBLIC_BASE_URL, raw path, raw query.
        """

    def webhook_url(self) -> str:
        """Where the provider shall deliver."""
        base = settings().public_base_url
        return f"{base}/api/webhooks/{self.slug}/{self.connection.name}"

    def handshake(
        self, method: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> tuple[int, bytes, str] | None:
        """What to answer (status, body, content type) when the provider only tries the address.

        None for everything else, which is then verified.
        """
        return None

    def get_auth_url(self) -> str:
        """Where a person grants access, for providers that use OAuth."""
        raise Rejected(self.slug, "is connected with keys, not in the browser.", code="no_oauth")

    async def handle_callback(self, code: str) -> None:
        """Finish the OAuth connection with the code from the provider."""
        raise Rejected(self.slug, "is connected with keys, not in the browser.", code="no_oauth")

    async def disconnect(self) -> None:
        """Wipe the secrets, in our database and in the block. Records stay."""
        connection = self.connection
        await connections.wipe(connection)
        if not PREFECT_API_URL.value():
            return  # else Prefect would start a server of its own in here
        try:
            await type(self).adelete(connection.name)
        except ValueError:
            return  # there never was a block of that name
        except (RuntimeError, httpx.HTTPError) as error:
            raise Unavailable(
                "prefect",
                f"the {self.slug} connection {connection.name!r} is wiped here, but no Prefect server "
                "answers: delete its block there, else it is taken over again.",
            ) from error

    @classmethod
    async def is_used(cls) -> bool:
        """Whether the organization uses it although no connection is saved, as none is needed."""
        return False

    def stored_fields(self) -> dict[str, Any]:
        """All fields as plain values, for sealing; None and the defaults are left out."""
        plain = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if name != "organization" and getattr(self, name) not in (None, field.default)
        }
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in plain.items()
        }

    @classmethod
    def from_environment(cls) -> dict[str, str]:
        """The fields that the environment sets."""
        found = {field: variable(name) for field, name in cls.environment.items()}
        return {field: value for field, value in found.items() if value is not None}

    @classmethod
    @asynccontextmanager
    async def opened(cls, name: str = DEFAULT) -> AsyncGenerator[Self]:
        """The connection, for as long as it is needed; its audit is written at the end."""
        connector = await cls.open(name)
        try:
            yield connector
        finally:
            await connector.wire.flush()

    @classmethod
    async def open(cls, name: str = DEFAULT) -> Self:
        """The connection of that name, from our sealed copy and the environment."""
        found = await connections.find(cls.slug, name)
        if found is None:
            raise Misconfigured(
                f"There is no {cls.slug} connection {name!r}. Make one: atlvs connect {cls.slug}"
            )
        connection, fields = found
        if not connection.enabled:
            raise Unauthorized(cls.slug, f"connection {name!r} is disconnected. Connect it again.")
        return cls.assembled(connection, fields)

    @classmethod
    def assembled(cls, connection: Connection, fields: Mapping[str, Any]) -> Self:
        """A connector from its stored fields, with what the environment sets on top."""
        values = dict(fields)
        if connection.name == DEFAULT:
            values |= cls.from_environment()
        try:
            connector = cls(**values, organization=connection.org_id)
        except ValidationError as error:
            wrong = {
                str(part["loc"][0]) if part["loc"] else "fields that fit" for part in error.errors()
            }
            raise Misconfigured(
                f"The {cls.slug} connection {connection.name!r} lacks: {', '.join(sorted(wrong))}."
            ) from None  # the original shows the values
        connector._connection = connection
        return connector


_holders: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()


@asynccontextmanager
async def resources() -> AsyncGenerator[None]:
    """Connections to the database and to providers, closed when the last user of this loop ends."""
    loop = asyncio.get_running_loop()
    _holders[loop] = _holders.get(loop, 0) + 1
    try:
        yield
    finally:
        _holders[loop] -= 1
        if not _holders[loop]:
            await release()


async def release() -> None:
    """Close this loop's connections to the database and to providers; the next use opens new ones."""
    await close_session()
    await close_targets()
    await database().close()
