"""Signed links to the pages on which people say what they want to get.

Whoever holds a link may use it, as nobody signs in to unsubscribe: it names one person of one
organization, and works for as long as the key that signed it is in ATLVS_ENCRYPTION_KEYS.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, cast
from uuid import UUID

from itsdangerous import BadData, URLSafeSerializer
from pydantic import SecretStr

from atlvs.crypto import key_ring
from atlvs.settings import settings

Purpose = Literal["preferences", "unsubscribe"]
LONGEST = 2000  # characters of a token: an address has 320 at most


@dataclass(frozen=True)
class Link:
    """Who opened a link: a contact, or an address where nobody is known. `category` narrows an
    unsubscribe link; None there means everything."""

    org_id: UUID
    contact_id: UUID | None = None
    email: str | None = None
    category: str | None = None


def preferences_url(
    org_id: UUID, *, contact_id: UUID | None = None, email: str | None = None
) -> str:
    """The page with all choices of one person."""
    return _url("preferences", Link(org_id, contact_id, email))


def unsubscribe_url(
    org_id: UUID,
    *,
    contact_id: UUID | None = None,
    email: str | None = None,
    category: str | None = None,
) -> str:
    """One click out of a category's e-mail, or of all of it: for List-Unsubscribe (RFC 8058)."""
    return _url("unsubscribe", Link(org_id, contact_id, email, category))


def opened(token: str, purpose: Purpose = "preferences") -> Link | None:
    """What a token says; None when we did not sign it, or for another purpose."""
    if len(token) > LONGEST or not token.isascii():
        return None
    try:
        org, contact, email, category = _serializer_of(purpose).loads(token)
    except BadData:
        return None
    return Link(_uuid(org), _uuid(contact) if contact else None, email, category)


def _url(purpose: Purpose, link: Link) -> str:
    if link.contact_id is None and not link.email:
        raise ValueError("A link names a contact or an e-mail address.")
    contact = _short(link.contact_id) if link.contact_id else None
    said = [_short(link.org_id), contact, link.email, link.category]
    return f"{settings().public_base_url}/{purpose}/{_serializer_of(purpose).dumps(said)}"


def _serializer_of(purpose: Purpose) -> URLSafeSerializer:
    return _serializer(purpose, settings().encryption_keys, settings().data_dir)


@lru_cache(maxsize=8)
def _serializer(purpose: Purpose, _keys: SecretStr | None, _folder: Path) -> URLSafeSerializer:
    """Made once for the keys of the settings: links are made by the hundred thousand."""
    oldest_first = key_ring(settings()).derived("atlvs/links")[::-1]
    return URLSafeSerializer(
        oldest_first,
        salt=f"atlvs/{purpose}",
        signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
    )


def _short(value: UUID) -> str:
    return urlsafe_b64encode(value.bytes)[:22].decode()


def _uuid(short: Any) -> UUID:
    return UUID(bytes=urlsafe_b64decode(cast(str, short) + "=="))
