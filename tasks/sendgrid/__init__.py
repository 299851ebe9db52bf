"""SendGrid: mail, its service interface, its events, its lists."""

from tasks.sendgrid.changes import apply_changes, fetch_changes
from tasks.sendgrid.endpoint import prepare
from tasks.sendgrid.sender import SENDERS
from tasks.sendgrid.service import SERVICE

__all__ = ["SENDERS", "SERVICE", "apply_changes", "fetch_changes", "prepare"]
