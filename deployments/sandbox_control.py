"""The sandbox's other side: what the demo seeds there, lets happen there, and looks at."""

from dataclasses import dataclass
from typing import Any

from atlvs.errors import Unavailable
from blocks.wire import session

Json = dict[str, Any]


@dataclass(frozen=True)
class SandboxControl:
    """The controls below `/_sandbox` of a running sandbox."""

    address: str

    async def post(self, path: str, given: Json, *, refused_is_fine: bool = False) -> Any:
        """Do something; Unavailable when the sandbox refuses it."""
        async with session().post(f"{self.address}/_sandbox/{path}", json=given) as answer:
            if answer.status != 200 and not refused_is_fine:
                raise Unavailable("sandbox", f"{path}: {(await answer.text())[:300]}")
            return await answer.json()

    async def get(self, path: str, **query: Any) -> Any:
        """Look at something."""
        async with session().get(f"{self.address}/_sandbox/{path}", params=query) as answer:
            if answer.status != 200:
                raise Unavailable("sandbox", f"{path}: {(await answer.text())[:300]}")
            return await answer.json()
