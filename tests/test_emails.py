"""What is an e-mail address, and what only looks like one."""

from atlvs.emails import is_address


def test_addresses_are_those_that_sendgrid_takes():
    assert all(map(is_address, ["a@example.org", "A.b+c@sub.example.co", "o'neil@example.ie"]))
    wrong = [
        "",
        "a",
        "a@b",
        "a@@example.org",
        "a b@example.org",
        "a@example.org\n",
        "ü@example.org",
    ]
    assert not [email for email in [*wrong, "a." * 200 + "@example.org"] if is_address(email)]
