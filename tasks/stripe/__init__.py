"""Stripe: its service interface, its changes, its pages. `import stripe` is always the SDK."""

from tasks.stripe.changes import apply_changes, fetch_changes
from tasks.stripe.endpoint import prepare
from tasks.stripe.service import SERVICE

__all__ = ["SERVICE", "apply_changes", "fetch_changes", "prepare"]
