"""What a connection test asks: which rights, which senders, what is left.

https://www.twilio.com/docs/sendgrid/api-reference/sender-verification
"""

from __future__ import annotations

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.call import Call, Object, Reply


def list_scopes(call: Call) -> Reply:
    return 200, {"scopes": sorted(call.scopes)}


def add_sender(account: Account, email: str, *, verified: bool = True) -> Object:
    number = len(account.senders) + 1
    account.senders[email.lower()] = sender = {
        "id": account.number * 10 + number,
        "nickname": email.partition("@")[0],
        "from_email": email,
        "from_name": "",
        "reply_to": email,
        "reply_to_name": "",
        "address": "1 Main Street",
        "address2": "",
        "state": "",
        "city": "Denver",
        "zip": "",
        "country": "US",
        "verified": verified,
        "locked": False,
    }
    return sender


def list_senders(call: Call) -> Reply:
    limit = call.number("limit", 100, 1)
    last = call.number("lastSeenID", 0)
    found = [each for each in call.account.senders.values() if each["id"] > last]
    return 200, {"results": found[:limit]}


def steps_completed(call: Call) -> Reply:
    verified = any(each["verified"] for each in call.account.senders.values())
    done = {"sender_verified": verified, "domain_verified": bool(call.account.domains)}
    return 200, {"results": done}


def list_domains(call: Call) -> Reply:
    return 200, [
        {
            "id": call.account.number + number,
            "user_id": call.account.number,
            "subdomain": "em",
            "domain": domain,
            "username": call.account.name,
            "ips": [],
            "custom_spf": False,
            "default": number == 0,
            "legacy": False,
            "automatic_security": True,
            "valid": True,
            "dns": {},
        }
        for number, domain in enumerate(sorted(call.account.domains))
    ]


def show_account(call: Call) -> Reply:
    return 200, {"type": "paid", "reputation": 0 if call.account.settings.suspended else 99.7}


def show_username(call: Call) -> Reply:
    return 200, {"username": call.account.name, "user_id": call.account.number}


def show_credits(call: Call) -> Reply:
    left = call.account.settings.credits
    total = 1_000_000
    remaining = total if left is None else left
    return 200, {
        "remain": remaining,
        "total": total,
        "overage": 0,
        "used": total - remaining,
        "last_reset": "2026-01-01",
        "next_reset": "2026-02-01",
        "reset_frequency": "monthly",
    }
