"""Columns as PostgreSQL writes arrays down. psycopg asks for each element how it is written, which for
a few dozen rows costs more than the statement: a whole column is joined here, and cast there.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID


def texts(values: Iterable[str | None]) -> str:
    """For `%s::text[]`."""
    return f"{{{','.join('NULL' if one is None else _quoted(one) for one in values)}}}"


def plain(values: Iterable[UUID | float | None]) -> str:
    """For `%s::uuid[]`, `%s::int[]` or `%s::float8[]`: nothing in them needs quotes."""
    return f"{{{','.join('NULL' if one is None else str(one) for one in values)}}}"


def times(values: Iterable[datetime | None]) -> str:
    """For `%s::timestamptz[]`."""
    return f"{{{','.join('NULL' if one is None else one.isoformat() for one in values)}}}"


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
