"""Who gets no mail, and why.

Four lists with a reason, the global unsubscribes, and one list for each unsubscribe group.
Blocks are kept for reading only: a blocked address is written to again.
https://www.twilio.com/docs/sendgrid/ui/sending-email/index-suppressions
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any

Entry = dict[str, Any]
LISTS = ("bounces", "blocks", "spam_reports", "invalid_emails", "unsubscribes")


@dataclass(slots=True)
class Suppressions:
    lists: dict[str, dict[str, Entry]] = field(default_factory=lambda: {name: {} for name in LISTS})
    groups: dict[int, dict[str, int]] = field(default_factory=dict)
    # Sorted once for the many pages of one read.
    in_order: dict[str, list[Entry]] = field(default_factory=dict)

    def add(self, name: str, email: str, created: int, **more: Any) -> None:
        self.lists[name].setdefault(email.lower(), {"created": created, "email": email, **more})
        self.in_order.pop(name, None)

    def remove(self, name: str, email: str) -> bool:
        self.in_order.pop(name, None)
        return self.lists[name].pop(email.lower(), None) is not None

    def clear(self, name: str) -> None:
        self.lists[name].clear()
        self.in_order.pop(name, None)

    def newest_first(self, name: str, low: int, high: int) -> list[Entry]:
        """The entries made from `low` to `high`, both included."""
        if name not in self.in_order:
            self.in_order[name] = sorted(self.lists[name].values(), key=_age)
        ordered = self.in_order[name]
        return ordered[
            bisect_left(ordered, -high, key=_age) : bisect_right(ordered, -low, key=_age)
        ]

    def why_dropped(self, email: str, group: int | None, bypassed: frozenset[str]) -> str | None:
        """The reason of the `dropped` event, or None."""
        email = email.lower()
        for name, reason in REASONS.items():
            if name not in bypassed and email in self.lists[name]:
                return reason
        if group is not None and "groups" not in bypassed and email in self.groups.get(group, ()):
            return "Unsubscribed Address"
        return None

    def counts(self) -> dict[str, int]:
        return {name: len(entries) for name, entries in self.lists.items()}


REASONS = {
    "unsubscribes": "Unsubscribed Address",
    "bounces": "Bounced Address",
    "spam_reports": "Spam Reporting Address",
    "invalid_emails": "Invalid",
}

# What each switch of mail_settings steps over.
BYPASSED = {
    "bypass_list_management": frozenset({*REASONS, "groups"}),
    "bypass_spam_management": frozenset({"spam_reports"}),
    "bypass_bounce_management": frozenset({"bounces"}),
    "bypass_unsubscribe_management": frozenset({"unsubscribes"}),
}


def bypassed_by(mail_settings: dict[str, Any]) -> frozenset[str]:
    chosen = [lists for name, lists in BYPASSED.items() if is_on(mail_settings, name)]
    return frozenset().union(*chosen)


def _age(entry: Entry) -> int:
    return -entry["created"]


def is_on(settings: dict[str, Any], name: str) -> bool:
    return bool(settings.get(name, {}).get("enable"))


def pattern_for(email: str) -> re.Pattern[str]:
    """The start of an address, with % for anything."""
    return re.compile(".*".join(re.escape(part) for part in email.lower().split("%")))
