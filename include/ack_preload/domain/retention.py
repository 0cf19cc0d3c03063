"""Which snapshots the sweep may delete, decided from tags, ages and references.

Nothing is called here. Every decision says why. What is not surely ours and surely unused is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ack_preload.domain.leftovers import Decision, Found, Judge, RunState
from ack_preload.domain.tags import TARGET_KEY, is_of_installation, is_sealed


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """A snapshot of ours and what is known of it.

    :ivar created: when, by the cloud's clock; ``None`` where it does not tell.
    :ivar is_good: recorded by a build that sealed its disk, or tagged by it as sealed.
    """

    found: Found
    created: datetime | None
    is_good: bool

    @property
    def target(self) -> str:
        return self.found.tags.get(TARGET_KEY, "")


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long the snapshots of one target are kept.

    :ivar last: so many of the newest good ones stay, whatever their age.
    :ivar unproven_for: a snapshot without a record may belong to a build that still runs; asked
        only where Airflow cannot tell.
    """

    last: int
    min_age: timedelta
    unproven_for: timedelta


LONG_AGO = datetime.min.replace(tzinfo=UTC)
REMOVED_TARGET = Keeping(last=0, min_age=timedelta(days=30), unproven_for=timedelta(hours=12))
"""For a target that is in no file: it builds no more, so the last good ones would stay for ever.
A month is for the one who takes it out by mistake, or for a while. What a pool names stays."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What decides about snapshots besides their own tags.

    :ivar judge: who judges, and when.
    :ivar referenced: ids that any node pool of any cluster of the region names, now or as its way
        back, zero nodes or not.
    :ivar keeping: the rule of each target; one without has :data:`REMOVED_TARGET`.
    :ivar unrecorded: targets of which the history knows no snapshot. When the cloud has sealed
        ones of such a target, the history is the wrong one, and no judge of the others.
    """

    judge: Judge
    referenced: Collection[str]
    keeping: Mapping[str, Keeping]
    unrecorded: Collection[str] = ()

    def decide(self, snapshots: Iterable[SnapshotFacts]) -> list[Decision]:
        """Judge all snapshots of an account, newest first."""
        newest_first = sorted(snapshots, key=lambda each: each.created or LONG_AGO, reverse=True)
        own = [each for each in newest_first if self._is_own(each)]
        blind = {each.target for each in own if is_sealed(each.found.tags)} & {*self.unrecorded}
        good_so_far: dict[str, int] = {}
        decisions = []
        for each in newest_first:
            if each.is_good and self._is_own(each):
                good_so_far[each.target] = good_so_far.get(each.target, 0) + 1
            decision = self._decide(each, rank=good_so_far.get(each.target, 0))
            if decision.delete and not each.is_good and each.target in blind:
                why = "the history knows no snapshot of its target; is it the right one?"
                decision = Decision(each.found, delete=False, why=why, doubtful=True)
            decisions.append(decision)
        return decisions

    def _is_own(self, each: SnapshotFacts) -> bool:
        return is_of_installation(each.found.tags, self.judge.installation)

    def _decide(self, each: SnapshotFacts, *, rank: int) -> Decision:
        if not self._is_own(each):
            return self.judge.foreign(each.found, may_expire=not each.is_good)
        if each.found.resource_id in self.referenced:
            return Decision(each.found, delete=False, why="a node pool names it")
        keeping = self.keeping.get(each.target, REMOVED_TARGET)
        if each.created is None:
            why = "when it was made cannot be read; look at it, and delete it by hand"
            return Decision(each.found, delete=False, why=why, doubtful=True)
        age = self.judge.now - each.created
        if each.is_good:
            return self._decide_good(each, rank, keeping, age)
        return self._decide_unproven(each.found, keeping, age)

    def _decide_good(
        self, each: SnapshotFacts, rank: int, keeping: Keeping, age: timedelta
    ) -> Decision:
        if rank <= keeping.last:
            return Decision(each.found, delete=False, why=f"among the last {keeping.last} good")
        removed = "" if each.target in self.keeping else f"; target {each.target!r} is in no file"
        if age < keeping.min_age:
            why = f"younger than {keeping.min_age}{removed}"
            return Decision(each.found, delete=False, why=why)
        return Decision(each.found, delete=True, why=f"number {rank} of the good, unused{removed}")

    def _decide_unproven(self, found: Found, keeping: Keeping, age: timedelta) -> Decision:
        state = self.judge.run_state(found.run)
        if state is RunState.ACTIVE:
            return Decision(found, delete=False, why="its build still runs")
        if left := self.judge.left_by_run(found):
            why = f"no build recorded or tagged it as sealed, and {left}"
            return Decision(found, delete=True, why=why)
        if age < keeping.unproven_for:
            return Decision(found, delete=False, why="its build may still run")
        return Decision(found, delete=True, why="no build recorded or tagged it as sealed")
