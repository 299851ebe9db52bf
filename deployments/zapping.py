"""The demo's third part: a Zap that listens to new contacts, and one that makes contacts of a web form."""

import asyncio
from typing import Any
from uuid import UUID

from atlvs.db import api_keys
from atlvs.errors import Unavailable
from deployments.commands.output import console, table
from deployments.sandbox_control import SandboxControl

FORMS = (
    {"name": "Hedy", "mail": "hedy@example.com"},
    {"name": "Radia", "mail": "radia@example.com"},
)
CONTACT = {"first_name": "{{name}}", "email": "{{mail}}"}
Json = dict[str, Any]


class Zapping:
    """Two Zaps of the sandbox's Zapier, and what they saw and did."""

    def __init__(self, control: SandboxControl, org_id: UUID, web_url: str) -> None:
        self.control, self.org_id, self.web_url = control, org_id, web_url

    async def tell(self) -> None:
        """Two forms come in, each twice, as after a lost answer; the other Zap hears of two contacts."""
        key, _ = await api_keys.create(self.org_id, "Zapier", ("zapier",))
        listening = await self._zap(key, trigger={"event": "contact.created"})
        action = {"action": "contact.create", "data": CONTACT, "idempotency": True}
        acting = await self._zap(key, action=action)
        for number, form in enumerate(FORMS):
            for _ in range(2):
                asked = {"hook": f"form {number}", "data": form}
                await self.control.post(f"zapier/zaps/{acting['id']}/run", asked)
        acted = await self._until("runs", 2 * len(FORMS), zap=acting["id"], state="success")
        heard = await self._until("received", len(FORMS), target=listening["target"])
        rows = [
            *({"zap": "web form → contact.create", "what": _done(run)} for run in acted),
            *({"zap": "contact.created → listens", "what": _heard(run)} for run in heard),
        ]
        console.print(table("Two Zaps", rows))

    async def _zap(self, key: str, **given: Any) -> Json:
        wanted = {"api_base": self.web_url, "api_key": key, "account": "demo", **given}
        zap = await self.control.post("zapier/zaps", wanted)
        if zap["error"]:
            raise Unavailable("demo", f"a Zap could not be switched on: {zap['error']}")
        return zap

    async def _until(self, what: str, number: int, **query: str) -> list[Json]:
        for _ in range(200):
            found = await self.control.get(f"zapier/{what}", **query)
            if len(found) >= number:
                return found
            await asyncio.sleep(0.1)
        raise Unavailable("demo", f"Zapier's {what} are too few after 20 s.")


def _done(run: Json) -> str:
    """201 the first time, 200 when it was done before."""
    made = "made" if run["status"] == 201 else "there already"
    return f"{run['fields']['first_name']}: {made} ({run['answer']['id'][:8]}…)"


def _heard(post: Json) -> str:
    contact = post["body"]["data"]
    return f"{contact['first_name']} {contact['email']} ({contact['id'][:8]}…)"
