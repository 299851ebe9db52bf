"""Customers. https://docs.stripe.com/api/customers"""

from __future__ import annotations

from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused
from deployments.sandbox.stripe.fields import address, assign, merge_metadata
from deployments.sandbox.stripe.payment_methods import attach_to
from deployments.sandbox.stripe.subscription_states import end_subscription
from deployments.sandbox.stripe.tables import Object, copied

GIVEN = (
    "balance",
    "business_name",
    "description",
    "email",
    "individual_name",
    "invoice_prefix",
    "name",
    "next_invoice_sequence",
    "phone",
    "preferred_locales",
    "tax_exempt",
)


def create_customer(call: Call) -> Object:
    account = call.account
    customer = account.blank("customer")
    customer["invoice_prefix"] = customer["id"][-8:].upper()
    _apply(call, customer)
    method = call.params.get("payment_method")
    call.create(customer, "customer.created")
    if method:
        attach_to(call, method, customer["id"])
    return customer


def update_customer(call: Call) -> Object:
    before = call.account.get("customer", call.path["customer"])
    after = copied(before)
    _apply(call, after)
    return call.update(before, after, "customer.updated")


def delete_customer(call: Call) -> Object:
    """Deletes, and cancels what the customer subscribed to."""
    account = call.account
    customer = account.get("customer", call.path["customer"])
    for subscription in account.linked("subscription", "customer", customer["id"]):
        if subscription["status"] not in ("canceled", "incomplete_expired"):
            end_subscription(call, subscription)
    stub = {"id": customer["id"], "object": "customer", "deleted": True}
    account.tables["customer"].delete(customer["id"], stub)
    call.emit("customer.deleted", customer)
    return stub


def _apply(call: Call, customer: Object) -> None:
    params = call.params
    email = params.get("email")
    if email and "@" not in email:
        raise Refused(400, f"Invalid email address: {email}", code="email_invalid", param="email")
    assign(customer, params, GIVEN)
    customer["tax_exempt"] = customer["tax_exempt"] or "none"
    merge_metadata(customer, params)
    if "address" in params:
        customer["address"] = address(params["address"])
    if "shipping" in params:
        customer["shipping"] = _shipping(params["shipping"])
    if "invoice_settings" in params:
        _apply_invoice_settings(call, customer)


def _shipping(given: Object | str) -> Object | None:
    if not isinstance(given, dict):
        return None
    return {
        "address": address(given["address"]),
        "name": given["name"],
        "phone": given.get("phone"),
    }


def _apply_invoice_settings(call: Call, customer: Object) -> None:
    settings = dict(customer["invoice_settings"])
    assign(settings, call.params["invoice_settings"], settings)
    if method := settings["default_payment_method"]:
        owner = call.account.get(
            "payment_method", method, "invoice_settings[default_payment_method]"
        )["customer"]
        if owner != customer["id"]:
            raise Refused(
                400,
                "The customer does not have a payment method with the ID "
                f"{method}. The payment method must be attached to the customer.",
                code="resource_missing",
                param="invoice_settings[default_payment_method]",
            )
    customer["invoice_settings"] = settings
