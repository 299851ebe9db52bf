"""What the choices are called on the pages, and what can be chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from zoneinfo import available_timezones

from atlvs.db.persons import Person
from atlvs.db.preferences import Cell, Choices, Wish
from atlvs.events import Category, Channel
from atlvs.notices import TYPES

CATEGORIES = {
    Category.TASKS: "Tasks",
    Category.APPROVALS: "Approvals",
    Category.EVENTS: "Events",
    Category.FINANCE: "Payments and budgets",
    Category.REGISTRATIONS: "Registrations",
    Category.NEWS: "News",
    Category.INCIDENTS: "Incidents",
    Category.ACCOUNT: "Your account",
}
NAMES: dict[str, str] = {str(category): name for category, name in CATEGORIES.items()}
CHANNELS = {
    Channel.EMAIL: "E-mail",
    Channel.SMS: "Text message",
    Channel.CALL: "Phone call",
    Channel.SLACK: "Slack",
}
# What stands in a sentence: "You get no more …".
MESSAGES = {
    Channel.EMAIL: "e-mail",
    Channel.SMS: "text messages",
    Channel.CALL: "phone calls",
    Channel.SLACK: "Slack messages",
}
OFTEN = {"now": "At once", "hourly": "Once an hour", "daily": "Once a day", "no": "Not at all"}
DIGESTS = (Channel.EMAIL, Channel.SLACK)  # channels on which several make one readable message
REGIONS = (
    *("Africa", "America", "Antarctica", "Arctic", "Asia"),
    *("Atlantic", "Australia", "Europe", "Indian", "Pacific"),
)


@dataclass(frozen=True)
class Choice:
    """One category on one channel."""

    name: str  # of the field
    label: str
    options: list[tuple[str, str]]
    chosen: str


@dataclass(frozen=True)
class Section:
    """One category: what can be chosen, and what is sent in any case."""

    name: str
    kinds: list[str]
    always: list[str]
    choices: list[Choice]


def sections(person: Person, choices: Choices) -> list[Section]:
    """All categories; those without a choice come last."""
    return sorted(
        (_section(person, choices, category) for category in CATEGORIES),
        key=lambda one: not one.kinds,
    )


def cells(person: Person) -> list[Cell]:
    """What this person can choose about."""
    return [
        (category, channel)
        for category in CATEGORIES
        if titles(category)
        for channel in CHANNELS
        if channel in person.addresses
    ]


def titles(category: str, always: bool = False) -> list[str]:
    """Notifications of a category that can be chosen, or that are `always` sent."""
    return [
        notice.title
        for notice in TYPES.values()
        if notice.category == category and (notice.critical or notice.transactional) == always
    ]


def field_of(cell: Cell) -> str:
    """The name of a choice's field."""
    return ".".join(("wish", *cell))


def value_of(wish: Wish) -> str:
    """A wish as the value of its field."""
    return (wish.digest or "now") if wish.wanted else "no"


def values_for(person: Person, channel: str) -> list[str]:
    """What can be chosen on a channel."""
    digests = ["hourly", "daily"] if person.contact_id and channel in DIGESTS else []
    return ["now", *digests, "no"]


def masked(channel: str, address: str) -> str:
    """Enough of an address for its owner to know it."""
    if channel == Channel.EMAIL:
        name, _, domain = address.rpartition("@")
        return f"{name[:1]}…@{domain}"
    return f"…{address[-4:]}" if channel in (Channel.SMS, Channel.CALL) else ""


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""]))


@cache
def zones() -> dict[str, list[str]]:
    """Time zones by part of the world."""
    names = sorted(available_timezones())
    return {
        region: [name for name in names if name.startswith(f"{region}/")] for region in REGIONS
    } | {"World": ["UTC"]}


def _section(person: Person, choices: Choices, category: Category) -> Section:
    return Section(
        name=CATEGORIES[category],
        kinds=titles(category),
        always=titles(category, always=True),
        choices=[
            _choice(person, choices.wish(*cell), cell)
            for cell in cells(person)
            if cell[0] == category
        ],
    )


def _choice(person: Person, wish: Wish, cell: Cell) -> Choice:
    chosen, possible = value_of(wish), values_for(person, cell[1])
    # What was chosen elsewhere stays as it is until somebody changes it here.
    values = [value for value in OFTEN if value in (*possible, chosen)]
    options = [(value, OFTEN[value]) for value in values]
    return Choice(field_of(cell), CHANNELS[Channel(cell[1])], options, chosen)
