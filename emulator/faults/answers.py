"""What goes wrong with the answer to one call, before or after its effect.

Used by the front once a call's signature is good and its action is known: who cannot sign meets no
fault. There are three phases: before the effect, after it, and how late the answer comes. In each
of them one fault strikes at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from emulator.errors import ApiError
from emulator.faults.engine import Armed, Faults
from emulator.faults.fault import Fault
from emulator.faults.kinds import (
    EmptyBody,
    ResetAfter,
    ResetBefore,
    ServerError,
    Slow,
    Throttle,
)

# Code and message that the API gives with a status of its own failure.
OWN_FAILURES = {
    500: ("InternalError", "The request processing has failed due to some unknown error."),
    503: ("ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
}


@dataclass(slots=True)
class Trouble:
    """The faults that strike one call, and what they ask of the front."""

    struck: list[Armed] = field(default_factory=list)
    refusal: ApiError | None = None  # sent instead of what the call gave
    headers: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False
    is_empty: bool = False
    delay_s: float = 0.0  # real seconds

    def named(self) -> list[dict[str, str]]:
        """Return id and kind of each, for the log of requests."""
        return [{"id": each.fault_id, "kind": each.fault.kind} for each in self.struck]

    def late(self, faults: Faults, action: str) -> None:
        """Meet what delays the answer, whatever the answer is and whatever else strikes."""
        if (struck := faults.strike_any(is_late, action)) is not None:
            self._meet(struck)

    def before(self, faults: Faults, action: str) -> bool:
        """Meet what keeps the call from having any effect; tell whether something does."""
        if (struck := faults.strike_any(is_before, action)) is None:
            return False
        self._meet(struck)
        return True

    def after(self, faults: Faults, action: str) -> None:
        """Meet what keeps the answer from its client: the effect took place or was refused."""
        if (struck := faults.strike_any(is_after, action)) is not None:
            self._meet(struck)

    def _meet(self, struck: Armed) -> None:
        self.struck.append(struck)
        match struck.fault:
            case Throttle() as throttle:
                self.refusal = ApiError(
                    throttle.status, throttle.code, "Request was denied due to user flow control."
                )
                if throttle.retry_after_s is not None:
                    # Milliseconds: the SDK sleeps so many of them, and nothing else tells the unit.
                    self.headers["x-acs-retry-after"] = str(throttle.retry_after_s * 1000)
            case ServerError() as error:
                self.refusal = ApiError(error.status, *OWN_FAILURES[error.status])
            case ResetBefore() | ResetAfter():
                self.is_cut = True
            case EmptyBody():
                self.is_empty = True
            case Slow() as slow:
                self.delay_s = slow.seconds


def is_before(fault: Fault) -> bool:
    if isinstance(fault, ServerError):
        return not fault.after
    return isinstance(fault, Throttle | ResetBefore)


def is_after(fault: Fault) -> bool:
    if isinstance(fault, ServerError):
        return fault.after
    return isinstance(fault, ResetAfter | EmptyBody)


def is_late(fault: Fault) -> bool:
    return isinstance(fault, Slow)
