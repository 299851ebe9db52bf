"""One event webhook, and its signature.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Object = dict[str, Any]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(slots=True, eq=False)
class Webhook:
    shown: Object
    owner: str
    signed: bool = False
    turn: int = 0
    private: ec.EllipticCurvePrivateKey | None = None

    @property
    def id(self) -> str:
        return self.shown["id"]

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The same for the same account, webhook and turn: a test can know it beforehand."""
        if self.private is None:
            seed = hashlib.sha256(f"{self.owner}/{self.id}/{self.turn}".encode()).digest()
            number = int.from_bytes(seed) % (P256_ORDER - 1) + 1
            self.private = ec.derive_private_key(number, ec.SECP256R1())
        return self.private

    @property
    def public_key(self) -> str:
        if not self.signed:
            return ""
        public = self.key.public_key()
        return b64encode(
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).decode()

    def turn_key(self) -> None:
        self.turn += 1
        self.private = None

    def wants(self, flag: str) -> bool:
        return self.shown["enabled"] and self.shown.get(flag, False)

    def sign(self, body: bytes) -> dict[str, str]:
        """The time is always the real one: receivers compare it with their own clock."""
        headers = {"user-agent": "SendGrid Event API"}
        if self.signed:
            at = str(int(time.time()))
            made = self.key.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))
            headers["x-twilio-email-event-webhook-signature"] = b64encode(made).decode()
            headers["x-twilio-email-event-webhook-timestamp"] = at
        return headers
