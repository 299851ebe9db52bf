"""Twilio: keys of one account, its HTTP, and who it is that calls back.

https://www.twilio.com/docs/messaging/api · https://www.twilio.com/docs/voice/api
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from pydantic import Field, HttpUrl, SecretStr

from atlvs.db import connections
from atlvs.errors import IntegrationError, Unauthorized
from atlvs.records import Check, Finding, ProviderEvent
from atlvs.settings import settings
from blocks.base import Connector
from blocks.twilio_errors import MENDS, mend_for, parsed
from blocks.twilio_webhooks import events_in, signed_form

Json = dict[str, Any]
Fields = Mapping[str, str] | Sequence[tuple[str, str]]
API, MESSAGES, CALLS = "api", "messages", "calls"  # buckets of the pace
ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
# What a segment costs about, in US dollars, by how a number begins: rounded, of 2026, without
# carriers' own fees. https://www.twilio.com/en-us/sms/pricing
SEGMENT_PRICES = {
    "+": 0.12,
    "+1": 0.0083,
    "+31": 0.11,
    "+33": 0.08,
    "+34": 0.08,
    "+39": 0.09,
    "+41": 0.08,
    "+43": 0.10,
    "+44": 0.05,
    "+49": 0.11,
    "+52": 0.06,
    "+55": 0.07,
    "+61": 0.06,
}


class Twilio(Connector):
    """Keys and sender of one Twilio account."""

    _block_type_name = "ATLVS Twilio"
    _block_type_slug = "atlvs-twilio"
    _documentation_url = HttpUrl("https://www.twilio.com/docs/iam/api-keys")
    _description = "Keys and sender of one Twilio account, for SMS and calls."

    slug: ClassVar[str] = "twilio"
    received: ClassVar[tuple[int, bytes, str]] = (200, b"<Response/>", "text/xml")
    environment: ClassVar[dict[str, str]] = {
        "account_sid": "TWILIO_ACCOUNT_SID",
        "auth_tokens": "TWILIO_AUTH_TOKEN",
        "api_key_sid": "TWILIO_API_KEY_SID",
        "api_key_secret": "TWILIO_API_KEY_SECRET",
        "phone_number": "TWILIO_PHONE_NUMBER",
        "messaging_service_sid": "TWILIO_MESSAGING_SERVICE_SID",
        "api_base": "TWILIO_API_BASE",
    }

    account_sid: str = Field(description="The account, starts with AC.")
    auth_tokens: SecretStr | None = Field(
        None,
        description="Auth tokens, comma-separated while rotating: the first one calls, all of them "
        "verify webhooks.",
    )
    api_key_sid: str | None = Field(
        None, description="API key that calls instead of the auth token, starts with SK."
    )
    api_key_secret: SecretStr | None = Field(None, description="Secret of the API key.")
    phone_number: str | None = Field(
        None, description="Number that calls come from, and SMS without a messaging service: +1…."
    )
    messaging_service_sid: str | None = Field(
        None, description="Messaging service that SMS are sent with, starts with MG."
    )
    segment_prices: dict[str, float] = Field(
        SEGMENT_PRICES,
        description="What a segment costs about, by how a number begins (the longest fits), for "
        "estimates.",
    )
    currency: str = Field("usd", description="The currency of these prices.")
    messages_per_second: float | None = Field(
        None, gt=0, description="SMS a second; 1 for a number and 10 for a service if not given."
    )
    concurrency: int = Field(
        32, gt=0, description="Requests at the same time, of one process; Twilio refuses many."
    )
    api_base: str = Field("https://api.twilio.com", description="Where the API answers.")

    @cached_property
    def _gate(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self.concurrency)

    def is_configured(self) -> bool:
        """Whether there is an account and something to sign in with."""
        return bool(ACCOUNT_SID.fullmatch(self.account_sid) and self._credentials())

    def limits(self) -> dict[str, float]:
        """A number sends one segment a second; a service as many as it has numbers. Calls: one a second."""
        usual = 10.0 if self.messaging_service_sid else 1.0
        return {MESSAGES: self.messages_per_second or usual, CALLS: 1.0, API: 50.0}

    @property
    def is_real(self) -> bool:
        """Whether the real Twilio answers, and not a sandbox."""
        return (urlsplit(self.api_base).hostname or "").endswith(".twilio.com")

    def can_be_called_back(self) -> bool:
        """Whether Twilio can deliver to PUBLIC_BASE_URL."""
        return settings().public_base_url.startswith("https://") or not self.is_real

    def path(self, rest: str) -> str:
        """Where something of this account is: `path("/Messages.json")`."""
        return f"/2010-04-01/Accounts/{quote(self.account_sid, safe='')}{rest}"

    def messaging_url(self, path: str) -> str:
        """An address of the messaging API, which has a host of its own at the real Twilio."""
        base = self.api_base.rstrip("/")
        return (base.replace("//api.", "//messaging.", 1) if self.is_real else base) + path

    def segment_price(self, number: str) -> float:
        """What a segment to this number costs about."""
        prices = self.segment_prices
        fitting = max(filter(number.startswith, prices), key=len, default="")
        return prices.get(fitting, max(prices.values(), default=0.0))

    async def get(self, path: str, query: Fields = (), *, by_token: bool = False) -> Json:
        """GET as plain data. `path` may be a whole address, or hold a query, as Twilio's links do."""
        address = path if "://" in path else self.api_base.rstrip("/") + path
        url = f"{address}?{urlencode(query)}" if query else address
        return await self._asked("GET", url, None, API, paced=False, by_token=by_token)

    async def post(
        self, path: str, fields: Fields, bucket: str = API, *, paced: bool = False
    ) -> Json:
        """POST a form. No answer, or none that tells, is OutcomeUnknown."""
        url = path if "://" in path else self.api_base.rstrip("/") + path
        return await self._asked("POST", url, form_of(fields), bucket, paced=paced)

    async def test_connection(self) -> Check:
        """Account, sender, messaging service, and whether replies and callbacks reach us."""
        found = [await self._account()]
        if found[0].ok:
            found += [*await self._number(), *await self._service(), *self._callbacks()]
        return Check("twilio", self.connection.name, tuple(found))

    def verify(self, body: bytes, headers: Mapping[str, str], url: str) -> list[ProviderEvent]:
        """The one event of a delivery, signed with any of the auth tokens over all of it."""
        form = signed_form(body, headers, url, self._tokens())
        return events_in(form, url, self.account_sid)

    def _tokens(self) -> list[str]:
        text = self.auth_tokens.get_secret_value() if self.auth_tokens else ""
        return [token.strip() for token in text.split(",") if token.strip()]

    def _credentials(self, by_token: bool = False) -> tuple[str, str] | None:
        tokens = self._tokens()
        secret = self.api_key_secret.get_secret_value() if self.api_key_secret else ""
        if self.api_key_sid and secret and not (by_token and tokens):
            return self.api_key_sid, secret
        return (self.account_sid, tokens[0]) if tokens else None

    async def _asked(
        self,
        method: str,
        url: str,
        body: str | None,
        bucket: str,
        *,
        paced: bool,
        by_token: bool = False,
    ) -> Json:
        headers = {
            "Authorization": basic(self._credentials(by_token)),
            "Accept": "application/json",
        }
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with self._gate:
            answer = await self.wire.exchange(
                method, url, headers=headers, body=body, bucket=bucket, paced=paced
            )
        return parsed(answer, reading=method == "GET")

    async def _account(self) -> Finding:
        if not self._tokens():
            return await self._account_by_key()
        try:
            account = await self.get(self.path(".json"), by_token=True)
            sid, status, kind = (str(account.get(name)) for name in ("sid", "status", "type"))
            del account  # it holds the auth token
            await connections.bind(self.connection, sid, True)
        except IntegrationError as error:
            return Finding(False, f"The account does not answer: {error.message}", mend_for(error))
        if status != "active":
            return Finding(False, f"Account {sid} is {status}.", "See the Twilio console.")
        trial = " It is a trial: only verified numbers get messages." if kind == "Trial" else ""
        return Finding(True, f"Account {sid} is active.{trial}")

    async def _account_by_key(self) -> Finding:
        """Standard API keys may do all that we need, and not see the account itself."""
        try:
            await self.get(self.path("/IncomingPhoneNumbers.json"), {"PageSize": "1"})
            await connections.bind(self.connection, self.account_sid, True)
        except IntegrationError as error:
            return Finding(False, f"The account does not answer: {error.message}", mend_for(error))
        return Finding(True, f"The API key works for account {self.account_sid}.")

    async def _number(self) -> list[Finding]:
        if not self.phone_number:
            if self.messaging_service_sid:
                return [
                    Finding(
                        True, "No number is set: SMS go through the service, calls cannot be made."
                    )
                ]
            mend = "Set TWILIO_MESSAGING_SERVICE_SID or TWILIO_PHONE_NUMBER."
            return [Finding(False, "There is nothing to send from.", mend)]
        try:
            number = await self.own_number()
        except IntegrationError as error:
            return [Finding(False, f"Numbers cannot be read: {error.message}", mend_for(error))]
        if number is None:
            mend = "Set TWILIO_PHONE_NUMBER to a number of this account, as +1…."
            return [Finding(False, "The number does not belong to the account.", mend)]
        able = number.get("capabilities") or {}
        lacking = [name for name in ("sms", "voice") if not able.get(name)]
        needed = "voice" if self.messaging_service_sid else "sms"
        text = f"Number {number['sid']} " + (
            f"cannot {' and '.join(lacking)}." if lacking else "may send SMS and call."
        )
        mend = "Buy a number with SMS and voice in the console." if lacking else ""
        found = [Finding(needed not in lacking, text, mend)]
        return found if self.messaging_service_sid else [*found, self._replies(number, "sms_url")]

    async def _service(self) -> list[Finding]:
        if not self.messaging_service_sid:
            return []
        try:
            service = await self.own_service()
            pool = await self.get(
                self.messaging_url(f"/v1/Services/{quote(service['sid'])}/PhoneNumbers"),
                {"PageSize": "50"},
            )
        except IntegrationError as error:
            mend = "Set TWILIO_MESSAGING_SERVICE_SID as the console has it."
            return [Finding(False, f"The messaging service cannot be read: {error.message}", mend)]
        senders = len(pool.get("phone_numbers") or [])
        text = f"Messaging service {service['sid']} has {senders or 'no'} phone numbers."
        mend = "" if senders else "Add senders to it in the console; without any, nothing is sent."
        found = [Finding(senders > 0, text, mend)]
        if service.get("use_inbound_webhook_on_number"):
            return [*found, Finding(True, "Replies go where each number of the service says.")]
        return [*found, self._replies(service, "inbound_request_url")]

    def _replies(self, one: Json, field: str) -> Finding:
        there, ours = one.get(field) or "", self.webhook_url()
        if there == ours:
            return Finding(True, f"Replies to {one['sid']} reach us.")
        text = (
            f"Replies to {one['sid']}, such as STOP, go {'somewhere else' if there else 'nowhere'}."
        )
        by_hand = f"Set the address for incoming messages to {ours} in the console."
        return Finding(False, text, by_hand if there else "Run: atlvs bootstrap")

    def _callbacks(self) -> list[Finding]:
        found: list[Finding] = []
        if not self._tokens():
            text = "Without the auth token nothing that Twilio tells us can be verified."
            found.append(Finding(False, text, "Set TWILIO_AUTH_TOKEN beside the API key."))
        if not self.can_be_called_back():
            text = f"Twilio cannot tell {settings().public_base_url} what became of messages."
            found.append(Finding(False, text, "Set PUBLIC_BASE_URL to a public https address."))
        return found

    async def own_number(self) -> Json | None:
        """Our number as Twilio has it; None when it is not the account's."""
        query = {"PhoneNumber": self.phone_number or "", "PageSize": "20"}
        found = await self.get(self.path("/IncomingPhoneNumbers.json"), query)
        numbers = found.get("incoming_phone_numbers") or []
        return next((one for one in numbers if one["phone_number"] == self.phone_number), None)

    async def own_service(self) -> Json:
        """Our messaging service as Twilio has it."""
        sid = quote(self.messaging_service_sid or "", safe="")
        return await self.get(self.messaging_url(f"/v1/Services/{sid}"))


ESCAPED = {ord(one): quote_plus(one) for one in map(chr, range(128)) if quote_plus(one) != one}


def form_of(fields: Fields) -> str:
    """As `urlencode`, which takes ten times as long."""
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    return "&".join([f"{_escaped(name)}={_escaped(value)}" for name, value in pairs])


def _escaped(text: str) -> str:
    return text.translate(ESCAPED) if text.isascii() else quote_plus(text)


@lru_cache(maxsize=64)
def basic(credentials: tuple[str, str] | None) -> str:
    """The header's value for a user and a password."""
    if credentials is None:
        raise Unauthorized("twilio", f"no key is set. {MENDS[Unauthorized]}", code="not_configured")
    return f"Basic {b64encode(':'.join(credentials).encode()).decode()}"
