"""Slack: its service interface, its notifications, its changes. `import slack_sdk` is always the SDK."""

from tasks.slack.changes import apply_changes, fetch_changes
from tasks.slack.sender import SENDERS
from tasks.slack.service import SERVICE
from tasks.slack.setup import prepare

__all__ = ["SENDERS", "SERVICE", "apply_changes", "fetch_changes", "prepare"]
