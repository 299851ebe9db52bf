"""Quiet hours on the form: as everybody's, one's own, or none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from zoneinfo import available_timezones

from atlvs.db.preferences import Choices, Quiet

CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")
USUAL, OWN, NONE = "usual", "own", "none"


@dataclass(frozen=True)
class QuietHours:
    """The fields of the form, and what is wrong with them."""

    mode: str = USUAL
    begins: str = "22:00"
    ends: str = "07:00"
    time_zone: str = ""
    wrong: str = ""

    def chosen(self) -> Quiet | None:
        """As it is kept."""
        match self.mode:
            case "own":
                begins, ends = time.fromisoformat(self.begins), time.fromisoformat(self.ends)
                return Quiet(begins, ends, self.time_zone or None)
            case "none":
                return Quiet(time(0), time(0), self.time_zone or None)
            case _:
                return None


def kept(choices: Choices) -> QuietHours:
    """The form as it was last saved."""
    quiet = choices.quiet
    if quiet is None:
        return QuietHours()
    if quiet.begins == quiet.ends:
        return QuietHours(NONE, time_zone=quiet.time_zone or "")
    return QuietHours(
        OWN, f"{quiet.begins:%H:%M}", f"{quiet.ends:%H:%M}", time_zone=quiet.time_zone or ""
    )


def entered(form: Mapping[str, str]) -> QuietHours:
    """The form as somebody filled it in."""
    given = QuietHours(
        form.get("quiet", USUAL),
        form.get("begins", "").strip()[:20],
        form.get("ends", "").strip()[:20],
        form.get("time_zone", "")[:100],
    )
    return QuietHours(given.mode, given.begins, given.ends, given.time_zone, _wrong(given))


def _wrong(given: QuietHours) -> str:
    if given.mode not in (USUAL, OWN, NONE):
        return "Choose one of the three."
    if given.time_zone and given.time_zone not in available_timezones():
        return "Choose a time zone from the list."
    if given.mode != OWN:
        return ""
    if not (CLOCK.fullmatch(given.begins) and CLOCK.fullmatch(given.ends)):
        return "Give both times, as in 22:00."
    if time.fromisoformat(given.begins) == time.fromisoformat(given.ends):
        return "They begin and end at the same time. Choose “none” if you want no quiet hours."
    return ""
