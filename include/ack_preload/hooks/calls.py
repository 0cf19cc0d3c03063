"""How a cloud call is sent: the SDK's exceptions become ours, and what may be repeated is.

The table ``CALLS`` says for each call what part of its errors means "not now" and what means
"already so". Sources: the error tables of each API page, and what the cloud's own Terraform
provider retries. The SDK's own retry options are not used: they are ignored as documented, and
the form that works would repeat a create call blindly.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay
from tenacity.wait import wait_random_exponential

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    NotFoundError,
    PreloadError,
    ThrottledError,
    UnclearReplyError,
)

if TYPE_CHECKING:
    from Tea.exceptions import TeaException

log = logging.getLogger(__name__)
T = TypeVar("T")

BUDGET_S = 120.0
"""Longest time that one call may be repeated for. Then the task fails, and Airflow retries it."""
LONGEST_PAUSE_S = 20.0

CONFLICT = frozenset(
    {"OperationConflict", "Operation.Conflict", "InvalidOperation.Conflict", "LastTokenProcessing"}
)
UNFINISHED = frozenset({"IncorrectInstanceStatus", "IncorrectInstanceStatus.Initializing"})
POOL_BUSY = "InvalidStatus.Forbidden"
"""ACK's refusal while the pool is scaling, updating or removing. That takes minutes, so it is not
waited out here: the operator defers until the pool is settled and then starts again."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of one API call.

    :param repeat: whether it may be sent again when its outcome is unknown: it only reads, it
        carries a ClientToken, or doing it twice is doing it once.
    :param busy: codes with which the cloud refuses for now; nothing was done, so every call
        may be sent again.
    :param done: codes that say that what is asked for is so already.
    """

    repeat: bool = False
    busy: frozenset[str] = CONFLICT
    done: frozenset[str] = frozenset()


READ = Call(repeat=True)
ACK_SET = Call(repeat=True)  # sets a value: twice is once

CALLS: dict[str, Call] = {
    "RunInstances": Call(
        repeat=True, busy=CONFLICT | {"IncorrectVSwitchStatus", "IdempotentProcessing"}
    ),
    "CreateSnapshot": Call(
        repeat=True,
        busy=CONFLICT
        | UNFINISHED
        | {
            "CreateSnapshot.Failed",
            "IdempotentProcessing",
            "IncorrectDiskStatus.CreatingSnapshot",
            "IncorrectDiskStatus.Transferring",
            "QuotaExceed.ConcurrentSnapshotQuota",
            "TooManyCreatingSnapshots",
        },
    ),
    # No IncorrectInstanceStatus here: after a lost reply it means that the instance stops
    # already, so the caller looks again instead of knocking until the budget is spent.
    "StopInstance": Call(repeat=True),
    "StartInstance": Call(repeat=True),
    "DeleteInstance": Call(
        repeat=True,
        busy=CONFLICT | UNFINISHED | {"DependencyViolation.RouteEntry"},
        done=frozenset({"InvalidInstanceId.NotFound", "Forbidden.InstanceNotFound"}),
    ),
    "DeleteDisk": Call(
        repeat=True,
        busy=CONFLICT | {"IncorrectDiskStatus", "IncorrectDiskStatus.Initializing"},
        done=frozenset({"InvalidDiskId.NotFound"}),
    ),
    "DeleteSnapshot": Call(
        repeat=True,
        busy=CONFLICT
        | {"IncorrectDiskStatus.CreatingSnapshot", "InvalidOperation.RelatedSnapshotNotFinished"},
        done=frozenset({"InvalidSnapshotId.NotFound", "InvalidResource.NotFound"}),
    ),
    # A second import of a name is an error, so the caller looks what the name holds.
    "ImportKeyPair": Call(),
    "DeleteKeyPairs": Call(
        repeat=True,
        busy=CONFLICT | {"InvalidParameter.KeypairAlreadyAttachedInstance"},
        done=frozenset({"InvalidKeyPair.NotFound", "InvalidKeyPairName.NotFound"}),
    ),
    "TagResources": Call(repeat=True),
    # No ClientToken: the caller looks by name before it sends this, and after an unclear reply.
    "CreateClusterNodePool": Call(busy=CONFLICT | {POOL_BUSY}),  # a busy cluster, then
    "ModifyClusterNodePool": ACK_SET,
    "RemoveNodePoolNodes": ACK_SET,
    "DeleteClusterNodepool": Call(repeat=True, done=frozenset({"ErrorNodePoolNotFound"})),
}


def translated(exc: TeaException, call: Call) -> PreloadError:
    """Return the error of ours that the SDK's exception stands for."""
    code = getattr(exc, "code", None)
    if code in (None, "", "None"):  # no connection, no JSON, or no body: no answer to read
        return UnclearReplyError(f"no readable reply: {exc.message or exc}")
    status = int(getattr(exc, "statusCode", None) or getattr(exc, "status_code", None) or 0)
    retry_after_ms = getattr(exc, "retry_after", None)
    data: dict[str, Any] = getattr(exc, "data", None) or {}
    request_id = getattr(exc, "request_id", None) or data.get("RequestId") or "unknown"
    message = data.get("Message") or data.get("message") or exc.message or ""
    return _kind(code, status, call)(
        code,
        str(message),
        request_id=str(request_id),
        retry_after_s=retry_after_ms / 1000 if retry_after_ms else None,
    )


def _kind(code: str, status: int, call: Call) -> type[CloudError]:
    if code.startswith("Throttling") or code == "Rejected.Throttling":
        return ThrottledError
    if code in call.busy or code in UNFINISHED or code in (POOL_BUSY, "ServiceUnavailable"):
        return CloudUnavailableError
    if status >= 500:  # noqa: PLR2004  # HTTP: the server's fault
        return CloudUnavailableError
    return NotFoundError if "NotFound" in code else CloudError


def send(
    action: str, request: Callable[[], T], *, pace_s: float = 1.0, budget_s: float = BUDGET_S
) -> T | None:
    """Send one call, again where the table allows it; ``None`` when it is done already.

    :param pace_s: pauses grow from here, at random, so that many tasks do not knock in step.
    """
    call = CALLS.get(action, READ)
    backoff = wait_random_exponential(multiplier=pace_s, max=LONGEST_PAUSE_S)

    def pause(state: RetryCallState) -> float:
        asked = getattr(_error(state), "retry_after_s", None) or 0.0
        return max(float(asked), backoff(state))

    def tell(state: RetryCallState) -> None:
        log.warning("%s refused, sent again: %s", action, _error(state))

    retrying = Retrying(
        retry=retry_if_exception(lambda exc: may_repeat(exc, call)),
        wait=pause,
        stop=stop_after_delay(budget_s),
        before_sleep=tell,
        reraise=True,
    )
    try:
        return retrying(lambda: _once(call, request))
    except CloudError as exc:
        if exc.code in call.done:
            return None
        raise


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def may_repeat(exc: BaseException, call: Call) -> bool:
    """Tell whether the same call may be sent again at once."""
    match exc:
        case CloudError(code=code) if code in call.done:
            return False
        case ThrottledError():
            return True  # refused before anything was done
        case CloudUnavailableError(code=code):
            return code in call.busy or (call.repeat and code not in UNFINISHED | {POOL_BUSY})
        case UnclearReplyError():
            return call.repeat
        case _:
            return False


def _once(call: Call, request: Callable[[], T]) -> T:
    from Tea.exceptions import TeaException

    try:
        return request()
    except TeaException as exc:
        raise translated(exc, call) from exc


async def look(request: Callable[[], Awaitable[T]]) -> T:
    """Send one reading call from a trigger, once: the wait itself is what repeats it."""
    from Tea.exceptions import TeaException

    try:
        return await request()
    except TeaException as exc:
        raise translated(exc, READ) from exc
