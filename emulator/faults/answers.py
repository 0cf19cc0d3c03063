"""What goes wrong with the answer to one call, before or after its effect.

Used by the front once a call's signature is good: who cannot sign meets no fault.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from emulator.errors import ApiError
from emulator.faults.engine import Faults
from emulator.faults.kinds import (
    EmptyBody,
    Fault,
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

    struck: list[Fault] = field(default_factory=list)
    refusal: ApiError | None = None  # sent instead of what the call gave
    headers: dict[str, str] = field(default_factory=dict)
    had_effect: bool = False
    is_cut: bool = False
    is_empty: bool = False
    delay_s: float = 0.0  # real seconds

    def named(self, faults: Faults) -> list[dict[str, str]]:
        """Return id and kind of each, for the log of requests."""
        return [{"id": faults.id_of(each), "kind": each.kind} for each in self.struck]

    def before(self, faults: Faults, action: str) -> bool:
        """Meet what keeps the call from having any effect; tell whether something does."""
        if throttle := faults.strike(Throttle, action):
            self.struck.append(throttle)
            self.refusal = ApiError(
                throttle.status, throttle.code, "Request was denied due to user flow control."
            )
            if throttle.retry_after_s is not None:
                self.headers["x-acs-retry-after"] = str(throttle.retry_after_s)
        elif error := faults.strike(ServerError, action, where=lambda fault: not fault.after):
            self._fail(error)
        elif reset := faults.strike(ResetBefore, action):
            self.struck.append(reset)
            self.is_cut = True
        return bool(self.struck)

    def after(self, faults: Faults, action: str) -> None:
        """Meet what keeps the answer from its client; the effect has taken place."""
        self.had_effect = True
        if slow := faults.strike(Slow, action):
            self.struck.append(slow)
            self.delay_s = slow.seconds
        if error := faults.strike(ServerError, action, where=lambda fault: fault.after):
            self._fail(error)
        elif reset := faults.strike(ResetAfter, action):
            self.struck.append(reset)
            self.is_cut = True
        elif empty := faults.strike(EmptyBody, action):
            self.struck.append(empty)
            self.is_empty = True

    def _fail(self, error: ServerError) -> None:
        self.struck.append(error)
        self.refusal = ApiError(error.status, *OWN_FAILURES[error.status])
