"""How a cloud call is sent: the SDK's exceptions become ours, and what may be repeated is.

What each answer means is in :mod:`ack_preload.hooks.retry_table`. The SDK's own retry options are
not used: they are ignored as documented, and the form that works would repeat a create blindly.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay
from tenacity.wait import wait_random_exponential

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    NotFoundError,
    PreloadError,
    ThrottledError,
    UnclearReplyError,
)
from ack_preload.hooks.retry_table import (
    ADOPT,
    POOL_BUSY,
    RETRY,
    Outcome,
    is_throttling,
    outcome,
    row_for,
)

if TYPE_CHECKING:
    from Tea.exceptions import TeaException

__all__ = [
    "BUDGET_S",
    "OF_ALL",
    "POOL_BUSY",
    "look",
    "outcome_of",
    "send",
    "takes_minutes",
    "translated",
]

log = logging.getLogger(__name__)
T = TypeVar("T")

BUDGET_S = 60.0
"""Longest time that one call may be repeated for. Then the task fails and Airflow retries it, with
no worker held meanwhile."""
LONGEST_PAUSE_S = 15.0
OF_ALL = ("InvalidAccessKeyId", "InvalidSecurityToken", "InvalidTimeStamp", "InvalidAccount")
"""Refusals of the caller. They are written like refusals of a parameter, or like
``InvalidAccessKeyId.NotFound``, and say nothing of what was asked for."""
QUOTED = ", Value: "
"""What the SDK writes before a whole reply that is no JSON."""
BROKEN = 500  # HTTP: from here on it is the server's fault


def translated(exc: TeaException, action: str, *, is_young: bool = False) -> PreloadError:
    """Return the error of ours that the SDK's exception to a call of ``action`` stands for.

    :param is_young: see :func:`outcome_of`.
    """
    code = getattr(exc, "code", None)
    if code in (None, "", "None"):  # no connection, no JSON, or no body: no answer to read
        return UnclearReplyError(f"no readable reply: {_without_reply(str(exc.message or exc))}")
    status = int(getattr(exc, "statusCode", None) or getattr(exc, "status_code", None) or 0)
    retry_after_ms = getattr(exc, "retry_after", None)
    data: dict[str, Any] = getattr(exc, "data", None) or {}
    request_id = getattr(exc, "request_id", None) or data.get("RequestId") or "unknown"
    message = data.get("Message") or data.get("message") or exc.message or ""
    kind = _kind(action, str(code), status)
    if is_young and _is_not_found(str(code)):
        kind = CloudUnavailableError
    return kind(
        str(code),
        str(message),
        request_id=str(request_id),
        retry_after_s=retry_after_ms / 1000 if retry_after_ms else None,
    )


def _kind(action: str, code: str, status: int) -> type[CloudError]:
    if is_throttling(code):
        return ThrottledError
    row = row_for(action, code)
    if status >= BROKEN or (row is not None and row.outcome in (RETRY, ADOPT)):
        return CloudUnavailableError
    return NotFoundError if _is_not_found(code) else CloudError


def _without_reply(message: str) -> str:
    """Leave out the reply itself, which the SDK quotes: a cut kubeconfig has a private key."""
    return message.partition(QUOTED)[0]


def _cause(exc: TeaException, error: PreloadError) -> TeaException | None:
    """Return what a traceback may show of the SDK's exception; see :func:`_without_reply`."""
    return None if isinstance(error, UnclearReplyError) else exc


def _is_not_found(code: str) -> bool:
    return "NotFound" in code and not code.startswith(OF_ALL)


def outcome_of(action: str, exc: PreloadError, *, is_young: bool = False) -> Outcome:
    """Return what a failed call of ``action`` means.

    :param is_young: what the call is about was made so lately that the cloud may not know it
        everywhere yet: then "not found" is "not yet", and never "gone".
    """
    match exc:
        case CloudError(code=code):
            if is_young and _is_not_found(code):
                return Outcome.RETRY
            broken = isinstance(exc, CloudUnavailableError) and row_for(action, code) is None
            return outcome(action, code, BROKEN if broken else 0)
        case UnclearReplyError():
            return outcome(action, "", 0)
    return Outcome.GIVE_UP


def send(
    action: str,
    request: Callable[[], T],
    *,
    pace_s: float = 1.0,
    budget_s: float = BUDGET_S,
    is_young: bool = False,
    before: Callable[[], None] = lambda: None,
) -> T | None:
    """Send one call, again where the table says so; ``None`` when it is done already.

    A pause that the cloud asks for is kept to. One that would end after the budget is not begun:
    the error goes to Airflow, whose next try begins no sooner than the cloud asked for.

    :param pace_s: pauses grow from here, at random, so that many tasks do not knock in step.
    :param is_young: see :func:`outcome_of`.
    :param before: called before each time that the call is sent.
    """

    def may_repeat(exc: BaseException) -> bool:
        return (
            isinstance(exc, PreloadError)
            and outcome_of(action, exc, is_young=is_young) is Outcome.RETRY
            and not takes_minutes(action, exc)
        )

    retrying = Retrying(
        retry=retry_if_exception(may_repeat),
        wait=_pauses(pace_s),
        stop=stop_before_delay(budget_s),
        before=lambda _: before(),
        before_sleep=lambda state: log.warning("%s sent again: %s", action, _error(state)),
        reraise=True,
    )
    try:
        return retrying(lambda: _once(action, request, is_young=is_young))
    except CloudError as exc:
        if outcome_of(action, exc, is_young=is_young) is Outcome.DONE:
            return None
        raise


def _pauses(pace_s: float) -> Callable[[RetryCallState], float]:
    backoff = wait_random_exponential(multiplier=pace_s, max=LONGEST_PAUSE_S)

    def pause(state: RetryCallState) -> float:
        asked = getattr(_error(state), "retry_after_s", None) or 0.0
        return max(float(asked), backoff(state))

    return pause


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def takes_minutes(action: str, exc: PreloadError) -> bool:
    """Tell whether the call can be sent again, but not before minutes: its operator defers."""
    row = row_for(action, exc.code) if isinstance(exc, CloudError) else None
    return row is not None and row.later


def _once(action: str, request: Callable[[], T], *, is_young: bool) -> T:
    from Tea.exceptions import TeaException

    try:
        return request()
    except TeaException as exc:
        error = translated(exc, action, is_young=is_young)
        raise error from _cause(exc, error)


async def look(request: Callable[[], Awaitable[T]], action: str = "") -> T:
    """Send one reading call from a trigger, once: the wait itself is what repeats it."""
    from Tea.exceptions import TeaException

    try:
        return await request()
    except TeaException as exc:
        error = translated(exc, action)
        raise error from _cause(exc, error)
