"""Who calls: an account with its auth token, or one of its API keys.

https://www.twilio.com/docs/iam/api-keys
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import NamedTuple

from deployments.sandbox.twilio.account import Account
from deployments.sandbox.twilio.errors import unauthenticated

NO_CREDENTIALS = "Authentication Error - No credentials provided"


class Caller(NamedTuple):
    """`main`: may see the account itself. Standard API keys may not."""

    account: Account
    main: bool


def credentials_in(headers: dict[str, str]) -> tuple[str, str] | None:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, found, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, secret) if found else None


def caller_of(headers: dict[str, str], accounts: dict[str, Account]) -> Caller:
    given = credentials_in(headers)
    if given is None:
        raise unauthenticated(NO_CREDENTIALS)
    name, secret = given
    caller = _by_token(name, secret, accounts) or _by_key(name, secret, accounts)
    if caller is None or caller.account.status == "closed":
        raise unauthenticated()
    return caller


def _by_token(name: str, secret: str, accounts: dict[str, Account]) -> Caller | None:
    account = accounts.get(name)
    if account is None:
        return None
    tokens = [account.auth_token, account.secondary_token or account.auth_token]
    return Caller(account, main=True) if any(_same(secret, each) for each in tokens) else None


def _by_key(name: str, secret: str, accounts: dict[str, Account]) -> Caller | None:
    if not name.startswith("SK"):
        return None
    for account in accounts.values():
        key = account.keys.get(name)
        if key is not None and _same(secret, key.secret):
            return Caller(account, main=key.kind == "main")
    return None


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())
