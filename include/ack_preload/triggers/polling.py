"""How all waits of one triggerer look together: one call for up to a hundred of them.

Each account and region that waits are on has one :class:`Lookout`, with a :class:`Board` for each
kind of resource. A wait takes a seat on the board and says when it wants to look again. Whoever is
due first leads: it takes a turn with the account's pace, looks for all that one call can tell,
those that are due soonest, and hands out what it saw. So waits that began at odd moments fall into
step by themselves, a thousand instances are ten calls, and a wait alone looks as if there were
no board.

Nothing runs in the background: the call is made in the task of the wait that leads. When that is
cancelled, those it looked for are due again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    NotFoundError,
    ThrottledError,
)
from ack_preload.hooks.account import Account
from ack_preload.hooks.calls import OF_ALL
from ack_preload.hooks.looks import Looks, load_clients
from ack_preload.hooks.pace import Pace, pace_of

T = TypeVar("T")

Read = Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]
AtOnce = Callable[[int], int]
"""Of how many resources, of so many that are waited for, one look should tell."""

FRESH_S = 60.0
"""A connection is read again when the next wait begins after so long: its keys may be new ones."""
CROWD = 100
"""With so many waits on a board, or more, a new one does not look at once, but with the others that
begin within ten calls' time of the last look; with fewer waits it is so much less. A triggerer
that takes hundreds of waits over begins them one after another, for half a minute."""


@dataclass(eq=False, slots=True)
class _Seat(Generic[T]):
    """One wait on a board. Its news are an answer to read, or ``None``: lead the next look."""

    key: str
    due: float
    news: asyncio.Future[Callable[[], T | None] | None]
    taken: bool = False  # a look for it is under way


class Board(Generic[T]):
    """The waits for one kind of resource in one place.

    :param read: returns what it finds of the ids it is given; its first call is sent on the turn
        that the board has taken.
    :param splits: an id that the cloud refuses is looked for by halving, so that it alone fails.
    """

    def __init__(self, read: Read[T], pace: Pace, at_once: AtOnce, *, splits: bool = False) -> None:
        self._read = read
        self._pace = pace
        self._at_once = at_once
        self._splits = splits
        self._seats: set[_Seat[T]] = set()
        self._leader: _Seat[T] | None = None
        self._looked = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def look(self, key: str, due_in_s: float = 0.0) -> T | None:
        """Return what is seen of ``key`` by then or, when another look tells it too, before.

        ``None`` when the cloud does not show it. What a call for several raises, each gets.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + due_in_s if due_in_s else self._next_for_new(loop.time())
        seat = _Seat[T](key, due, loop.create_future())
        self._seats.add(seat)
        if self._timer is None or seat.due < self._timer.when():
            self._elect()
        try:
            while (answer := await seat.news) is None:
                seat.news = loop.create_future()
                await self._lead(seat)
            return answer()
        finally:
            self._seats.discard(seat)
            if self._leader is seat:
                self._pass_on()

    def _next_for_new(self, now: float) -> float:
        calls = 10 * min(1.0, len(self._seats) / CROWD)
        return max(now, self._looked + calls / self._pace.calls_per_s)

    def _elect(self) -> None:
        """Let the wait that is due first lead, now or when it is due."""
        if self._leader is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle = [seat for seat in self._seats if not (seat.taken or seat.news.done())]
        if not idle:
            return
        first = min(idle, key=lambda seat: seat.due)
        loop = asyncio.get_running_loop()
        if first.due > loop.time():
            self._timer = loop.call_at(first.due, self._elect)
        else:
            self._leader = first
            first.news.set_result(None)

    def _pass_on(self) -> None:
        self._leader = None
        self._elect()

    async def _lead(self, leader: _Seat[T]) -> None:
        await self._pace.turn()
        chosen = self._choose(leader)
        self._looked = asyncio.get_running_loop().time()
        self._pass_on()
        try:
            answers = await self._answers(list(dict.fromkeys(seat.key for seat in chosen)))
        except BaseException:  # this wait is cancelled, and not the others
            for seat in chosen:
                seat.taken = False
            self._elect()
            raise
        for seat in chosen:
            if not seat.news.done():
                seat.news.set_result(answers[seat.key])

    def _choose(self, leader: _Seat[T]) -> list[_Seat[T]]:
        """Take the leader and, of all that wait, those due soonest, up to what one look tells."""
        idle = [seat for seat in self._seats if not seat.taken and seat is not leader]
        most = self._at_once(len({leader.key, *(seat.key for seat in idle)}))
        keys, chosen = {leader.key}, [leader]
        for seat in sorted(idle, key=lambda seat: seat.due):
            if seat.key in keys or len(keys) < most:
                keys.add(seat.key)
                chosen.append(seat)
        for seat in chosen:
            seat.taken = True
        return chosen

    async def _answers(self, keys: list[str]) -> dict[str, Callable[[], T | None]]:
        try:
            found = await self._read(keys)
        except Exception as exc:  # whatever it is, it is what every one of them sees
            if not (self._splits and len(keys) > 1 and _is_about_one(exc)):
                return dict.fromkeys(keys, partial(_raise, exc, exc.__traceback__))
        else:
            return {key: partial(found.get, key) for key in keys}
        half = len(keys) // 2
        answers: dict[str, Callable[[], T | None]] = {}
        for part in (keys[:half], keys[half:]):
            await self._pace.turn()
            answers |= await self._answers(part)
        return answers


def _raise(exc: Exception, traceback: Any) -> Any:
    raise exc.with_traceback(traceback)  # as it was: each wait that raises it would add to it


def _is_about_one(exc: Exception) -> bool:
    """Tell whether a refusal may be of one id among several, and not of the caller."""
    match exc:
        case ThrottledError() | CloudUnavailableError():
            return False
        case NotFoundError(code=code) | CloudError(code=code):
            return code.startswith("Invalid") and not code.startswith(OF_ALL)
        case _:
            return False


@dataclass(slots=True)
class Lookout:
    """What all waits on one account and region share, for as long as there are any."""

    looks: Looks
    boards: dict[tuple[str, ...], Board[Any]] = field(default_factory=dict)
    users: int = 0

    def board(self, read: Read[T], at_once: AtOnce, *place: str, splits: bool = False) -> Board[T]:
        """Return the board of ``place``: a kind, and the cluster that it is looked for in."""
        if place not in self.boards:
            self.boards[place] = Board(read, self.looks.pace, at_once, splits=splits)
        return self.boards[place]


@dataclass(slots=True)
class _Connection:
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    account: Account | None = None
    read_at: float = 0.0
    users: int = 0

    async def get(self, conn_id: str) -> Account:
        """Return the account, read once for all waits that begin with it."""
        async with self.reading:
            if self.account is None or time.monotonic() - self.read_at > FRESH_S:
                # At the first wait of a triggerer either takes seconds, and they do not depend.
                loading = asyncio.get_running_loop().run_in_executor(None, load_clients)
                self.account = await Account.aget(conn_id)
                await loading
                self.read_at = time.monotonic()
            return self.account


@dataclass(slots=True)
class _Desk:
    """All that is open in one event loop; it goes with its last wait."""

    connections: dict[str, _Connection] = field(default_factory=dict)
    lookouts: dict[Hashable, Lookout] = field(default_factory=dict)


_DESKS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Desk] = WeakKeyDictionary()


@asynccontextmanager
async def lookout(conn_id: str) -> AsyncIterator[Lookout]:
    """Share the lookout of a connection's account; a wait opens it once."""
    desk = _DESKS.setdefault(asyncio.get_running_loop(), _Desk())
    connection = desk.connections.setdefault(conn_id, _Connection())
    connection.users += 1
    try:
        account = await connection.get(conn_id)
        pace_of(account)  # tells one that is there already its new rate
        key = _identity(account)
        if key not in desk.lookouts:
            desk.lookouts[key] = Lookout(Looks(account))
        shared = desk.lookouts[key]
        shared.users += 1
        try:
            yield shared
        finally:
            shared.users -= 1
            if not shared.users:
                del desk.lookouts[key]
    finally:
        connection.users -= 1
        if not connection.users:
            del desk.connections[conn_id]


def _identity(account: Account) -> Hashable:
    """Return all that a look depends on: connections that agree on it share their boards."""
    keys = (account.access_key_id, account.access_key_secret, account.security_token)
    place = (account.region, account.ecs_endpoint, account.cs_endpoint)
    return (*keys, *place, account.protocol, account.ca)
