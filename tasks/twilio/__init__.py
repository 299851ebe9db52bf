"""Twilio: its service interface, its senders, its changes. `import twilio` is always the SDK."""

from tasks.twilio.changes import apply_changes, fetch_changes
from tasks.twilio.sender import SENDERS
from tasks.twilio.service import SERVICE
from tasks.twilio.webhook import prepare

__all__ = ["SENDERS", "SERVICE", "apply_changes", "fetch_changes", "prepare"]
