"""Things that tell of their changes, so that the meter depends on nobody who changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from emulator.shelf import Shelf

if TYPE_CHECKING:
    from emulator.clock import Clock
    from emulator.metering.meter import Meter

T = TypeVar("T")
Told = Callable[[], None]


class Watched:
    """Tells of each assignment to one of its attributes."""

    __slots__ = ("_told",)
    _told: Told | None

    def watch(self, told: Told | None) -> None:
        object.__setattr__(self, "_told", told)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        told = getattr(self, "_told", None)  # unset while it is being made
        if told is not None:
            told()


class WatchedTags(dict[str, str]):
    """Tags that tell when they are changed in place, by whichever of a dict's methods."""

    setdefault = MutableMapping.setdefault
    popitem = MutableMapping.popitem
    pop = MutableMapping.pop
    clear = MutableMapping.clear
    update = MutableMapping.update

    def __init__(self, tags: Mapping[str, str], told: Told) -> None:
        super().__init__(tags)
        self._told = told

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, value)
        self._told()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._told()

    def __ior__(self, other: Any) -> WatchedTags:  # type: ignore[override,misc]  # as update
        self.update(other)
        return self


class MeteredShelf(Shelf[T]):
    """A shelf that opens a line of the meter for what is put on it, and ends it with its going.

    A dict's other methods would change it without ``__setitem__`` and ``__delitem__``: they are
    those of ``MutableMapping`` here, which know no other way.
    """

    setdefault = MutableMapping.setdefault
    popitem = MutableMapping.popitem
    clear = MutableMapping.clear
    update = MutableMapping.update

    def __init__(self, kind: str, meter: Meter, clock: Clock, delay_s: float) -> None:
        super().__init__(clock, delay_s)
        self._kind = kind
        self._meter = meter

    def __setitem__(self, key: str, value: T) -> None:
        super().__setitem__(key, value)
        self._meter.opened(self._kind, key, value)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._meter.closed(self._kind, key)

    def __ior__(self, other: Any) -> MeteredShelf[T]:  # type: ignore[override,misc]  # as update
        self.update(other)
        return self
