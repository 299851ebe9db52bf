"""The call policy: which failures are tried again, when, and for how long.

Short waits happen here, so that Retry-After is honoured; what lasts longer than the caller's patience
is raised, and Prefect retries the task later (or the HTTP door answers 503).
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any
from uuid import UUID, uuid5

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from atlvs.errors import OutcomeUnknown, Unavailable
from blocks.wire import operation, patience

MOST_ATTEMPTS = 6
BACKOFF = wait_random_exponential(multiplier=0.5, max=20)
PREFECT_RETRIES: list[float] = [10, 60, 300]  # seconds: an outage of minutes is ridden out


def call(provider: str) -> Callable[[Callable[..., Coroutine[Any, Any, Any]]], Task[..., Any]]:
    """Make an async function a retriable Prefect task; `.fn` has the same policy without Prefect."""

    def decorate(function: Callable[..., Coroutine[Any, Any, Any]]) -> Task[..., Any]:
        name = function.__name__

        @wraps(function)
        async def policed(*args: Any, **kwargs: Any) -> Any:
            token = operation.set(name)
            try:
                return await retrying()(function, *args, **kwargs)
            finally:
                operation.reset(token)

        return retriable(f"{provider}.{name}")(policed)

    return decorate


def retriable(name: str, run_name: str | None = None) -> Callable[..., Task[..., Any]]:
    """A Prefect task that is tried again after an outage. Nothing of it is persisted or cached:
    results may hold secrets, and PostgreSQL knows what was done."""
    decorator: Any = task(
        name=name,
        task_run_name=run_name,
        retries=len(PREFECT_RETRIES),
        retry_delay_seconds=PREFECT_RETRIES,
        retry_condition_fn=may_work_later,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return decorator


def retrying() -> AsyncRetrying:
    """A retry loop that waits as told, and no longer than the caller is ready to."""
    return AsyncRetrying(
        retry=retry_if_exception(works_later),
        wait=_wait,
        stop=stop_after_attempt(MOST_ATTEMPTS) | stop_before_delay(patience.get()),
        reraise=True,
    )


def works_later(error: BaseException) -> bool:
    """Nothing happened, or the answer got lost and asking again under the same key tells it."""
    return isinstance(error, Unavailable) or (
        isinstance(error, OutcomeUnknown) and error.code == "no_answer"
    )


def step(request: UUID, name: str) -> UUID:
    """The request of one step of a larger one: the same every time."""
    return uuid5(request, name)


async def may_work_later(_task: Any, _run: Any, state: Any) -> bool:
    """Whether Prefect shall try the task again."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, BaseException) and works_later(error)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    told = getattr(error, "retry_after", None)
    return float(told) if told is not None else BACKOFF(state)
