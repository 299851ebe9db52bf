"""Zapier's side of the platform: what Zaps may do here. It has no methods that we could call, and nothing
of its own that we could copy."""

from typing import Any

SERVICE: dict[str, Any] = {}

__all__ = ["SERVICE"]
