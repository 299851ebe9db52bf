"""Phone numbers as people type them."""

import pytest

from atlvs.phones import e164


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("+15005550006", "DE", "+15005550006"),
        ("(415) 555-0123", "US", "+14155550123"),
        ("030 123456", "DE", "+4930123456"),
        ("030 123456", "de", "+4930123456"),
        ("+44 (0)20 7946 0958", "US", "+442079460958"),
        ("0044 20 7946 0958", "DE", "+442079460958"),
        ("tel:+14155550123", "US", "+14155550123"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("+14155550123 ext. 5", "US", None),
        ("030 123456", "ZZ", None),
        ("030 123456", "", None),
        ("+1", "US", None),
        ("+0123456789", "US", None),
        ("", "US", None),
        ("call me", "US", None),
        ("+1415555\0123", "US", None),
        ("1" * 500, "US", None),
        ("+15005550006\n", "US", "+15005550006"),
    ],
)
def test_number_as_typed(text: str, region: str, number: str | None) -> None:
    assert e164(text, region) == number
