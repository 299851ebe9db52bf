"""E-mail addresses as those who carry mail take them."""

import re

ADDRESS = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])",
    re.IGNORECASE | re.ASCII,
)


def is_address(email: str) -> bool:
    """Whether SendGrid takes it as an address: it refuses a whole request for one that is none."""
    return len(email) <= 320 and ADDRESS.fullmatch(email) is not None
