"""What messages are sent from: numbers, short codes, names; and pools of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deployments.sandbox.twilio.addresses import formatted, is_phone
from deployments.sandbox.twilio.dates import iso8601, rfc2822

# Segments a second. https://www.twilio.com/docs/messaging/guides/mps-overview
THROUGHPUT = {"long_code": 1.0, "toll_free": 3.0, "short_code": 100.0, "alphanumeric": 10.0}
API = "/2010-04-01/Accounts"


@dataclass(slots=True, eq=False)
class Sender:
    """`registered` is the A2P campaign of a long code, the verification of a toll-free number."""

    sid: str
    address: str
    kind: str
    created: float
    sms: bool = True
    mms: bool = True
    voice: bool = True
    registered: bool = True
    friendly_name: str = ""
    sms_url: str = ""
    voice_url: str = ""
    status_callback: str = ""
    service: str | None = None
    free_at: float = 0.0

    def wait(self, now: float) -> float:
        """How long its queue is, in seconds."""
        return max(0.0, self.free_at - now)

    def book(self, now: float, segments: int, scale: float | None) -> float:
        """Take a place in the queue; answers when it is this message's turn."""
        start = max(now, self.free_at)
        if scale is not None:
            self.free_at = start + segments / (THROUGHPUT[self.kind] * scale)
        return start

    def shown(self, account: str) -> dict[str, Any]:
        """As an IncomingPhoneNumber."""
        return BLANK | {
            "account_sid": account,
            "capabilities": {
                "voice": self.voice,
                "sms": self.sms,
                "mms": self.mms,
                "fax": False,
            },
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.created),
            "friendly_name": self.friendly_name or formatted(self.address),
            "phone_number": self.address,
            "sid": self.sid,
            "sms_url": self.sms_url,
            "status_callback": self.status_callback,
            "voice_url": self.voice_url,
            "uri": f"{API}/{account}/IncomingPhoneNumbers/{self.sid}.json",
            "type": "toll-free" if self.kind == "toll_free" else "local",
        }

    def shown_in(self, account: str, service: str, base: str) -> dict[str, Any]:
        """As a member of a messaging service."""
        return {
            "sid": self.sid,
            "account_sid": account,
            "service_sid": service,
            "date_created": iso8601(self.created),
            "date_updated": iso8601(self.created),
            "phone_number": self.address,
            "country_code": "US" if self.address.startswith("+1") else "",
            "capabilities": [
                name
                for name, has in (("SMS", self.sms), ("MMS", self.mms), ("Voice", self.voice))
                if has
            ],
            "url": f"{base}/v1/Services/{service}/PhoneNumbers/{self.sid}",
        }


BLANK: dict[str, Any] = {
    "address_sid": None,
    "address_requirements": "none",
    "api_version": "2010-04-01",
    "beta": False,
    "identity_sid": None,
    "origin": "twilio",
    "sms_application_sid": None,
    "sms_fallback_method": "POST",
    "sms_fallback_url": "",
    "sms_method": "POST",
    "status_callback_method": "POST",
    "trunk_sid": None,
    "voice_receive_mode": "voice",
    "voice_application_sid": None,
    "voice_caller_id_lookup": False,
    "voice_fallback_method": "POST",
    "voice_fallback_url": "",
    "voice_method": "POST",
    "emergency_status": "Inactive",
    "emergency_address_sid": None,
    "emergency_address_status": "unregistered",
    "bundle_sid": None,
    "status": "in-use",
}


@dataclass(slots=True, eq=False)
class Service:
    """A messaging service: a pool which chooses the sender, and keeps it for the recipient."""

    sid: str
    friendly_name: str
    created: float
    senders: list[Sender] = field(default_factory=list)
    inbound_request_url: str | None = None
    status_callback: str | None = None
    sticky_sender: bool = True
    smart_encoding: bool = True
    validity_period: int = 36_000
    use_inbound_webhook_on_number: bool = False
    usecase: str = "undeclared"
    chosen: dict[str, Sender] = field(default_factory=dict)

    def sender_for(self, to: str, now: float) -> Sender | None:
        """The one used before, or the shortest queue; names cannot reach North America."""
        known = self.chosen.get(to)
        if known is not None and known.service == self.sid and known.sms:
            return known
        able = [
            each
            for each in self.senders
            if each.sms and (is_phone(each.address) or not to.startswith("+1"))
        ]
        if not able:
            return None
        found = min(able, key=lambda each: each.wait(now))
        if self.sticky_sender:
            self.chosen[to] = found
        return found

    def shown(self, account: str, base: str) -> dict[str, Any]:
        url = f"{base}/v1/Services/{self.sid}"
        links = {"phone_numbers": "PhoneNumbers", "short_codes": "ShortCodes"}
        return {
            "account_sid": account,
            "sid": self.sid,
            "date_created": iso8601(self.created),
            "date_updated": iso8601(self.created),
            "friendly_name": self.friendly_name,
            "inbound_request_url": self.inbound_request_url,
            "inbound_method": "POST",
            "fallback_url": None,
            "fallback_method": "POST",
            "status_callback": self.status_callback,
            "sticky_sender": self.sticky_sender,
            "smart_encoding": self.smart_encoding,
            "mms_converter": True,
            "fallback_to_long_code": True,
            "scan_message_content": "inherit",
            "area_code_geomatch": True,
            "validity_period": self.validity_period,
            "synchronous_validation": False,
            "usecase": self.usecase,
            "us_app_to_person_registered": all(each.registered for each in self.senders),
            "use_inbound_webhook_on_number": self.use_inbound_webhook_on_number,
            "links": {name: f"{url}/{path}" for name, path in links.items()},
            "url": url,
        }
