"""What every simulated service is to the sandbox."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from deployments.sandbox.clock import Clock
from deployments.sandbox.deliveries import Dispatcher
from deployments.sandbox.faults import Rule
from deployments.sandbox.limits import Limits
from deployments.sandbox.wire import Answer, Request

Control = Callable[[dict[str, Any]], Any]


@dataclass(slots=True)
class World:
    """What the simulated services share."""

    clock: Clock = field(default_factory=Clock)
    dispatcher: Dispatcher = field(default_factory=Dispatcher)


class Provider(ABC):
    """One service: answers its own API, and can be steered from outside.

    `request.fault` carries a rule of an after-kind or `slow`: the service commits the effect
    first, and answers `failure(request, rule)` where the rule says so.
    """

    name: ClassVar[str]

    def __init__(self, world: World) -> None:
        self.world = world
        self.limits = Limits()

    @abstractmethod
    async def answer(self, request: Request) -> Answer: ...

    @abstractmethod
    def note(self, request: Request) -> None:
        """Fill `request.noted` for the log, also where the request goes no further."""

    @abstractmethod
    def failure(self, request: Request, rule: Rule) -> Answer:
        """The answer in this service's own words for an injected 429, 409 or 5xx."""

    @abstractmethod
    def reset(self) -> None: ...

    @property
    @abstractmethod
    def controls(self) -> Mapping[str, Control]:
        """What `/_sandbox/{provider}/{control}` offers beyond the shared routes."""

    def clock_moved(self) -> None:  # noqa: B027  most services do nothing by the clock alone
        """Do what fell due."""
