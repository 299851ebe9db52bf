"""Telling people: by hand, by the clock, and what became of it."""

from flows.notify.after import fanout_report
from flows.notify.by_hand import send_bulk_email, send_bulk_sms, send_event_reminder, send_test
from flows.notify.deciding import decide, resend_failed
from flows.notify.draining import drain_told, notify_due, work
from flows.notify.fanout import notify

__all__ = [
    "decide",
    "drain_told",
    "fanout_report",
    "notify",
    "notify_due",
    "resend_failed",
    "send_bulk_email",
    "send_bulk_sms",
    "send_event_reminder",
    "send_test",
    "work",
]
