"""Amounts as people read them, and errors as other processes read them."""

import copy
import pickle
from collections.abc import Callable
from decimal import Decimal

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlvs.errors import (
    IntegrationError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Unauthorized,
    Unavailable,
)
from atlvs.money import THREE_DECIMAL, ZERO_DECIMAL, decimals, major, readable

KINDS = [Unavailable, OutcomeUnknown, Unauthorized, Rejected]


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1250, "usd", "12.50 USD"),
        (1250, "JPY", "1,250 JPY"),
        (1250, "kwd", "1.250 KWD"),
        (0, "eur", "0.00 EUR"),
        (-5, "usd", "-0.05 USD"),
        (123_456_789_012, "usd", "1,234,567,890.12 USD"),
        (50_000, "isk", "500.00 ISK"),  # sent with two decimals that are zero
        (50_000, "ugx", "500.00 UGX"),
    ],
)
def test_amount_is_read_in_its_currency(amount: int, currency: str, text: str):
    assert readable(amount, currency) == text


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["usd", "jpy", "kwd"]))
def test_major_units_are_exact(amount: int, currency: str):
    assert major(amount, currency) * 10 ** decimals(currency) == amount


def test_a_float_never_comes_in():
    assert isinstance(major(1, "usd"), Decimal)
    assert not ZERO_DECIMAL & THREE_DECIMAL


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "road",
    [
        lambda error: pickle.loads(pickle.dumps(error)),  # noqa: S301
        lambda error: pickle.loads(cloudpickle.dumps(error)),  # noqa: S301
        copy.copy,
    ],
)
def test_error_arrives_whole_in_another_process(
    kind: type[IntegrationError], road: Callable[[IntegrationError], IntegrationError]
):
    error = kind(
        "stripe", "no.", code="card_declined", field="amount", request_id="req_1", retry_after=2.5
    )
    arrived = road(error)
    assert type(arrived) is kind
    assert str(arrived) == "stripe: no."
    assert vars(arrived) == vars(error)


def test_four_kinds_are_apart():
    assert all(issubclass(kind, IntegrationError) for kind in KINDS)
    assert not any(issubclass(one, other) for one in KINDS for other in KINDS if one is not other)
    assert not issubclass(Misconfigured, IntegrationError)
    assert all(kind.__doc__ for kind in (*KINDS, IntegrationError, Misconfigured))
