"""Resources of one kind, and from when to when a read call shows each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from emulator.clock import Clock

T = TypeVar("T")


class Shelf(dict[str, T]):
    """What there is, by id.

    As a dict it is the truth, by which names and quotas are judged. What calls get to see, by
    :meth:`shown` and :meth:`find`, is older by the delay: a resource comes late and goes late, as
    at a cloud whose reads are eventually consistent. Its *state* is never old.
    """

    def __init__(self, clock: Clock, delay_s: float) -> None:
        super().__init__()
        self._clock = clock
        self._delay = timedelta(seconds=delay_s)
        self._since: dict[str, datetime] = {}  # of what is not shown yet
        self._gone: dict[str, tuple[T, datetime, datetime]] = {}  # shown from, and to

    def __setitem__(self, key: str, value: T) -> None:
        super().__setitem__(key, value)
        if self._delay:
            self._since[key] = self._clock.now() + self._delay

    def __delitem__(self, key: str) -> None:
        if self._delay and key in self:
            now = self._clock.now()
            self._gone[key] = (self[key], self._since.pop(key, now), now + self._delay)
        super().__delitem__(key)

    def pop(self, key: str, default: Any = None) -> Any:
        """Take one away; never raises."""
        if key not in self:
            return default
        value = self[key]
        del self[key]
        return value

    def show_all(self) -> None:
        """Show all that there is at once: a seed was there before its reader."""
        self._since.clear()

    def shown(self) -> Mapping[str, T]:
        """Return what a Describe call shows."""
        if not self._delay:
            return self
        now = self._clock.now()
        self._since = {key: since for key, since in self._since.items() if since > now}
        self._gone = {key: each for key, each in self._gone.items() if each[2] > now}
        late = {key: value for key, (value, since, _) in self._gone.items() if since <= now}
        return late | {key: value for key, value in self.items() if key not in self._since}

    def find(self, key: str) -> T | None:
        """Return what a call that acts on a resource finds: nothing until it is shown.

        What was deleted is not found either, although it may still be shown.
        """
        since = self._since.get(key)
        return None if since is not None and since > self._clock.now() else self.get(key)
