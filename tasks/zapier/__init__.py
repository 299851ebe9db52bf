"""Zapier's side of the platform: what Zaps may do here. It has no methods that we could call."""

from typing import Any

SERVICE: dict[str, Any] = {}

__all__ = ["SERVICE"]
