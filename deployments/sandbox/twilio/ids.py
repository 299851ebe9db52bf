"""SIDs: two letters for the kind and 32 hexadecimal digits."""

from __future__ import annotations

import hashlib
import os
import re

SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")


def new_sid(prefix: str) -> str:
    return prefix + os.urandom(16).hex()


def sid_for(prefix: str, name: str) -> str:
    """Always the same one for a name."""
    return prefix + hashlib.sha256(f"{prefix}:{name}".encode()).hexdigest()[:32]


def is_sid(value: str, *prefixes: str) -> bool:
    return value[:2] in prefixes and SID.fullmatch(value) is not None
