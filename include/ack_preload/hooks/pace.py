"""How fast one account is called from a triggerer: one limiter for all waits on it.

The cloud publishes no rates for the calls made here, and counts them by account and not by task.
So every look of a triggerer takes a turn with the :class:`Pace` of its account, and a refusal
``Throttling.*`` rests all of them and not only the one that met it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from ack_preload.domain.errors import ThrottledError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from ack_preload.hooks.account import Account

log = logging.getLogger(__name__)
T = TypeVar("T")

BURST_S = 1.0
"""What was not called for so long may be made up for at once: one wait alone is never slowed."""
REST_CALLS = 10
"""A throttled account that names no time rests for so many calls' time, twice as long each time
it is throttled again."""
LONGEST_REST_S = 60.0
LONGEST_ASKED_S = 600.0
"""A longer ``Retry-After`` is taken for a mistake: the waits would pass their deadlines unseen."""


class Pace:
    """A token bucket as moments: when the next call is due if all go at the full rate.

    First come, first served. A turn that is not used (its wait was cancelled) is lost.
    """

    def __init__(self, calls_per_s: float) -> None:
        self.calls_per_s = calls_per_s
        self._due = 0.0
        self._rests_until = 0.0
        self._throttled = 0

    async def turn(self) -> None:
        """Return when the next call may be sent."""
        while (pause := self._reserve() - time.monotonic()) > 0:
            await asyncio.sleep(pause)
            if time.monotonic() >= self._rests_until:
                return  # else it was throttled in between, and all stand in line anew

    def _reserve(self) -> float:
        now = time.monotonic()
        at = max(now, self._due - BURST_S, self._rests_until)
        self._due = max(self._due, now) + 1 / self.calls_per_s
        return at

    async def heard(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call whose turn has come, and note what the cloud says of the account."""
        try:
            answer = await call()
        except ThrottledError as exc:
            self.throttled(exc.retry_after_s)
            raise
        self.answered()
        return answer

    def throttled(self, retry_after_s: float | None) -> None:
        """Rest the whole account, for as long as the cloud asks for or else ever longer."""
        now = time.monotonic()
        if now < self._rests_until and not retry_after_s:
            return  # an answer to a call that was under way when the rest began
        own = min(LONGEST_REST_S, REST_CALLS / self.calls_per_s * 2 ** min(self._throttled, 10))
        rest_s = min(LONGEST_ASKED_S, retry_after_s) if retry_after_s else own
        self._throttled += 1
        self._rests_until = max(self._rests_until, now + rest_s)
        self._due = max(self._due, self._rests_until + BURST_S)  # no burst when it ends
        log.warning("The account is throttled: no look for %.1f s", rest_s)

    def answered(self) -> None:
        """Note that the cloud took a call: the next rest is a short one again."""
        self._throttled = 0


_PACES: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Pace]] = WeakKeyDictionary()


def pace_of(account: Account) -> Pace:
    """Return the limiter of ``account`` in the running event loop, at its latest ``calls_per_s``.

    An account is told by its AccessKey and its endpoints, whatever region and connection: limits
    are the account's. Two keys of one account count as two, for nothing here tells them.
    """
    known = _PACES.setdefault(asyncio.get_running_loop(), {})
    key = (account.access_key_id, account.ecs_endpoint, account.cs_endpoint)
    pace = known.setdefault(key, Pace(account.calls_per_s))
    pace.calls_per_s = account.calls_per_s
    return pace
