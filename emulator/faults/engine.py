"""The faults that are armed now, and whether one strikes at an occasion."""

from __future__ import annotations

import contextlib
import itertools
import logging
import reprlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from emulator.faults.fault import Fault
from emulator.faults.kinds import KINDS, AnyFault

log = logging.getLogger(__name__)
F = TypeVar("F", bound=Fault)
_ANY: TypeAdapter[Any] = TypeAdapter(AnyFault)
MAX_QUOTED = 400
QUOTED = reprlib.Repr()
QUOTED.maxstring = QUOTED.maxother = 100


class FaultError(ValueError):
    """A description of a fault that means nothing; the text names field and value."""


class FaultFailedError(Exception):
    """What has to be in place for a fault could not be put there, or not be taken away."""


@dataclass(slots=True)
class Armed:
    """One fault with what it has seen and done so far."""

    fault_id: str
    fault: Fault
    seen: int = 0  # occasions that its target matched
    struck: int = 0

    @property
    def is_spent(self) -> bool:
        return self.fault.times > 0 and self.struck >= self.fault.times

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.fault_id,
            **self.fault.model_dump(),
            "seen": self.seen,
            "struck": self.struck,
        }


def parse(description: Any) -> Fault:
    """Return the fault that a JSON object describes.

    :raises FaultError: for an unknown kind or field, or a value that does not fit.
    """
    try:
        fault: Fault = _ANY.validate_python(description)
    except ValidationError as exc:
        raise FaultError(explained(exc.errors(include_url=False)[0])) from None
    return fault


def schema() -> dict[str, Any]:
    """Return the JSON schema of every fault."""
    return _ANY.json_schema()


def explained(error: ErrorDetails) -> str:
    """Return what is wrong in a line that can be sent: what it quotes can be of any size."""
    where = ".".join(str(part) for part in error["loc"]) or "the fault"
    text = f"{shortened(where)}: {error['msg'][:MAX_QUOTED]}, not {QUOTED.repr(error['input'])}"
    if error["type"] == "extra_forbidden":
        kind = next(kind for kind in KINDS if kind.model_fields["kind"].default == error["loc"][0])
        text += f"; fields: {', '.join(kind.model_fields)}"
    return text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str) -> str:
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}..."


class Faults:
    """What is armed. Safe to use from any thread: machines and content live on their own."""

    def __init__(self) -> None:
        self._armed: dict[str, Armed] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        # One change at a time: what a watcher puts in place fits what is armed when it returns.
        self._telling = threading.RLock()
        self._watchers: list[Callable[[], None]] = []

    def watch(self, changed: Callable[[], None]) -> None:
        """Call back after each change of what is armed, before the call that made it returns.

        For what has to put something in place first, such as a proxy; on any thread.
        """
        self._watchers.append(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        with contextlib.suppress(ValueError):
            self._watchers.remove(changed)

    def _tell(self) -> str:
        """Tell all watchers, and return what went wrong at any of them."""
        failed = []
        for changed in tuple(self._watchers):
            try:
                changed()
            except Exception as exc:  # the others have their part to do all the same
                log.warning("A change of the faults was not followed", exc_info=True)
                failed.append(f"{changed.__qualname__}: {exc or type(exc).__name__}")
        return "; ".join(failed)

    def add(self, fault: Fault) -> str:
        """Arm a fault and return its id, such as ``f-1``. This may take seconds.

        :raises FaultFailedError: when it cannot strike; it is not armed then.
        """
        with self._telling:
            with self._lock:
                fault_id = f"f-{next(self._numbers)}"
                # A copy: who arms one twice has two, and what struck tells which it was.
                self._armed[fault_id] = Armed(fault_id, fault.model_copy())
            if failed := self._tell():
                with self._lock:
                    self._armed.pop(fault_id, None)
                self._tell()  # those that did put something in place take it away
                raise FaultFailedError(f"{fault.kind} is not armed: {failed}")
        return fault_id

    def remove(self, fault_id: str) -> bool:
        """Disarm one; tell whether it was there.

        :raises FaultFailedError: when what was in place for it stays; it is disarmed all the same.
        """
        with self._telling:
            with self._lock:
                was_there = self._armed.pop(fault_id, None) is not None
            self._tell_of_less()
        return was_there

    def clear(self) -> None:
        """Disarm all.

        :raises FaultFailedError: as :meth:`remove`.
        """
        with self._telling:
            with self._lock:
                self._armed.clear()
            self._tell_of_less()

    def _tell_of_less(self) -> None:
        if failed := self._tell():
            raise FaultFailedError(f"disarmed, but its effects may last: {failed}")

    def may_strike(self, kinds: tuple[type[Fault], ...], *names: str) -> bool:
        """Tell whether one of these kinds is armed for a subject, and not yet spent."""
        with self._lock:
            return any(
                isinstance(armed.fault, kinds) and not armed.is_spent and _names(armed.fault, names)
                for armed in self._armed.values()
            )

    def armed(self) -> list[Armed]:
        """Return all that were added and not removed, spent ones too, in their order."""
        with self._lock:
            return list(self._armed.values())

    def strike(
        self, kind: type[F], *names: str, where: Callable[[F], bool] | None = None
    ) -> F | None:
        """Count an occasion and return the fault that strikes at it.

        :param names: by which the fault's target may name the subject: id, name, type.
        :param where: what else the fault must be for this to be an occasion of it.
        """

        def fits(fault: Fault) -> bool:
            return isinstance(fault, kind) and (where is None or where(fault))

        struck = self.strike_any(fits, *names)
        return struck.fault if struck is not None and isinstance(struck.fault, kind) else None

    def strike_any(self, fits: Callable[[Fault], bool], *names: str) -> Armed | None:
        """Count an occasion that is one for several kinds, and return what strikes at it.

        The first armed that is due strikes. Those armed after it do not count the occasion.

        :param fits: whether this is an occasion of a fault.
        """
        with self._lock:
            for armed in self._armed.values():
                if not armed.is_spent and fits(armed.fault) and _names(armed.fault, names):
                    armed.seen += 1
                    if armed.seen >= armed.fault.nth:
                        armed.struck += 1
                        return armed
        return None

    def is_armed(self, fault: Fault) -> bool:
        """Tell whether this very fault, spent or not, was not removed yet."""
        with self._lock:
            return any(armed.fault is fault for armed in self._armed.values())

    def holds(self, kind: type[F], *names: str) -> F | None:
        """Return a fault that applies to a subject, without counting an occasion.

        For what lasts, such as a stuck state: true until the fault is removed.
        """
        with self._lock:
            for armed in self._armed.values():
                if isinstance(armed.fault, kind) and _names(armed.fault, names):
                    return armed.fault
        return None


def _names(fault: Fault, names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, fault.target) for name in names if name)
