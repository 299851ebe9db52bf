"""Stripe's flows."""

from flows.stripe.on_demand import (
    create_checkout_link,
    invoice_customer,
    refund,
    sync_one_customer,
)
from flows.stripe.sync import full_sync, incremental_sync

__all__ = [
    "create_checkout_link",
    "full_sync",
    "incremental_sync",
    "invoice_customer",
    "refund",
    "sync_one_customer",
]
