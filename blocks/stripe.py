"""Stripe: keys of one account, its HTTP, and its webhook signatures.

https://docs.stripe.com/api · https://docs.stripe.com/webhooks/signature
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from time import time
from typing import Any, ClassVar

import orjson
import stripe
from pydantic import Field, HttpUrl, SecretStr
from stripe import HTTPClient, StripeClient

from atlvs.db import connections
from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from atlvs.records import Check, Finding, ProviderEvent
from blocks.base import Connector
from blocks.wire import Wire, retry_after

API_VERSION = "2026-10-28.endive"
TOLERANCE = 300  # seconds a signature may be old; https://docs.stripe.com/webhooks/signature
FOREVER = 253_402_300_800  # the year 10000, where datetime ends
READ, WRITE = "read", "write"

# What we ask Stripe to tell us: the seed's nine, and what facts show to be needed beside them.
EVENT_TYPES = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "invoice.paid",
    "invoice.payment_failed",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "charge.refunded",
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.canceled",
    "payment_intent.processing",
    "charge.succeeded",
    "charge.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "invoice.created",
    "invoice.updated",
    "invoice.deleted",
    "invoice.finalized",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice_payment.paid",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "product.created",
    "product.updated",
    "product.deleted",
    "price.created",
    "price.updated",
    "price.deleted",
    "payout.created",
    "payout.updated",
    "payout.paid",
    "payout.failed",
)

stripe.enable_telemetry = False  # else the SDK writes to the home folder


class Stripe(Connector):
    """Keys of one Stripe account."""

    _block_type_name = "ATLVS Stripe"
    _block_type_slug = "atlvs-stripe"
    _documentation_url = HttpUrl("https://docs.stripe.com/keys")
    _description = "Keys of one Stripe account. Test and live keys are two connections."

    slug: ClassVar[str] = "stripe"
    environment: ClassVar[dict[str, str]] = {
        "secret_key": "STRIPE_SECRET_KEY",
        "publishable_key": "STRIPE_PUBLISHABLE_KEY",
        "webhook_secrets": "STRIPE_WEBHOOK_SECRET",
        "api_base": "STRIPE_API_BASE",
    }

    secret_key: SecretStr = Field(description="Secret API key, starts with sk_ or rk_.")
    publishable_key: str | None = Field(
        None, description="Publishable key for the browser, starts with pk_."
    )
    webhook_secrets: SecretStr | None = Field(
        None,
        description="Signing secrets of the webhook endpoint, start with whsec_; several while "
        "rotating, comma-separated.",
    )
    api_base: str = Field("https://api.stripe.com", description="Where the API answers.")
    reads_per_second: float | None = Field(
        None, gt=0, description="Reads a second; 80 in live mode and 20 in test mode if not given."
    )
    writes_per_second: float | None = Field(
        None, gt=0, description="Writes a second; 80 in live mode and 20 in test mode if not given."
    )

    @property
    def livemode(self) -> bool:
        """Whether the key moves real money."""
        return "_live_" in self.secret_key.get_secret_value()[:8]

    def is_configured(self) -> bool:
        """Whether there is a key of the right form."""
        return self.secret_key.get_secret_value().startswith(("sk_", "rk_"))

    def limits(self) -> dict[str, float]:
        """Stripe allows 100 + 100 a second live and 25 + 25 in test mode; we keep a fifth below."""
        usual = 80.0 if self.livemode else 20.0
        return {READ: self.reads_per_second or usual, WRITE: self.writes_per_second or usual}

    def client(self) -> StripeClient:
        """The SDK, over our wire: its own retries are off, the call policy retries."""
        return StripeClient(
            self.secret_key.get_secret_value(),
            stripe_version=API_VERSION,
            base_addresses={"api": self.api_base.rstrip("/")},  # pyright: ignore[reportArgumentType]
            max_network_retries=0,
            http_client=WireClient(self.wire),
        )

    async def get(self, path: str, query: str = "") -> dict[str, Any]:
        """GET as plain data, past the SDK's objects, which cost fifty times the JSON."""
        answer = await self.wire.exchange(
            "GET",
            f"{self.api_base.rstrip('/')}{path}{'?' if query else ''}{query}",
            headers={
                "Authorization": f"Bearer {self.secret_key.get_secret_value()}",
                "Stripe-Version": API_VERSION,
            },
            bucket=READ,
        )
        parsed = parsed_json(answer.body, answer.status)
        if answer.status >= 400:
            raise refusal(answer.status, parsed, answer.headers, reading=True)
        return parsed

    async def test_connection(self) -> Check:
        """The key, its account, the rights to read what we mirror, and the webhook endpoint."""
        findings = [await self._account()]
        if findings[0].ok:
            findings += [
                await self._right(path)
                for path in ("/v1/customers", "/v1/payment_intents", "/v1/events")
            ]
            findings.append(await self._endpoint())
        return Check("stripe", self.connection.name, tuple(findings))

    def verify(self, body: bytes, headers: Mapping[str, str], url: str = "") -> list[ProviderEvent]:
        """The one event of a delivery, signed with any of the secrets at most 300 s ago."""
        if not is_signed(body, headers.get("stripe-signature") or "", self._secrets()):
            raise Unauthorized(
                "stripe", "the webhook's signature is not of this endpoint.", code="signature"
            )
        return [event_from(parsed_body(body))]

    def _secrets(self) -> list[str]:
        text = self.webhook_secrets.get_secret_value() if self.webhook_secrets else ""
        return [secret.strip() for secret in text.split(",") if secret.strip()]

    async def _account(self) -> Finding:
        try:
            account = await self.get("/v1/account")
            await connections.bind(self.connection, account["id"], self.livemode)
        except IntegrationError as error:
            return Finding(False, f"The key does not work: {error.message}", mend_for(error))
        mode = "live" if self.livemode else "test"
        return Finding(True, f"Account {account['id']} in {mode} mode.")

    async def _right(self, path: str) -> Finding:
        try:
            await self.get(path, "limit=1")
        except IntegrationError as error:
            return Finding(False, f"GET {path}: {error.message}", mend_for(error))
        return Finding(True, f"May read {path.removeprefix('/v1/')}.")

    async def _endpoint(self) -> Finding:
        url = self.webhook_url()
        try:
            found = await self.get("/v1/webhook_endpoints", "limit=100")
        except IntegrationError as error:
            return Finding(
                False, f"Webhook endpoints cannot be read: {error.message}", mend_for(error)
            )
        ours = next((one for one in found["data"] if one["url"] == url), None)
        if ours is None:
            return Finding(
                False, f"Stripe has no webhook endpoint for {url}.", "Run: atlvs bootstrap"
            )
        if ours["api_version"] != API_VERSION or ours["status"] != "enabled":
            return Finding(
                False,
                f"Endpoint {ours['id']} is {ours['status']} at version {ours['api_version']}.",
                "Delete it in the Stripe dashboard and run: atlvs bootstrap",
            )
        if not self._secrets():
            return Finding(
                False,
                f"Endpoint {ours['id']} exists, but its signing secret is unknown here.",
                "Set STRIPE_WEBHOOK_SECRET, or delete the endpoint and run: atlvs bootstrap",
            )
        return Finding(True, f"Webhooks arrive through {ours['id']}.")


class WireClient(HTTPClient):
    """The SDK's HTTP, on our wire."""

    name = "atlvs"

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One request; connection errors leave as ours."""
        bucket = READ if method.lower() == "get" else WRITE
        answer = await self._wire.exchange(
            method.upper(), url, headers=headers, body=post_data, bucket=bucket
        )
        return answer.body, answer.status, answer.headers

    async def sleep_async(self, secs: float) -> None:
        """Never called: the SDK's retries are off."""
        raise NotImplementedError

    async def close_async(self) -> None:
        """The wire's session is closed by its process."""


def translated(error: stripe.StripeError) -> IntegrationError:
    """An error of the SDK as one of ours."""
    body = error.json_body if isinstance(error.json_body, dict) else {}
    return refusal(error.http_status or 0, body, error.headers or {}, reading=False)


def refusal(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str], *, reading: bool
) -> IntegrationError:
    """An error answer, by what to do next. The text is Stripe's; it names parameters, not secrets."""
    told = body.get("error")
    detail: Mapping[str, Any] = told if isinstance(told, dict) else {}
    lower = {name.lower(): value for name, value in headers.items()}
    facts = {
        "code": detail.get("decline_code") or detail.get("code") or detail.get("type"),
        "field": detail.get("param"),
        "request_id": lower.get("request-id"),
        "retry_after": retry_after(lower),
    }
    text = without_keys(str(detail.get("message") or f"answered {status}."))
    if status in (401, 403):
        return Unauthorized("stripe", text, **facts)
    if status in (409, 429):
        return Unavailable("stripe", text, **facts)
    if status >= 500 or status == 0:
        # A 500 to a write is stored under its idempotency key: asking again tells nothing new.
        kind = Unavailable if reading or status == 503 else OutcomeUnknown
        return kind("stripe", text, **facts)
    return Rejected("stripe", text, **facts)


def without_keys(text: str) -> str:
    """Stripe repeats a part of a wrong key in its messages; we don't."""
    return " ".join(
        "(key)" if word.startswith(("sk_", "rk_", "whsec_")) else word for word in text.split()
    )


def mend_for(error: IntegrationError) -> str:
    """What a person does about it."""
    match error:
        case Unauthorized() if error.code == "account_taken" or error.code == "account_differs":
            return "Use another connection name."
        case Unauthorized():
            return "Give the key the right in the Stripe dashboard, or set STRIPE_SECRET_KEY to another key."
        case Unavailable():
            return "Try again later; https://status.stripe.com tells more."
        case _:
            return "See the message."


def is_signed(body: bytes, header: str, secrets: list[str]) -> bool:
    """Whether any secret signed this body at most `TOLERANCE` seconds from now.

    As strict as the SDK's own check, which takes any time in the future and decodes the body again
    for each secret.
    """
    parts = [part.partition("=") for part in header.split(",")]
    sent_at = next((value for name, _, value in parts if name == "t"), "")
    if not sent_at.isdecimal() or abs(time() - int(sent_at[:12])) > TOLERANCE:
        return False
    signed = b"%b.%b" % (sent_at.encode(), body)
    given = [value.encode() for name, _, value in parts if name == "v1"]
    wanted = [hmac.digest(secret.encode(), signed, "sha256").hex().encode() for secret in secrets]
    return any(hmac.compare_digest(one, other) for one in wanted for other in given)


def event_from(event: Mapping[str, Any]) -> ProviderEvent:
    """A Stripe event as a hint. Its lane is the payment that it belongs to, else its object."""
    subject = event["data"]["object"]
    payment = subject.get("payment_intent")
    lane = payment.get("id") if isinstance(payment, dict) else payment
    return ProviderEvent(
        id=event["id"],
        type=event["type"],
        lane=str(lane or subject.get("id") or event["id"]),
        payload=dict(event),
        occurred_at=datetime.fromtimestamp(event["created"], UTC),
        livemode=event.get("livemode"),
    )


def without_client_secrets(value: Any) -> Any:
    """The same JSON without client secrets, which let anybody finish a payment."""
    if isinstance(value, dict):
        return {
            key: without_client_secrets(part)
            for key, part in value.items()
            if key != "client_secret"
        }
    if isinstance(value, list):
        return [without_client_secrets(part) for part in value]
    return value


def parsed_body(body: bytes) -> dict[str, Any]:
    """A webhook's body without client secrets; Rejected when it is not a snapshot event."""
    try:
        event = orjson.loads(body)
        # Most events hold none. A key may also be spelled with escapes, so a backslash counts.
        if b"client_secret" in body or b"\\u" in body:
            event = without_client_secrets(event)
        if event["object"] == "event" and is_whole(event):
            return event
    except (orjson.JSONDecodeError, KeyError, TypeError, RecursionError):
        pass
    raise Rejected("stripe", "the body is not a Stripe event.", code="malformed")


def is_whole(event: Mapping[str, Any]) -> bool:
    """Whether the fields that we rely on are there and of their types."""
    return (
        bool(event["id"] and event["type"])
        and isinstance(event["id"], str)
        and isinstance(event["type"], str)
        and isinstance(event["data"]["object"], dict)
        and type(event["created"]) is int
        and 0 <= event["created"] < FOREVER
    )


def parsed_json(body: bytes, status: int) -> dict[str, Any]:
    """An answer's JSON; a truncated or foreign body counts as no answer."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if status >= 400:
            return {}
        raise Unavailable("stripe", "the answer was cut off or is not JSON.") from error
    if not isinstance(parsed, dict):
        raise Unavailable("stripe", "the answer is not a JSON object.")
    return parsed
