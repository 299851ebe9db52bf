"""Envelope encryption of stored secrets with a key ring.

Each secret has its own AES-256-GCM data key, wrapped by the newest key of the ring. The
organization is associated data: a row copied to another organization does not open. Rotating
wraps the data key anew and leaves the ciphertext as it is.

Layout: version (1) · key id (8) · nonce (12) · wrapped data key (48) · nonce (12) · ciphertext.
"""

import base64
import contextlib
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from atlvs.errors import Misconfigured
from atlvs.settings import Settings

VERSION = b"\x01"
HEAD = 1 + 8 + 12 + 48


class KeyRing:
    """Keys to open with, newest first; the newest seals. `newest` is its id, at 1:9 of what it sealed."""

    def __init__(self, keys: list[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise Misconfigured(
                "ATLVS_ENCRYPTION_KEYS wants 32-byte keys in base64, newest first, comma-separated."
            )
        self._given = tuple(keys)
        self._keys = {hashlib.sha256(key).digest()[:8]: AESGCM(key) for key in keys}
        self.newest = next(iter(self._keys))

    def seal(self, secret: bytes, context: str) -> bytes:
        """Encrypt for one context (the organization's id)."""
        key, nonce = AESGCM.generate_key(256), os.urandom(12)
        return (
            self._wrap(key, context) + nonce + AESGCM(key).encrypt(nonce, secret, context.encode())
        )

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt; Misconfigured when no key fits, the context is another's or the copy is damaged."""
        key, body = self._unwrap(sealed, context), sealed[HEAD:]
        return _decrypted(AESGCM(key), body, context)

    def rotated(self, sealed: bytes, context: str) -> bytes:
        """The same secret under the newest key; unchanged when it already is."""
        if sealed[1:9] == self.newest:
            return sealed
        return self._wrap(self._unwrap(sealed, context), context) + sealed[HEAD:]

    def derived(self, purpose: str) -> list[bytes]:
        """A key for another use from each key of the ring, newest first. It opens no secret."""
        return [HKDF(SHA256(), 32, None, purpose.encode()).derive(key) for key in self._given]

    def _wrap(self, key: bytes, context: str) -> bytes:
        nonce = os.urandom(12)
        wrapped = self._keys[self.newest].encrypt(nonce, key, context.encode())
        return VERSION + self.newest + nonce + wrapped

    def _unwrap(self, sealed: bytes, context: str) -> bytes:
        if sealed[:1] != VERSION:
            raise Misconfigured("A stored secret was sealed by another version of ATLVS.")
        ring_key = self._keys.get(sealed[1:9])
        if ring_key is None:
            raise Misconfigured(
                "A stored secret was sealed with a key that is not in ATLVS_ENCRYPTION_KEYS. "
                "Add the old key behind the new one."
            )
        return _decrypted(ring_key, sealed[9:HEAD], context)


def _decrypted(key: AESGCM, sealed: bytes, context: str) -> bytes:
    """`sealed` is nonce and ciphertext."""
    try:
        return key.decrypt(sealed[:12], sealed[12:], context.encode())
    except (InvalidTag, ValueError) as error:  # ValueError: cut off within the nonce
        raise Misconfigured(
            "A stored secret does not belong to this organization, or is damaged. "
            "Connect again to replace it."
        ) from error


def key_ring(settings: Settings) -> KeyRing:
    """The ring of the environment, or one kept beside the embedded database (made on first use)."""
    if settings.encryption_keys:
        return KeyRing(_decoded(settings.encryption_keys.get_secret_value()))
    if not settings.embedded:
        raise Misconfigured(
            "DATABASE_URL is set but ATLVS_ENCRYPTION_KEYS is not. Make one with: "
            "python -c 'import base64,os; print(base64.b64encode(os.urandom(32)).decode())'"
        )
    return KeyRing(_decoded(_kept(settings.data_dir / "encryption.keys")))


def _decoded(text: str) -> list[bytes]:
    try:
        return [base64.b64decode(part.strip(), validate=True) for part in text.split(",") if part]
    except ValueError as error:
        raise Misconfigured("ATLVS_ENCRYPTION_KEYS is not base64.") from error


def _kept(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # mkstemp: only its owner may read it, and no leftover of a killed process is in its way.
        opened, fresh = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        with open(opened, "w") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)).decode())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # somebody made it first: theirs counts
            os.link(fresh, path)
        Path(fresh).unlink()
    return path.read_text()
