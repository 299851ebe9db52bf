"""Telling people: by hand, by the clock, and what became of it."""

from flows.notify.draining import drain_told, notify_due, work
from flows.notify.fanout import notify

__all__ = ["drain_told", "notify", "notify_due", "work"]
