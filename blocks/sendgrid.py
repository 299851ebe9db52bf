"""SendGrid: the key, what it may do, calls over our wire, and webhook signatures.

https://www.twilio.com/docs/sendgrid/api-reference · The SDK's own HTTP is not used: it has no timeout,
and prints the key when it debugs."""

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson
from pydantic import Field, HttpUrl, SecretStr

from atlvs.db import connections
from atlvs.db.consents import OPTIONAL
from atlvs.errors import IntegrationError, OutcomeUnknown, Unauthorized, Unavailable
from atlvs.events import Category, EmailTemplate
from atlvs.records import Check, Finding, ProviderEvent
from blocks.base import Connector
from blocks.sendgrid_answers import ADDRESS, masked, mend_for, refusal
from blocks.sendgrid_events import SIGNATURE, TIMESTAMP, events_from, is_signed
from blocks.wire import Answer

SEND, API = "send", "api"
MAIL = "/v3/mail/send"
WEBHOOKS = "/v3/user/webhooks/event/settings"
# Event types that we want to be told; all but "account" as flags of the event webhook.
TOLD = (
    *("processed", "delivered", "deferred", "bounce", "dropped", "open", "click"),
    *("spam_report", "unsubscribe", "group_unsubscribe", "group_resubscribe"),
)
RIGHTS = {
    "mail.send": "send mail",
    "templates.read": "read templates",
    "suppression.read": "read suppressions",
    "asm.groups.read": "read unsubscribe groups",
    "user.webhooks.event.settings.read": "read the event webhook",
}


class SendGrid(Connector):
    """The API key of one SendGrid account or subuser, and who its mail is from."""

    _block_type_name = "ATLVS SendGrid"
    _block_type_slug = "atlvs-sendgrid"
    _documentation_url = HttpUrl("https://www.twilio.com/docs/sendgrid/ui/account-and-settings")
    _description = "The API key of one SendGrid account or subuser, and who its mail is from."

    slug: ClassVar[str] = "sendgrid"
    environment: ClassVar[dict[str, str]] = {
        "api_key": "SENDGRID_API_KEY",
        "from_email": "SENDGRID_FROM_EMAIL",
        "from_name": "SENDGRID_FROM_NAME",
        "webhook_public_key": "SENDGRID_WEBHOOK_PUBLIC_KEY",
        "api_base": "SENDGRID_API_BASE",
    }

    api_key: SecretStr = Field(description="API key, starts with SG. and may send mail.")
    from_email: str = Field(description="Sender: a verified address, or one of a verified domain.")
    from_name: str | None = Field(None, description="Name of the sender, as people see it.")
    reply_to: str | None = Field(None, description="Where answers go, if not to the sender.")
    webhook_public_key: str | None = Field(
        None,
        description="Verification key of the signed event webhook; several while rotating, "
        "comma-separated.",
    )
    templates: dict[str, str] = Field(
        {}, description=f"Dynamic templates (d-…) to use for: {', '.join(EmailTemplate)}."
    )
    unsubscribe_groups: dict[str, int] = Field(
        {}, description=f"Unsubscribe groups of categories: {', '.join(Category)}."
    )
    unsubscribe_group: int | None = Field(
        None, description="Unsubscribe group of all other categories."
    )
    api_base: str = Field(
        "https://api.sendgrid.com",
        description="Where the API answers; https://api.eu.sendgrid.com for EU subusers.",
    )
    sends_per_second: float = Field(
        20.0, gt=0, description="Requests to send a second, of up to 1,000 recipients each."
    )
    calls_per_second: float = Field(8.0, gt=0, description="All other requests a second.")

    def is_configured(self) -> bool:
        """Whether there is a key of the right form, and a sender."""
        return self.api_key.get_secret_value().startswith("SG.") and "@" in self.from_email

    def limits(self) -> dict[str, float]:
        """SendGrid publishes no numbers, and says in its answers what is left."""
        return {SEND: self.sends_per_second, API: self.calls_per_second}

    def group_of(self, category: str) -> int | None:
        """The unsubscribe group of a category's mail."""
        return self.unsubscribe_groups.get(category, self.unsubscribe_group)

    def scopes_of(self, group: int) -> list[str]:
        """What somebody who leaves this group does not want any more: our categories that use it,
        all that is optional where none does."""
        return [str(one) for one in Category if self.group_of(one) == group] or [OPTIONAL]

    async def call(
        self, method: str, path: str, body: Any = None, **query: str | int | None
    ) -> Any:
        """Ask for something, as plain JSON; None where the answer has no body."""
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        answer = await self._exchange(
            method,
            f"{path}{'?' if asked else ''}{asked}",
            None if body is None else orjson.dumps(body),
            API,
        )
        if answer.status >= 300:
            raise refusal(answer, reading=method == "GET")
        try:
            return orjson.loads(answer.body) if answer.body else None
        except orjson.JSONDecodeError:
            kind = Unavailable if method == "GET" else OutcomeUnknown
            text = "the answer was cut off or is not JSON."
            raise kind("sendgrid", text, code="no_answer") from None

    async def mail(self, body: bytes, *, paced: bool = False) -> Answer:
        """Hand in a request to send; `paced`: its turn was taken. See `accepted`."""
        return await self._exchange("POST", MAIL, body, SEND, paced)

    async def test_connection(self) -> Check:
        """The key and its rights, the sender, the event webhook, templates and unsubscribe groups."""
        key, scopes = await self._key()
        findings = [key]
        if key.ok:
            findings += [await self._account(), *lacking(scopes)]
            looks = (self._sender, self._webhook, self._templates, self._groups)
            findings += [await self._looked(look) for look in looks]
        return Check("sendgrid", self.connection.name, tuple(findings))

    def verify(self, body: bytes, headers: Mapping[str, str], url: str = "") -> list[ProviderEvent]:
        """The events of a batch, signed with the private half of any of our keys."""
        signature, at = headers.get(SIGNATURE) or "", headers.get(TIMESTAMP) or ""
        if not is_signed(body, signature, at, self.public_keys()):
            raise Unauthorized(
                "sendgrid", "the webhook's signature is not of this account.", code="signature"
            )
        return events_from(body)

    def public_keys(self) -> list[str]:
        """Verification keys, as SendGrid shows them."""
        return [one.strip() for one in (self.webhook_public_key or "").split(",") if one.strip()]

    async def all_templates(self) -> list[dict[str, Any]]:
        """Dynamic templates with their versions, without bodies."""
        found, token = list[dict[str, Any]](), None
        while True:
            page = await self.call(
                "GET", "/v3/templates", generations="dynamic", page_size=200, page_token=token
            )
            found += page.get("result") or page.get("templates") or []
            after = parse_qs(urlsplit((page.get("_metadata") or {}).get("next") or "").query)
            token = next(iter(after.get("page_token", [])), None)
            if token is None:
                return found

    async def _exchange(
        self, method: str, path: str, body: bytes | None, bucket: str, paced: bool = False
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self.api_key.get_secret_value()}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = f"{self.api_base.rstrip('/')}{path}"
        try:
            return await self.wire.exchange(
                method, url, headers=headers, body=body, bucket=bucket, paced=paced
            )
        except IntegrationError as error:
            if not ADDRESS.search(error.message):
                raise
            raise type(error)(error.provider, masked(error.message), code=error.code) from None

    async def _key(self) -> tuple[Finding, set[str]]:
        try:
            found = await self.call("GET", "/v3/scopes")
        except IntegrationError as error:
            text = f"The key does not work: {error.message}"
            return Finding(False, text, mend_for(error)), set()
        return Finding(True, "The key works."), set(found["scopes"])

    async def _account(self) -> Finding:
        """Bound by its number, which stays the same when the key is replaced."""
        try:
            account = await self.call("GET", "/v3/user/username")
            await connections.bind(self.connection, str(account["user_id"]), True)
        except IntegrationError as error:
            mend = mend_for(error)
            return Finding(False, f"Whose key it is cannot be told: {error.message}", mend)
        return Finding(True, f"Account {account['user_id']}.")

    async def _looked(self, look: Any) -> Finding:
        try:
            return await look()
        except IntegrationError as error:
            what = look.__name__.strip("_")
            return Finding(False, f"The {what} cannot be checked: {error.message}", mend_for(error))

    async def _sender(self) -> Finding:
        address, domain = self.from_email.lower(), self.from_email.lower().rpartition("@")[2]
        found = await self.call("GET", "/v3/verified_senders", limit=500)
        senders = found.get("results") or []
        if any(one["verified"] and one["from_email"].lower() == address for one in senders):
            return Finding(True, "The sender is verified.")
        domains = await self.call("GET", "/v3/whitelabel/domains", limit=500)
        if any(one["valid"] and f".{domain}".endswith(f".{one['domain']}") for one in domains):
            return Finding(True, "The sender's domain is authenticated.")
        return Finding(
            False,
            "The sender is not verified: all mail will be refused.",
            "Authenticate its domain or verify the address: "
            "https://app.sendgrid.com/settings/sender_auth",
        )

    async def _webhook(self) -> Finding:
        url = self.webhook_url()
        found = await self.call("GET", f"{WEBHOOKS}/all")
        ours = next((one for one in found["webhooks"] if one["url"] == url), None)
        mend = "Run: atlvs bootstrap"
        if ours is None:
            return Finding(False, f"SendGrid has no event webhook for {url}.", mend)
        if not ours["enabled"] or not all(ours[flag] for flag in TOLD):
            return Finding(False, "The event webhook does not tell everything.", mend)
        if not ours.get("public_key"):
            return Finding(False, "The event webhook is not signed.", mend)
        if ours["public_key"] not in self.public_keys():
            mend += ", or set SENDGRID_WEBHOOK_PUBLIC_KEY to the key that SendGrid shows."
            return Finding(False, "The event webhook is signed with a key unknown here.", mend)
        return Finding(True, "Events arrive, signed.")

    async def _templates(self) -> Finding:
        if unknown := sorted(set(self.templates) - set(EmailTemplate)):
            mend = f"There are: {', '.join(EmailTemplate)}."
            return Finding(False, f"No template is called {', '.join(unknown)}.", mend)
        active = {
            one["id"]
            for one in (await self.all_templates() if self.templates else [])
            if any(version.get("active") for version in one.get("versions", []))
        }
        if wrong := sorted(key for key, id in self.templates.items() if id not in active):
            return Finding(
                False,
                f"SendGrid has no active dynamic template for {', '.join(wrong)}.",
                "Correct the id (d-…) in the connection's templates, or take it out: "
                "then our own content is sent.",
            )
        own = len(EmailTemplate) - len(self.templates)
        return Finding(True, f"{len(self.templates)} templates of SendGrid, {own} of our own.")

    async def _groups(self) -> Finding:
        wanted = {*self.unsubscribe_groups.values(), self.unsubscribe_group} - {None}
        if unknown := sorted(set(self.unsubscribe_groups) - set(Category)):
            mend = f"There are: {', '.join(Category)}."
            return Finding(False, f"No category is called {', '.join(unknown)}.", mend)
        if not wanted:
            text = "No unsubscribe group is set: mail links to our own preference page."
            return Finding(True, text)
        there = {one["id"] for one in await self.call("GET", "/v3/asm/groups")}
        if gone := wanted - there:
            text = (
                f"SendGrid has no unsubscribe group {', '.join(map(str, sorted(gone, key=str)))}."
            )
            return Finding(False, text, "Correct the connection's unsubscribe groups.")
        return Finding(True, f"{len(wanted)} unsubscribe groups are there.")


def lacking(scopes: set[str]) -> list[Finding]:
    """Rights that the key does not have. A right for an area is one for what is in it, too."""
    missing = [
        (right, does)
        for right, does in RIGHTS.items()
        if right not in scopes
        and f"{right.partition('.')[0]}.{right.rpartition('.')[2]}" not in scopes
    ]
    mend = "Give the key this right: https://app.sendgrid.com/settings/api_keys"
    return [Finding(False, f"May not {does} ({right}).", mend) for right, does in missing]
