"""The suppression lists: read in pages, newest first, and cleared by address or altogether.

https://www.twilio.com/docs/sendgrid/api-reference/bounces-api
"""

from __future__ import annotations

from collections.abc import Callable

from deployments.sandbox.sendgrid.call import Call, Reply
from deployments.sandbox.sendgrid.errors import bad_request, not_found, refusal
from deployments.sandbox.sendgrid.recipients import is_address
from deployments.sandbox.sendgrid.shapes import checked
from deployments.sandbox.sendgrid.suppressed import pattern_for

Endpoint = Callable[[Call], Reply]
PAGE = 500
END = 1 << 62


def listing(name: str) -> Endpoint:
    def list_entries(call: Call) -> Reply:
        limit = call.number("limit", PAGE, 1, PAGE)
        offset = call.number("offset", 0)
        low, high = call.number("start_time", 0), call.number("end_time", END)
        entries = call.account.suppressions.newest_first(name, low, high)
        if wanted := call.query.get("email"):
            pattern = pattern_for(wanted)
            entries = [each for each in entries if pattern.match(each["email"].lower())]
        return 200, entries[offset : offset + limit]

    return list_entries


def one(name: str) -> Endpoint:
    def retrieve_entry(call: Call) -> Reply:
        found = call.account.suppressions.lists[name].get(call.path["email"].lower())
        return 200, [found] if found else []

    return retrieve_entry


def deletion(name: str) -> Endpoint:
    def delete_entry(call: Call) -> Reply:
        if not call.account.suppressions.remove(name, call.path["email"]):
            raise not_found()
        return 204, None

    return delete_entry


def clearing(name: str) -> Endpoint:
    def delete_entries(call: Call) -> Reply:
        given = checked({"delete_all": "boolean", "emails": ["string"]}, call.fields())
        if bool(given.get("delete_all")) == bool(given.get("emails")):
            raise refusal(400, "either delete_all or emails must be provided, not both")
        suppressions = call.account.suppressions
        if given.get("delete_all"):
            suppressions.clear(name)
        for email in given.get("emails", ()):
            suppressions.remove(name, email)
        return 204, None

    return delete_entries


def recipients_in(call: Call) -> list[str]:
    given = checked({"*recipient_emails": ["string"]}, call.fields())["recipient_emails"]
    if not given:
        raise bad_request()
    for email in given:
        if not is_address(email):
            raise refusal(400, f"{email} is not a valid email address", "recipient_emails")
    return given


def unsubscribe_globally(call: Call) -> Reply:
    emails = recipients_in(call)
    for email in emails:
        call.account.suppressions.add("unsubscribes", email, call.account.seconds())
    return 201, {"recipient_emails": emails}


def retrieve_global(call: Call) -> Reply:
    found = call.account.suppressions.lists["unsubscribes"].get(call.path["email"].lower())
    return 200, {"recipient_email": found["email"]} if found else {}


def resubscribe_globally(call: Call) -> Reply:
    call.account.suppressions.remove("unsubscribes", call.path["email"])
    return 204, None
