"""Requests of Twilio to its customers, signed.

https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from yarl import URL

from deployments.sandbox.deliveries import Delivery
from deployments.sandbox.twilio.dates import rfc2822
from deployments.sandbox.twilio.ids import new_sid
from deployments.sandbox.twilio.message import Message, reason

if TYPE_CHECKING:
    from deployments.sandbox.twilio.account import Account
    from deployments.sandbox.twilio.calls import Call

# The states that a status callback tells of.
TOLD = frozenset(
    {"accepted", "queued", "sent", "delivered", "undelivered", "failed", "canceled", "read"}
)
Params = dict[str, str]


def signature(token: str, url: str, params: Iterable[tuple[str, str]] = ()) -> str:
    """Over the URL and the parameters, sorted, each value once. A JSON body is not among them:
    its hash stands in the URL as `bodySHA256`."""
    signed = url + "".join(name + value for name, value in sorted(set(params)))
    digest = hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def called_url(url: str) -> str:
    """As it goes over the wire: quoted, and without the fragment with its retry options."""
    return str(URL(url).with_fragment(None))


def headers_for(account: Account, url: str, params: Params, token: str) -> dict[str, str]:
    return {
        "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
        "accept": "*/*",
        "user-agent": "TwilioProxy/1.1",
        "i-twilio-idempotency-token": token,
        "x-home-region": "us1",
        "x-twilio-signature": signature(account.auth_token, called_url(url), params.items()),
    }


def post(account: Account, url: str, kind: str, key: str, params: Params) -> None:
    """Send it, and send it again where the policy of deliveries says so: with one token."""
    token = new_sid("")
    account.world.dispatcher.enqueue(
        Delivery(
            provider="twilio",
            url=url,
            kind=kind,
            key=key,
            body=urlencode(params).encode(),
            sign=lambda _: headers_for(account, url, params, token),
            account=account.sid,
        )
    )


def tell(account: Account, message: Message) -> None:
    """Call back about the state that a message is in."""
    if message.callback is None or message.status not in TOLD:
        return
    params = {
        "SmsSid": message.sid,
        "SmsStatus": message.status,
        "MessageStatus": message.status,
        "To": message.to,
        "MessageSid": message.sid,
        "AccountSid": account.sid,
        "ApiVersion": "2010-04-01",
    }
    if message.sender is not None:
        params["From"] = message.sender
    if message.service is not None:
        params["MessagingServiceSid"] = message.service
    if message.error is not None:
        params |= {"ErrorCode": str(message.error), "ErrorMessage": reason(message.error)}
    if message.status in ("delivered", "undelivered"):
        receipt = datetime.fromtimestamp(message.updated, UTC)
        params["RawDlrDoneDate"] = receipt.strftime("%y%m%d%H%M")
    post(account, message.callback, f"message.{message.status}", message.sid, params)


def inbound_params(account: Account, message: Message, opt_out: str | None) -> Params:
    """The empty ones are sent, and signed."""
    params = {
        "ToCountry": "US",
        "ToState": "",
        "SmsMessageSid": message.sid,
        "NumMedia": str(message.media),
        "ToCity": "",
        "FromZip": "",
        "SmsSid": message.sid,
        "FromState": "",
        "SmsStatus": "received",
        "FromCity": "",
        "Body": message.body,
        "FromCountry": "US",
        "To": message.to,
        "ToZip": "",
        "NumSegments": str(message.segments),
        "MessageSid": message.sid,
        "AccountSid": account.sid,
        "From": message.sender or "",
        "ApiVersion": "2010-04-01",
    }
    if message.service is not None:
        params["MessagingServiceSid"] = message.service
    if opt_out is not None and account.settings.advanced_opt_out:
        params["OptOutType"] = opt_out
    return params


def call_params(account: Account, call: Call) -> Params:
    params = {
        "AccountSid": account.sid,
        "ApiVersion": "2010-04-01",
        "CallSid": call.sid,
        "CallStatus": call.status,
        "Called": call.to,
        "Caller": call.sender,
        "CalledCity": "",
        "Direction": "outbound-api",
        "From": call.sender,
        "To": call.to,
    }
    if call.answered_by is not None:
        params["AnsweredBy"] = call.answered_by
    return params


def tell_of_call(account: Account, call: Call, event: str, at: float) -> None:
    """Call back about progress that was asked for. A call that never came up is `completed` too."""
    number, call.told = call.told, call.told + 1
    if call.callback is None or event not in call.events:
        return
    params = call_params(account, call) | {
        "Timestamp": rfc2822(at) or "",
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(number),
    }
    if event == "completed":
        seconds = call.seconds or 0
        params |= {"CallDuration": str(seconds), "Duration": str(-(-seconds // 60))}
    if call.error is not None:
        params["ErrorCode"] = str(call.error)
    post(account, call.callback, f"call.{call.status}", call.sid, params)
