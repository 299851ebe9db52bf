"""What a provider's task module offers to the fan-out, and where it is found.

`tasks.{provider}.SENDERS` maps a channel to its sender. A sender keeps no state: pace, retries of the
whole delivery, states and the ledger are the fan-out's.
"""

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

from atlvs.events import Channel
from atlvs.notices import PROVIDERS
from atlvs.records import Delivery, Estimate, Outcome


class Sender(Protocol):
    """How one channel's deliveries are sent."""

    per_call: int  # deliveries in one call
    in_flight: int  # calls at the same time

    def check(self, connector: Any, delivery: Delivery) -> None:
        """Render the message and throw it away: Rejected when it cannot be sent as it is."""
        ...

    def estimate(self, connector: Any, delivery: Delivery) -> Estimate | None:
        """What it will cost; None where a message costs nothing by itself."""
        ...

    async def turn(self, connector: Any, batch: Sequence[Delivery]) -> None:
        """Wait until the provider's pace lets this call go. Raises Unavailable beyond our patience."""
        ...

    async def send(self, connector: Any, batch: Sequence[Delivery]) -> list[Outcome]:
        """One call, its turn taken, without any retry of its own.

        An outcome for each delivery of the batch, or one exception for all of them: Unavailable
        (nothing happened), OutcomeUnknown, Unauthorized (a person must mend the connection) or
        Rejected (will never work).
        """
        ...

    async def look(self, connector: Any, batch: Sequence[Delivery]) -> list[Outcome]:
        """What became of deliveries of unknown outcome, as the provider tells. "queued": it is
        certain that they never left. "unknown": it cannot be told (yet)."""
        ...


def sender_for(channel: str) -> Sender:
    """The sender of a channel."""
    module = importlib.import_module(f"tasks.{PROVIDERS[Channel(channel)]}")
    return module.SENDERS[Channel(channel)]
