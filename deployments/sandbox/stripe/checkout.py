"""Checkout sessions: open → complete · expired.

The payment intent is null until the customer confirms, and in subscription mode the subscription
exists only after the payment. https://docs.stripe.com/api/checkout/sessions
"""

from __future__ import annotations

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.billing import times
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused, required, unexpected_state
from deployments.sandbox.stripe.fields import assign, merge_metadata, no_more_than_one
from deployments.sandbox.stripe.lists import page_of
from deployments.sandbox.stripe.money import check_amount, check_currency
from deployments.sandbox.stripe.products import new_product, price_from
from deployments.sandbox.stripe.tables import Object, copied

DAY = 86_400
HALF_AN_HOUR = 1_800
GIVEN = (
    "allow_promotion_codes",
    "allowed_payment_method_types",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "customer_email",
    "excluded_payment_method_types",
    "integration_identifier",
    "locale",
    "origin_context",
    "return_url",
    "submit_type",
    "success_url",
)
BEHIND = ("payment_intent_data", "subscription_data", "setup_intent_data", "invoice_creation")


def create_session(call: Call) -> Object:
    account, params = call.account, call.params
    mode = params.get("mode", "payment")
    _check(call, mode)
    lines = [_line(call, each, at, mode) for at, each in enumerate(params.get("line_items", []))]
    total = sum(line["amount_total"] for line in lines)
    currency = lines[0]["currency"] if lines else params.get("currency", "usd")
    session = _new_session(account, mode, check_currency(currency), total)
    if mode == "payment" and total:
        check_amount(total, currency, "line_items")
    assign(session, params, GIVEN)
    merge_metadata(session, params)
    session["customer"] = params.get("customer")
    session["ui_mode"] = params.get("ui_mode", "hosted_page")
    session["expires_at"] = _expiry(account, params)
    session["customer_creation"] = (
        params.get("customer_creation", "if_required") if mode == "payment" else None
    )
    session["payment_status"] = "no_payment_required" if not total else "unpaid"
    if session["ui_mode"] != "hosted_page":
        session.update(url=None, client_secret=f"{session['id']}_secret_{account.ids.word(24)}")
    account.hidden[session["id"]] = {"line_items": lines} | {
        name: params[name] for name in BEHIND if name in params
    }
    identifier = session["id"]
    account.at(session["expires_at"], lambda: _expire_if_open(account, identifier))
    return account.put(session)


def update_session(call: Call) -> Object:
    session = copied(call.account.get("checkout.session", call.path["session"]))
    merge_metadata(session, call.params)
    return call.account.put(session)


def expire_session(call: Call) -> Object:
    session = call.account.get("checkout.session", call.path["session"])
    if session["status"] != "open":
        raise unexpected_state(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of {session['status']}.",
            "checkout_session_unexpected_state",
        )
    return _expire(call, session)


def list_line_items(call: Call) -> Object:
    session = call.account.get("checkout.session", call.path["session"])
    lines = call.account.hidden[session["id"]]["line_items"]
    return page_of(lines, call.params, f"/v1/checkout/sessions/{session['id']}/line_items")


def _expire_if_open(account: Account, identifier: str) -> None:
    session = account.find("checkout.session", identifier)
    if session and session["status"] == "open":
        _expire(Call(account), session)


def _expire(call: Call, session: Object) -> Object:
    after = session | {"status": "expired", "url": None, "expires_at": call.account.now()}
    return call.update(session, after, "checkout.session.expired")


def _check(call: Call, mode: str) -> None:
    params = call.params
    no_more_than_one(params, "customer", "customer_email")
    if customer := params.get("customer"):
        call.account.get("customer", customer, "customer")
    hosted = params.get("ui_mode", "hosted_page") == "hosted_page"
    if hosted and not params.get("success_url"):
        raise required("success_url")
    if mode != "setup" and not params.get("line_items"):
        raise required("line_items")
    for name, belongs in (
        ("payment_intent_data", "payment"),
        ("subscription_data", "subscription"),
    ):
        if name in params and mode != belongs:
            raise Refused(400, f"You can not pass `{name}` in `{mode}` mode.", param=name)


def _expiry(account: Account, params: Object) -> int:
    now = account.now()
    moment = params.get("expires_at", now + DAY)
    if not now + HALF_AN_HOUR <= moment <= now + DAY:
        raise Refused(
            400,
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
            "Session creation.",
            param="expires_at",
        )
    return moment


def _line(call: Call, given: Object, at: int, mode: str) -> Object:
    price = _price(call, given, at)
    if mode == "payment" and price["type"] == "recurring":
        raise Refused(
            400,
            "You specified `payment` mode but passed a recurring price. Either switch to "
            "`subscription` mode or use only one-time prices.",
            param=f"line_items[{at}]",
        )
    quantity = given.get("quantity")
    if quantity is None:
        raise required(f"line_items[{at}][quantity]")
    amount = times(price["unit_amount_decimal"], quantity)
    product = call.account.find("product", price["product"])
    return call.account.blank(
        "item",
        amount_subtotal=amount,
        amount_total=amount,
        currency=price["currency"],
        description=product["name"] if product else None,
        metadata=given.get("metadata") or {},
        price=price,
        quantity=quantity,
    )


def _price(call: Call, given: Object, at: int) -> Object:
    account, param = call.account, f"line_items[{at}]"
    no_more_than_one(given, "price", "price_data")
    if named := given.get("price"):
        return account.get("price", named, f"{param}[price]")
    inline = given.get("price_data")
    if not inline:
        raise required(f"{param}[price]")
    if new := inline.get("product_data"):
        product = new_product(account, new["name"])
        assign(product, new, ("description", "images", "unit_label"))
        merge_metadata(product, new)
        inline = inline | {"product": call.create(product | {"active": False})["id"]}
    if not inline.get("product"):
        raise required(f"{param}[price_data][product]")
    account.get("product", inline["product"], f"{param}[price_data][product]")
    return account.put(price_from(call, inline) | {"active": False})


def _new_session(account: Account, mode: str, currency: str, total: int) -> Object:
    session = account.blank("checkout.session", mode=mode, currency=currency)
    session.update(
        amount_subtotal=total,
        amount_total=total,
        payment_method_collection="always" if mode == "subscription" else "if_required",
        url=f"https://checkout.stripe.com/c/pay/{session['id']}",
    )
    return session
