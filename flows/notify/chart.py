"""A chart of a fan-out: for each channel, how many deliveries came to which state."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

from matplotlib.figure import Figure

# From well to unwell; colours that are told apart also without seeing red and green.
COLOURS = {
    "opened": "#08519c",
    "delivered": "#3182bd",
    "sent": "#6baed6",
    "digested": "#9ecae1",
    "queued": "#d9d9d9",
    "planned": "#d9d9d9",
    "sending": "#bdbdbd",
    "unknown": "#fdd049",
    "skipped": "#969696",
    "cancelled": "#737373",
    "suppressed": "#525252",
    "undelivered": "#fdae6b",
    "bounced": "#e6550d",
    "failed": "#a63603",
}


def states_chart(counts: Sequence[tuple[str, str, int]], title: str) -> bytes:
    """A PNG of (channel, state, number) as stacked bars."""
    channels = sorted({channel for channel, _, _ in counts}, reverse=True)
    figure = Figure(figsize=(8, 1.6 + 0.5 * len(channels)), dpi=80, layout="constrained")
    axes = figure.subplots()
    left = dict.fromkeys(channels, 0)
    for state, colour in COLOURS.items():
        numbers = dict.fromkeys(channels, 0)
        for channel, found, number in counts:
            numbers[channel] += number if found == state else 0
        if any(numbers.values()):
            axes.barh(
                channels,
                [numbers[channel] for channel in channels],
                left=[left[channel] for channel in channels],
                color=colour,
                label=f"{state} ({sum(numbers.values()):,})",
            )
        left = {channel: left[channel] + numbers[channel] for channel in channels}
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("deliveries")
    axes.spines[["top", "right"]].set_visible(False)
    if counts:
        figure.legend(loc="outside right upper", fontsize=9, frameon=False)
    return _png(figure)


def as_url(png: bytes) -> str:
    """A data: URL, which Prefect's pages show as an image without asking anybody for it."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _png(figure: Figure) -> bytes:
    picture = BytesIO()
    figure.savefig(picture, format="png", facecolor="white")
    return picture.getvalue()
