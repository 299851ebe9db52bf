"""A database that is away for a moment: writing to one table fails as it does while PostgreSQL restarts."""

from __future__ import annotations

from typing import Any

# Numbers of a sequence are not given back with the transaction, so the failures can be counted.
BLIP = """
    create sequence blips_of_{table};
    create function blip_of_{table}() returns trigger language plpgsql security definer as $$
    begin
        if nextval('public.blips_of_{table}') <= {times} then
            raise exception 'a blip' using errcode = '57P01';
        end if;
        return null;
    end $$;
    create trigger blip before insert on {table} for each statement execute function blip_of_{table}();
"""


def blip(rows: Any, table: str, times: int = 1) -> None:
    """The next writes to a table fail."""
    rows(BLIP.format(table=table, times=times))


def blipped(rows: Any, table: str) -> int:
    """How many writes were tried since."""
    return rows(f"select case when is_called then last_value else 0 end from blips_of_{table}")[0][
        0
    ]
