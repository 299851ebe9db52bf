"""Bringing the database to a revision, under a lock that two bootstraps share."""

from collections.abc import Callable
from threading import Lock

from alembic import command
from alembic.config import Config
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from atlvs.errors import Misconfigured

LOCK = 0x41544C56  # "ATLV"
_alembic = Lock()  # its context is one for the whole process


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade as the owner. `url` is a plain postgresql:// URL."""
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str = "base") -> None:
    """Undo migrations down to `revision`; core tables of an existing platform stay untouched."""
    _run(url, lambda config: command.downgrade(config, revision))


def _run(url: str, work: Callable[[Config], None]) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    config = Config()
    config.set_main_option("script_location", "atlvs:migrations")
    try:
        with _alembic, engine.connect() as lock, engine.connect() as connection:
            lock.exec_driver_sql(f"select pg_advisory_lock({LOCK})")
            config.attributes["connection"] = connection
            work(config)
            connection.commit()
    except OperationalError as error:
        raise Misconfigured(f"The database cannot be reached: {error.orig}") from error
    except ProgrammingError as error:  # Alembic's own statements
        if isinstance(error.orig, InsufficientPrivilege):
            raise _not_allowed(error.orig) from error
        raise
    except InsufficientPrivilege as error:  # ours
        raise _not_allowed(error) from error
    finally:
        engine.dispose()


def _not_allowed(error: InsufficientPrivilege) -> Misconfigured:
    return Misconfigured(
        f"The migrations may not do their work: {error.diag.message_primary}. Set "
        "ATLVS_OWNER_DATABASE_URL to the owner of the database, who may create roles."
    )
