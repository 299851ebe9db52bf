"""Who calls: the key names the account, the mode and the rights.

sk_test_<name>            all rights on acct_<name>'s test objects
sk_live_<name>            the same account's live objects
rk_test_<name>            restricted, here with all rights
rk_test_<name>_readonly   may read
rk_test_<name>_norights   may nothing
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from deployments.sandbox.stripe.errors import Refused

KEY = re.compile(r"^(sk|rk)_(test|live)_(\w+?)(?:_(readonly|norights))?$", re.ASCII)
ACCOUNT = re.compile(r"^acct_\w+$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    account: str
    livemode: bool
    rights: str
    shown_key: str

    def require(self, method: str, path: str) -> None:
        if self.rights == "all" or (self.rights == "readonly" and method == "GET"):
            return
        right = "read" if method == "GET" else "write"
        resource = path.split("/")[2].rstrip("s")
        raise Refused(
            403,
            f"The provided key '{self.shown_key}' does not have the required permissions for "
            f"this endpoint on account '{self.account}'. Having the 'rak_{resource}_{right}' "
            "permission would allow this request to continue.",
        )


def caller_of(headers: dict[str, str]) -> Caller:
    key = _key(headers.get("authorization", ""))
    if not key:
        raise Refused(
            401,
            "You did not provide an API key. You need to provide your API key in the "
            "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
            "YOUR_SECRET_KEY').",
        )
    shown = f"{key[:8]}{'*' * 12}{key[-4:]}"
    found = KEY.match(key)
    if found is None:
        raise Refused(401, f"Invalid API Key provided: {shown}")
    kind, mode, name, rights = found.groups()
    if kind == "sk":
        name, rights = name + (f"_{rights}" if rights else ""), None
    account = headers.get("stripe-account") or f"acct_{name}"
    if not ACCOUNT.match(account):
        raise Refused(
            403,
            f"The provided key '{shown}' does not have access to account '{account}' (or that "
            "account does not exist). Application access may have been revoked.",
            code="account_invalid",
        )
    return Caller(account, mode == "live", rights or "all", shown)


def _key(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
