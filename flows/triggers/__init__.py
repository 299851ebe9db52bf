"""Domain events to Zaps and other hooks: the drain, and what analysts do with subscriptions."""

from flows.triggers.again import replay, resend_failed, send_sample
from flows.triggers.draining import drain_hooks, work
from flows.triggers.subscriptions import disable, enable, list_subscriptions, pause

__all__ = [
    "disable",
    "drain_hooks",
    "enable",
    "list_subscriptions",
    "pause",
    "replay",
    "resend_failed",
    "send_sample",
    "work",
]
