"""One change of an object, and a watcher's queue of the changes that concern it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType

from emulator.kube.errors import kept_version
from emulator.kube.resources import BY_PLURAL, Obj, key_of
from emulator.kube.selectors import Selection

Kept = dict[tuple[str, str], Obj]  # one kind's objects by namespace and name


@dataclass(frozen=True, slots=True)
class Change:
    """What one write did. Objects in it are shared: never change them."""

    version: int
    kind: str  # ADDED, MODIFIED or DELETED
    plural: str
    obj: Obj
    old: Obj | None

    def seen_by(self, wanted: Selection) -> str | None:
        """Return what this change is to a watcher: an object may enter or leave its selection."""
        before = self.old is not None and wanted.matches(self.old)
        now = self.kind != "DELETED" and wanted.matches(self.obj)
        if before and now:
            return "MODIFIED"
        if now:
            return "ADDED"
        return "DELETED" if before else None


class History:
    """The newest changes, of each kind as many: the leases of thousands of nodes push out no Pod's.

    :param length: how many are kept of a kind.
    :param first: the version before all changes.
    """

    def __init__(self, length: int, first: int) -> None:
        self._changes = {plural: deque[Change](maxlen=length) for plural in BY_PLURAL}
        self._oldest = dict.fromkeys(BY_PLURAL, first)  # from here on all changes are known

    def add(self, change: Change) -> None:
        kept = self._changes[change.plural]
        if len(kept) == kept.maxlen:
            self._oldest[change.plural] = kept[0].version
        kept.append(change)

    def forget(self, version: int) -> None:
        """Forget all changes up to the newest version."""
        for plural, kept in self._changes.items():
            kept.clear()
            self._oldest[plural] = version

    def since(self, version: int, plural: str, newest: int) -> list[Change]:
        """Return a kind's changes after a version.

        :raises KubeError: 410 for a version that is no longer kept, 504 for one that is to come.
        """
        kept_version(version, self._oldest[plural], newest)
        return [change for change in self._changes[plural] if change.version > version]

    def as_of(self, version: int, plural: str, now: Kept, newest: int) -> Kept:
        """Return one kind's objects as they were, by taking back the changes of it since.

        :raises KubeError: as ``since``.
        """
        then = dict(now)
        for change in reversed(self.since(version, plural, newest)):
            metadata = change.obj["metadata"]
            key = key_of(BY_PLURAL[plural], metadata.get("namespace"), metadata["name"])
            if change.old is not None:
                then[key] = change.old
            else:
                then.pop(key, None)
        return then


class Subscription:
    """An asynchronous iterator over changes; ended by ``end`` or by leaving its context."""

    def __init__(self, plural: str, wanted: Selection, watching: Subscriptions) -> None:
        self.plural = plural
        self.initial = 0  # objects that were there at the start
        self.bookmark = 0  # the version up to which the first objects are complete
        self._wanted = wanted
        self._loop = asyncio.get_running_loop()
        self._watching = watching
        self._queue: asyncio.Queue[tuple[str, Obj] | None] = asyncio.Queue()

    def offer(self, change: Change) -> None:
        """Queue a change if it concerns this watcher. Callable from any thread."""
        if change.plural == self.plural and (kind := change.seen_by(self._wanted)):
            self.put(kind, change.obj)

    def put(self, kind: str, obj: Obj) -> None:
        self._send((kind, obj))

    def end(self) -> None:
        self._send(None)

    def _send(self, item: tuple[str, Obj] | None) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def first(self) -> AsyncIterator[tuple[str, Obj]]:
        """Yield what was queued before the watch was handed out: the objects there at its start."""
        for _ in range(self.initial):
            if (item := await self.next()) is None:
                return
            yield item

    async def next(self) -> tuple[str, Obj] | None:
        """Return the next change, or nothing once the watch has ended."""
        return await self._queue.get()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> tuple[str, Obj]:
        item = await self.next()
        if item is None:
            raise StopAsyncIteration
        return item

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watching.discard(self)


class Subscriptions:
    """Who watches, by kind of object: with thousands of nodes most changes concern no Pod."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock  # the store's: watches end on their own threads
        self._by_plural: dict[str, set[Subscription]] = {}

    def add(self, subscription: Subscription) -> None:
        self._by_plural.setdefault(subscription.plural, set()).add(subscription)

    def discard(self, subscription: Subscription) -> None:
        with self._lock:
            self._by_plural[subscription.plural].discard(subscription)

    def offer(self, change: Change) -> None:
        for subscription in self._by_plural.get(change.plural, ()):
            subscription.offer(change)

    def end(self) -> None:
        for watching in self._by_plural.values():
            for subscription in tuple(watching):
                subscription.end()
