"""Our core tables, as platform.sql makes them."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files


def sql_file(name: str) -> str:
    """One file of `atlvs/migrations/sql`."""
    return files("atlvs.migrations").joinpath("sql", name).read_text()


def core_statements(name: str = "platform.sql") -> Iterator[tuple[str, str]]:
    """(table, statement) for each statement of platform.sql, in order."""
    text = re.sub(r"^--.*$", "", sql_file(name), flags=re.MULTILINE)
    for statement in filter(str.strip, text.split(";\n")):
        found = re.search(r"create table (\w+)|index on (\w+)", statement)
        if found:
            yield found[1] or found[2], statement


@cache
def core_columns() -> dict[str, dict[str, str]]:
    """Core table → its columns with their types, as platform.sql has them."""
    return {
        table: dict(
            re.findall(
                r"^    (\w+) (uuid|text|timestamptz|date|bigint|numeric|boolean)", statement, re.M
            )
        )
        for table, statement in core_statements()
        if "create table" in statement
    }
