"""Refusals, in Twilio's error envelope.

https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions
https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

MESSAGES = {
    20001: "Invalid parameter {value}",
    20003: "Authenticate",
    20004: "Method not allowed",
    20008: "Resource not accessible with Test Account Credentials",
    20009: "Cannot delete this resource before it's complete",
    20403: "Forbidden: account {value} is not active",
    20404: "The requested resource {value} was not found",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    20503: "Service is unavailable. Please try again",
    21201: "No 'To' number is specified",
    21205: "Url parameter is required.",
    21210: "The source phone number provided, {value}, is not yet verified for your account.",
    21211: "Invalid 'To' Phone Number: {value}",
    21212: "The 'From' number {value} is not a valid phone number, shortcode, or alphanumeric "
    "sender ID.",
    21213: "No 'From' number is specified",
    21214: "The phone number {value} could not be reached.",
    21215: "Account not authorized to call {value}. Perhaps you need to enable some international "
    "permissions.",
    21216: "Account not allowed to call {value}",
    21217: "Phone number does not appear to be valid: {value}",
    21218: "Invalid ApplicationSid {value}",
    21220: "Call is not in-progress. Cannot redirect.",
    21266: "'To' and 'From' number cannot be the same: {value}",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' "
    "number: {value}",
    21481: "Invalid PageToken {value}",
    21502: "Invalid URL {value}",
    21602: "Message body is required.",
    21603: "A 'From' or 'MessagingServiceSid' parameter is required to send a message.",
    21604: "A 'To' phone number is required.",
    21606: "'From' {value} is not a valid message-capable Twilio number for this account.",
    21608: "The number {value} is unverified. Trial accounts cannot send messages to unverified "
    "numbers.",
    21609: "The 'StatusCallback' URL {value} is not a valid URL.",
    21610: "Attempt to send to unsubscribed recipient",
    21611: "This 'From' number has exceeded the maximum number of queued messages",
    21612: "Message cannot be sent with the current combination of 'To' ({value}) and/or 'From' "
    "parameters",
    21614: "'To' number is not a valid mobile number: {value}",
    21617: "The concatenated message body exceeds the 1600 character limit.",
    21620: "Invalid media URL(s)",
    21623: "Number of media files exceeds allowed limit",
    21624: "Invalid validity period value {value}",
    21626: "Invalid 'StatusCallbackEvent' {value}",
    21655: "The ContentSid is Invalid",
    21656: "The Content Variables parameter is invalid.",
    21659: "'From' {value} is not a Twilio phone number or Short Code country mismatch",
    21660: "Mismatch between the 'From' number {value} and the account",
    21701: "The Messaging Service {value} does not exist",
    21704: "The Messaging Service contains no phone numbers.",
    21705: "The Messaging Service Sid {value} is invalid.",
    21711: "Sender {value} is not associated with the specified Messaging Service",
    21712: "Phone Number or Short Code {value} is associated with another Messaging Service.",
    21910: "Invalid From and To pair. From and To should be of the same channel",
    30410: "The message is no longer cancelable",
    35111: "SendAt timestamp is missing",
    35115: "SendAt time must be between 300 seconds and 35 days (3024000 seconds) in the future, "
    "inclusive",
    35117: "ScheduleType value is invalid",
    35118: "MessagingServiceSid is required to schedule a message",
    35125: "Scheduled messages limit reached",
    63007: "Twilio could not find a Channel with the specified From address",
}
# What a status says of a message that did not arrive.
FAILURES = {
    11200: "HTTP retrieval failure",
    12100: "Document parse failure",
    30001: "Queue overflow",
    30002: "Account suspended",
    30003: "Unreachable destination handset",
    30004: "Message blocked",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
    30032: "Toll-Free Number Has Not Been Verified",
    30034: "US A2P 10DLC - Message from an Unregistered Number",
    30036: "Validity Period Expired",
}


class Refused(Exception):
    """An answer in Twilio's envelope; `value` goes into the message of the code."""

    def __init__(
        self, code: int, value: object = "", *, status: int = 400, message: str | None = None
    ) -> None:
        self.code = code
        self.status = status
        self.message = message or MESSAGES[code].format(value=value)
        super().__init__(self.message)

    @property
    def envelope(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }

    @property
    def xml(self) -> bytes:
        """What a path without `.json` is answered with."""
        return (
            "<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse><RestException>"
            f"<Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
            f"<MoreInfo>https://www.twilio.com/docs/errors/{self.code}</MoreInfo>"
            f"<Status>{self.status}</Status></RestException></TwilioResponse>"
        ).encode()


def unauthenticated(message: str | None = None) -> Refused:
    return Refused(20003, status=401, message=message)


def not_found(path: str) -> Refused:
    return Refused(20404, path, status=404)
