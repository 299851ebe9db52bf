"""Products and prices. https://docs.stripe.com/api/products · https://docs.stripe.com/api/prices"""

from __future__ import annotations

from decimal import Decimal

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused, required
from deployments.sandbox.stripe.fields import assign, merge_metadata, no_more_than_one
from deployments.sandbox.stripe.money import check_currency
from deployments.sandbox.stripe.tables import Object, copied

PRODUCT_GIVEN = (
    "active",
    "description",
    "images",
    "marketing_features",
    "name",
    "package_dimensions",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
)
PRICE_GIVEN = ("active", "lookup_key", "nickname", "tax_behavior")


def new_product(account: Account, name: str) -> Object:
    return account.blank("product", name=name, updated=account.now())


def new_price(account: Account, product: str, amount: int, currency: str) -> Object:
    return account.blank(
        "price",
        product=product,
        currency=currency,
        unit_amount=amount,
        unit_amount_decimal=str(amount),
    )


def create_product(call: Call) -> Object:
    account, params = call.account, call.params
    product = new_product(account, params["name"])
    if given := params.get("id"):
        if given in account.tables["product"].raw:
            raise Refused(
                400, f"Product already exists: {given}", code="resource_already_exists", param="id"
            )
        product["id"] = given
    assign(product, params, PRODUCT_GIVEN)
    merge_metadata(product, params)
    price = None
    if given := params.get("default_price_data"):
        price = price_from(call, given | {"product": product["id"]})
        product["default_price"] = price["id"]
    call.create(product, "product.created")
    if price:
        call.create(price, "price.created")
    return product


def update_product(call: Call) -> Object:
    account, params = call.account, call.params
    before = account.get("product", call.path["id"])
    after = copied(before)
    assign(after, params, PRODUCT_GIVEN)
    merge_metadata(after, params)
    if "default_price" in params:
        account.get("price", params["default_price"], "default_price")
        after["default_price"] = params["default_price"]
    if after != before:
        after["updated"] = account.now()
    return call.update(before, after, "product.updated")


def delete_product(call: Call) -> Object:
    account = call.account
    product = account.get("product", call.path["id"])
    if account.linked("price", "product", product["id"]):
        raise Refused(
            400,
            "This product cannot be deleted because it has one or more user-created prices.",
            param="id",
        )
    stub = {"id": product["id"], "object": "product", "deleted": True}
    account.tables["product"].delete(product["id"], stub)
    call.emit("product.deleted", product)
    return stub


def create_price(call: Call) -> Object:
    account, params = call.account, call.params
    no_more_than_one(params, "product", "product_data")
    if new := params.get("product_data"):
        product = new_product(account, new["name"])
        merge_metadata(product, new)
        call.create(product, "product.created")
        params = params | {"product": product["id"]}
    if not params.get("product"):
        raise required("product")
    account.get("product", params["product"], "product")
    return call.create(price_from(call, params), "price.created")


def update_price(call: Call) -> Object:
    before = call.account.get("price", call.path["price"])
    after = copied(before)
    assign(after, call.params, PRICE_GIVEN)
    merge_metadata(after, call.params)
    return call.update(before, after, "price.updated")


def price_from(call: Call, given: Object) -> Object:
    """A price as described by create parameters or by inline `price_data`."""
    product = given["product"]
    no_more_than_one(given, "unit_amount", "unit_amount_decimal")
    amount = given.get("unit_amount")
    exact = given.get("unit_amount_decimal")
    if amount is None and exact is None and not given.get("custom_unit_amount"):
        raise required("unit_amount")
    price = new_price(call.account, product, amount or 0, check_currency(given["currency"]))
    if exact is not None:
        whole = Decimal(exact) == int(Decimal(exact))
        price.update(unit_amount=int(Decimal(exact)) if whole else None, unit_amount_decimal=exact)
    assign(price, given, PRICE_GIVEN)
    merge_metadata(price, given)
    if recurring := given.get("recurring"):
        price["type"] = "recurring"
        price["recurring"] = {
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count", 1),
            "meter": recurring.get("meter"),
            "trial_period_days": recurring.get("trial_period_days"),
            "usage_type": recurring.get("usage_type", "licensed"),
        }
    return price
