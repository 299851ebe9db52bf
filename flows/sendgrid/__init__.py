"""SendGrid's flows."""

from flows.sendgrid.sync import full_sync, incremental_sync

__all__ = ["full_sync", "incremental_sync"]
