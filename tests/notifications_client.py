"""A client of `/api/notifications` for tests."""

from dataclasses import dataclass
from typing import Any

import httpx
import orjson

PATH = "/api/notifications"


@dataclass
class Raiser:
    """A client with an API key."""

    url: str
    key: str

    def __call__(self, given: Any, **headers: str) -> httpx.Response:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(
            self.url + PATH,
            content=given if isinstance(given, bytes) else orjson.dumps(given),
            headers={"Authorization": f"Bearer {self.key}", **told},
            timeout=20,
        )

    def read(self, id: str) -> httpx.Response:
        return httpx.get(
            f"{self.url}{PATH}/{id}", headers={"Authorization": f"Bearer {self.key}"}, timeout=20
        )
