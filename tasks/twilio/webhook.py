"""Where replies go: the address for incoming messages of our number, or of our messaging service.

Set only where there is none yet: what somebody else answers with, stays.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from atlvs.settings import settings
from blocks.twilio import Twilio
from tasks.policy import call

Json = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """What was done at the provider, and fields of the connection that came of it."""

    line: str
    fields: dict[str, str] = field(default_factory=dict[str, str])


@call("twilio")
async def prepare(connection: Twilio) -> Prepared:
    """Make sure that replies such as STOP reach us. Twice changes nothing."""
    name = f"twilio {connection.connection.name}"
    if not connection.can_be_called_back():
        return Prepared(
            f"{name}: Twilio cannot reach {settings().public_base_url}; set PUBLIC_BASE_URL to a "
            "public https address."
        )
    if connection.messaging_service_sid:
        return Prepared(f"{name}: {await _service(connection)}")
    return Prepared(f"{name}: {await _number(connection)}")


async def _service(connection: Twilio) -> str:
    service = await connection.own_service()
    if service.get("use_inbound_webhook_on_number"):
        return "replies go where each number of the messaging service says."
    there = service.get("inbound_request_url") or ""
    if not there:
        url = connection.messaging_url(f"/v1/Services/{quote(service['sid'], safe='')}")
        fields = {"InboundRequestUrl": connection.webhook_url(), "InboundMethod": "POST"}
        await connection.post(url, fields)
    return _told(connection, service, there)


async def _number(connection: Twilio) -> str:
    number = await connection.own_number() if connection.phone_number else None
    if number is None:
        return "the number is not the account's: see atlvs check twilio"
    there = number.get("sms_url") or ""
    if not there:
        path = connection.path(f"/IncomingPhoneNumbers/{quote(number['sid'], safe='')}.json")
        await connection.post(path, {"SmsUrl": connection.webhook_url(), "SmsMethod": "POST"})
    return _told(connection, number, there)


def _told(connection: Twilio, one: Json, there: str) -> str:
    ours = connection.webhook_url()
    if there == ours:
        return f"replies to {one['sid']} reach us."
    if not there:
        return f"replies to {one['sid']} reach us from now on."
    return (
        f"replies to {one['sid']} go somewhere else: STOP is not heard of here. Set the address for "
        f"incoming messages to {ours} in the console."
    )
