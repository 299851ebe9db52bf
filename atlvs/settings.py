"""The environment, read here and nowhere else.

A field of a connector names its variable (`env` in `blocks`), and reads it through `variable`.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from atlvs.errors import Misconfigured
from atlvs.hooks import PER_SECOND
from atlvs.targets import is_loopback


class TableMap(BaseModel):
    """Where an existing platform keeps one of our tables: its name, and ours → its columns."""

    table: str
    columns: dict[str, str] = Field(default_factory=dict)


class Settings(BaseSettings):
    """Everything that a process reads from its environment, besides providers' credentials."""

    model_config = SettingsConfigDict(
        extra="ignore", env_ignore_empty=True, populate_by_name=True, hide_input_in_errors=True
    )

    database_url: SecretStr | None = Field(None, alias="DATABASE_URL")
    owner_database_url: SecretStr | None = Field(None, alias="ATLVS_OWNER_DATABASE_URL")
    data_dir: Path = Field(Path(".atlvs"), alias="ATLVS_DATA_DIR")
    encryption_keys: SecretStr | None = Field(None, alias="ATLVS_ENCRYPTION_KEYS")
    public_base_url: str = Field("http://127.0.0.1:8080", alias="PUBLIC_BASE_URL")
    prefect_api_url: str | None = Field(None, alias="PREFECT_API_URL")
    organization: str | None = Field(None, alias="ATLVS_ORG")
    tables: dict[str, TableMap] = Field(default_factory=dict, alias="ATLVS_TABLES")
    listen_host: str = Field("127.0.0.1", alias="ATLVS_LISTEN_HOST")
    listen_port: int = Field(8080, alias="ATLVS_LISTEN_PORT")
    webhook_max_bytes: int = Field(5_000_000, alias="ATLVS_WEBHOOK_MAX_BYTES")
    platform_url: str | None = Field(None, alias="ATLVS_PLATFORM_URL")
    hooks_per_second: float = Field(PER_SECOND, alias="ATLVS_HOOKS_PER_SECOND", gt=0)
    hooks_loopback: bool = Field(False, alias="ATLVS_HOOKS_LOOPBACK")
    settle_seconds: float = Field(90, alias="ATLVS_SETTLE_SECONDS", gt=0)
    checkpoints: Annotated[tuple[str, ...], NoDecode] = Field((), alias="ATLVS_KILL_AT")

    @field_validator("checkpoints", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value

    @field_validator("public_base_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @model_validator(mode="after")
    def _hooks_stay_outside(self) -> Self:
        host = urlsplit(self.public_base_url).hostname or ""
        if self.hooks_loopback and not is_loopback(host):
            raise ValueError(
                "ATLVS_HOOKS_LOOPBACK lets hooks into this machine, for the demo and tests; with a public "
                "PUBLIC_BASE_URL it is refused"
            )
        return self

    @property
    def embedded(self) -> bool:
        """Whether we start PostgreSQL ourselves."""
        return self.database_url is None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once. `settings.cache_clear()` reads again (tests, demo)."""
    try:
        return Settings()  # pyright: ignore[reportCallIssue]  # every field comes from the environment
    except ValueError as error:
        raise Misconfigured(f"The environment cannot be read: {error}") from error


def set_variables(**values: str) -> None:
    """Change the process's environment, for itself and its children (the demo does)."""
    os.environ.update(values)
    settings.cache_clear()


def variable(name: str) -> str | None:
    """One variable of the environment; empty counts as unset."""
    return os.environ.get(name) or None
