"""What can go wrong with an outside call, named by what the caller does next.

IntegrationError
├── Unavailable      nothing happened; the same call may work later (429, 503, refused connection)
├── OutcomeUnknown   it may have happened (no answer after sending); reconcile before any resend
├── Unauthorized     a person must reconnect or grant a right
└── Rejected         understood and refused; do not retry
"""

from typing import Any


class IntegrationError(Exception):
    """Base of the four. Carries plain values only, so that it survives pickling by Prefect."""

    def __init__(
        self,
        provider: str,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider = provider
        self.message = message
        self.code = code
        self.field = field
        self.request_id = request_id
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in self.__dict__.items() if name != "__notes__"}
        return _rebuilt, (type(self), state)


def _rebuilt(kind: type[IntegrationError], state: dict[str, Any]) -> IntegrationError:
    return kind(**state)


class Unavailable(IntegrationError):
    """Nothing happened; the same call may work after `retry_after` seconds (or a while, if None)."""


class OutcomeUnknown(IntegrationError):
    """It may have happened. Ask the provider before sending again."""


class Unauthorized(IntegrationError):
    """The credential is refused or lacks a right. A person must reconnect."""


class Rejected(IntegrationError):
    """Understood and refused. The same call will be refused again."""


class Misconfigured(Exception):
    """A setting is missing or wrong; the message names it and its mend."""
