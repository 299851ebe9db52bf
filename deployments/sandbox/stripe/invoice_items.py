"""Invoice items, and the lines that they become on an invoice.

https://docs.stripe.com/api/invoiceitems · https://docs.stripe.com/api/invoice-line-item
"""

from __future__ import annotations

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.billing import (
    lines_of,
    pricing,
    require_draft,
    set_lines,
    times,
)
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused, missing, required
from deployments.sandbox.stripe.fields import assign, merge_metadata, no_more_than_one
from deployments.sandbox.stripe.lists import page_of
from deployments.sandbox.stripe.money import check_currency
from deployments.sandbox.stripe.products import new_product, price_from
from deployments.sandbox.stripe.tables import Object, copied

GIVEN = ("description", "discountable", "period")
COPIED = (
    "amount",
    "currency",
    "description",
    "discountable",
    "metadata",
    "period",
    "pricing",
    "quantity",
    "quantity_decimal",
)


def create_invoice_item(call: Call) -> Object:
    account, params = call.account, call.params
    if not params.get("customer"):
        raise required("customer")
    customer = account.get("customer", params["customer"], "customer")
    invoice = None
    if identifier := params.get("invoice"):
        invoice = account.get("invoice", identifier, "invoice")
        require_draft(invoice)
    currency = params.get("currency") or (invoice or customer)["currency"] or "usd"
    item = _new_item(account, customer["id"], check_currency(currency))
    _apply(call, item, params)
    if invoice and item["currency"] != invoice["currency"]:
        raise Refused(
            400, "The currency of the invoice item does not match the invoice's.", param="currency"
        )
    call.create(item, "invoiceitem.created")
    if invoice:
        _put_on(call, item, invoice)
    return account.get("invoiceitem", item["id"])


def update_invoice_item(call: Call) -> Object:
    account = call.account
    before = account.get("invoiceitem", call.path["invoiceitem"])
    invoice = account.get("invoice", before["invoice"]) if before["invoice"] else None
    if invoice:
        require_draft(invoice)
    after = copied(before)
    _apply(call, after, call.params, new=False)
    account.put(after)
    if invoice:
        _replace_line(call, invoice, after, line_of(account, invoice, after))
    return after


def delete_invoice_item(call: Call) -> Object:
    account = call.account
    item = account.get("invoiceitem", call.path["invoiceitem"])
    if item["invoice"]:
        invoice = account.get("invoice", item["invoice"])
        require_draft(invoice)
        _replace_line(call, invoice, item, None)
    return _delete(call, item)


def add_lines(call: Call) -> Object:
    """Several lines at once; each is an invoice item, too."""
    account = call.account
    before = account.get("invoice", call.path["invoice"])
    require_draft(before)
    after = copied(before)
    lines = lines_of(account, before)
    for given in call.params["lines"]:
        if identifier := given.get("invoice_item"):
            item = account.get("invoiceitem", identifier, "lines[invoice_item]")
        else:
            item = _new_item(account, before["customer"], before["currency"])
            _apply(call, item, given)
        item["invoice"] = before["id"]
        call.create(item, "invoiceitem.created")
        lines.append(line_of(account, after, item))
    merge_metadata(after, {"metadata": call.params.get("invoice_metadata")})
    return call.update(before, set_lines(account, after, lines), "invoice.updated")


def update_lines(call: Call) -> Object:
    account = call.account
    before = account.get("invoice", call.path["invoice"])
    require_draft(before)
    after = copied(before)
    lines = lines_of(account, before)
    for given in call.params["lines"]:
        place = _place(lines, given["id"])
        item = account.get("invoiceitem", _item_of(lines[place]))
        _apply(call, item, given, new=False)
        account.put(item)
        lines[place] = line_of(account, after, item) | {"id": given["id"]}
    merge_metadata(after, {"metadata": call.params.get("invoice_metadata")})
    return call.update(before, set_lines(account, after, lines), "invoice.updated")


def remove_lines(call: Call) -> Object:
    account = call.account
    before = account.get("invoice", call.path["invoice"])
    require_draft(before)
    lines = lines_of(account, before)
    for given in call.params["lines"]:
        line = lines.pop(_place(lines, given["id"]))
        item = account.get("invoiceitem", _item_of(line))
        if given["behavior"] == "delete":
            _delete(call, item)
        else:
            account.put(item | {"invoice": None})
    after = set_lines(account, copied(before), lines)
    return call.update(before, after, "invoice.updated")


def list_lines(call: Call) -> Object:
    invoice = call.account.get("invoice", call.path["invoice"])
    lines = lines_of(call.account, invoice)
    return page_of(lines, call.params, f"/v1/invoices/{invoice['id']}/lines")


def line_of(account: Account, invoice: Object, item: Object) -> Object:
    return account.blank(
        "line_item",
        **{name: item[name] for name in COPIED},
        invoice=invoice["id"],
        parent={
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": item["proration"],
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        subtotal=item["amount"],
    )


def _new_item(account: Account, customer: str, currency: str) -> Object:
    now = account.now()
    return account.blank(
        "invoiceitem", customer=customer, currency=currency, period={"end": now, "start": now}
    )


def _apply(call: Call, item: Object, params: Object, *, new: bool = True) -> None:
    no_more_than_one(params, "amount", "pricing", "price_data", "unit_amount_decimal")
    assign(item, params, GIVEN)
    merge_metadata(item, params)
    quantity = params.get("quantity_decimal") or params.get("quantity") or item["quantity"]
    item.update(quantity=int(float(quantity)), quantity_decimal=str(quantity))
    if "amount" in params:
        item.update(amount=params["amount"], pricing=None)
    elif price := _price(call, params, item["currency"]):
        item.update(currency=price["currency"], pricing=pricing(price))
        item["description"] = item["description"] or _name_of(call.account, price)
    elif unit := params.get("unit_amount_decimal"):
        item["pricing"] = {
            "type": "price_details",
            "price_details": None,
            "unit_amount_decimal": unit,
        }
    elif new:
        raise required("amount")
    if item["pricing"]:
        item["amount"] = times(item["pricing"]["unit_amount_decimal"], quantity)
    item["net_amount"] = item["amount"]


def _price(call: Call, params: Object, currency: str) -> Object | None:
    account = call.account
    if named := params.get("pricing", {}).get("price"):
        return account.get("price", named, "pricing[price]")
    if not (given := params.get("price_data")):
        return None
    if new := given.get("product_data"):
        product = new_product(account, new["name"])
        given = given | {"product": call.create(product, "product.created")["id"]}
    account.get("product", given.get("product", ""), "price_data[product]")
    # A price made inline is not for further use.
    price = price_from(call, {"currency": currency} | given) | {"active": False}
    return account.put(price)


def _name_of(account: Account, price: Object) -> str | None:
    product = account.find("product", price["product"])
    return product["name"] if product else None


def _put_on(call: Call, item: Object, before: Object) -> None:
    account = call.account
    item = account.put(item | {"invoice": before["id"]})
    after = copied(before)
    lines = [*lines_of(account, before), line_of(account, before, item)]
    call.update(before, set_lines(account, after, lines), "invoice.updated")


def _replace_line(call: Call, before: Object, item: Object, line: Object | None) -> None:
    account = call.account
    lines = lines_of(account, before)
    place = next(n for n, each in enumerate(lines) if _item_of(each) == item["id"])
    lines[place : place + 1] = [line | {"id": lines[place]["id"]}] if line else []
    after = set_lines(account, copied(before), lines)
    call.update(before, after, "invoice.updated")


def _delete(call: Call, item: Object) -> Object:
    stub = {"id": item["id"], "object": "invoiceitem", "deleted": True}
    call.account.tables["invoiceitem"].delete(item["id"], stub)
    call.emit("invoiceitem.deleted", item)
    return stub


def _place(lines: list[Object], identifier: str) -> int:
    for place, line in enumerate(lines):
        if line["id"] == identifier:
            return place
    raise missing("line_item", identifier, "lines[id]", 400)


def _item_of(line: Object) -> str:
    details = line["parent"]["invoice_item_details"] if line["parent"] else None
    return details["invoice_item"] if details else ""
