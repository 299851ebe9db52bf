"""An organization with notifications and deliveries of this test's own making."""

from typing import Any
from uuid import UUID

import orjson
import pytest
from conftest import Rows


class Ledger:
    """Writes and reads notifications and deliveries past row security."""

    def __init__(self, rows: Rows, org: UUID) -> None:
        self.rows, self.org = rows, org
        self.connection: UUID = self._made(
            "integration_connections", {"org_id": org, "provider": "sendgrid", "name": "ledger"}
        )

    def notification(self, type: str = "announcement", **columns: Any) -> UUID:
        """A notification that is being sent."""
        given = {"org_id": self.org, "key": f"key {self.count('integration_notifications')}"}
        given |= {"fingerprint": "", "type": type, "category": "news", "audience": "{}"}
        given |= {"channels": ["email"], "origin": "test", "state": "sending", "position": "end"}
        return self._made("integration_notifications", given | columns)

    def delivery(
        self, notification: UUID, address: str = "ada@example.com", **columns: Any
    ) -> UUID:
        """A delivery that waits."""
        given = {
            "org_id": self.org,
            "notification_id": notification,
            "recipient": f"person:{address}",
        }
        given |= {"channel": "email", "address": address, "state": "queued"}
        given |= {"connection_id": self.connection}
        return self._made("integration_deliveries", given | columns)

    def states(self) -> dict[UUID, str]:
        """Deliveries by id."""
        return dict(self.rows("select id, state from integration_deliveries"))

    def of(self, delivery: UUID, *columns: str) -> tuple:
        """Columns of one delivery."""
        names = ", ".join(columns)
        return self.rows(f"select {names} from integration_deliveries where id = %s", delivery)[0]

    def count(self, table: str) -> int:
        """Rows of a table."""
        return self.rows(f"select count(*) from {table}")[0][0]

    def _made(self, table: str, given: dict[str, Any]) -> UUID:
        names = ", ".join(given)
        marks = ", ".join(["%s"] * len(given))
        values = [
            orjson.dumps(one).decode() if isinstance(one, dict) else one for one in given.values()
        ]
        return self.rows(f"insert into {table} ({names}) values ({marks}) returning id", *values)[
            0
        ][0]


@pytest.fixture
def ledger(rows: Rows, org: UUID) -> Ledger:
    """Notifications and deliveries of a new organization."""
    return Ledger(rows, org)
