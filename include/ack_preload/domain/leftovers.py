"""What the sweep may delete of what was meant to be temporary; nothing is called here.

Every decision says why. What is not surely ours, and surely either expired or left by a run that is
over, is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ack_preload.domain.pool_runs import ROLLOUT, holder
from ack_preload.domain.tags import (
    APPLIED_KEY,
    BUILD,
    DIGEST_CHARS,
    EXPIRES_KEY,
    INSTALLATION_KEY,
    MAX_VALUE,
    PRODUCT_KEY,
    PURPOSE_KEY,
    RUN_KEY,
    is_of_installation,
    is_ours,
    moment,
)


class RunState(StrEnum):
    """What Airflow says of the run that a resource is tagged with."""

    ACTIVE = "active"  # queued or running: it still tears down what it made
    ENDED = "ended"
    GONE = "gone"  # somebody deleted the run
    UNTOLD = "untold"  # the tag names no run that could be asked for


@dataclass(frozen=True, slots=True)
class Found:
    """A resource that the account lists.

    :ivar created: when, by the cloud's clock; ``None`` where it does not tell.
    """

    kind: str  # instance, disk, key pair, node pool, snapshot
    resource_id: str
    tags: Mapping[str, str]
    created: datetime | None = None

    @property
    def run(self) -> str:
        return self.tags.get(RUN_KEY, "")


@dataclass(frozen=True, slots=True)
class Decision:
    """Keep or delete, and why.

    :ivar doubtful: a person has to look: the sweep must not end green.
    :ivar is_foreign: it expired, but it is for the installation that made it to delete.
    """

    found: Found
    delete: bool
    why: str
    doubtful: bool = False
    is_foreign: bool = False

    def __str__(self) -> str:
        verb = "delete" if self.delete else "keep"
        return (
            f"{verb} {self.found.kind} {self.found.resource_id} ({self.found.run or 'no run'}): "
            f"{self.why}"
        )


@dataclass(frozen=True, slots=True)
class Judge:
    """Who judges, and when.

    :ivar installation: the only one whose things are deleted.
    :ivar grace: so long after its creation nothing goes for its run being over. Clocks differ,
        and a person may clear a run that has just ended.
    :ivar run_state: tells the state of the run that a tag names.
    """

    now: datetime
    installation: str
    grace: timedelta
    run_state: Callable[[str], RunState]

    def temporary(self, found: Found) -> Decision:
        """Judge a resource by its expiry tag and its run."""
        if not is_of_installation(found.tags, self.installation):
            return self.foreign(found)
        expires = found.tags.get(EXPIRES_KEY)
        if not expires:
            return Decision(found, delete=False, why="kept on purpose: it has no expiry")
        try:
            has_expired = moment(expires) <= self.now
        except ValueError:
            why = f"its tag {EXPIRES_KEY} is {expires!r}, which is no time; mend or delete it"
            return Decision(found, delete=False, why=f"{why} by hand", doubtful=True)
        if self.run_state(found.run) is RunState.ACTIVE:
            return self._of_active_run(found, expires, has_expired=has_expired)
        left = "" if has_expired else self.left_by_run(found)
        why = f"expired {expires}" if has_expired else left or f"expires {expires}"
        return Decision(found, delete=has_expired or bool(left), why=why)

    def node_pool(self, found: Found, *, is_recorded: bool, is_known: bool) -> Decision:
        """Judge a node pool; one that a rollout makes has no expiry from its first moment on.

        So a run that was deleted, or whose way back could not run, may leave one that serves
        nobody. An ended run still has its way back; and what another run took over, or a history
        that was lost says nothing of, may serve: those are for a person to look at.

        :param is_recorded: the history has a rollout of it.
        :param is_known: the history has the snapshot that it is made from, so it is the right one.
        """
        decision, tags = self.temporary(found), found.tags
        is_own = is_of_installation(tags, self.installation)
        is_for_good = tags.get(PURPOSE_KEY) == ROLLOUT and not tags.get(EXPIRES_KEY)
        left = self._left_by(holder(tags), found) if is_own and is_for_good else ""
        if is_recorded or not left:
            return decision
        why = f"a rollout made it that was never recorded, and {left}"
        is_deleted = self.run_state(found.run) is RunState.GONE and found.created is not None
        if is_deleted and is_known and APPLIED_KEY not in tags:
            return Decision(found, delete=True, why=why)
        mend = "run roll_out_node_pool for its target, which takes it over, or delete it"
        return Decision(found, delete=False, why=f"{why}; {mend}", doubtful=True)

    def _of_active_run(self, found: Found, expires: str, *, has_expired: bool) -> Decision:
        why = "its run still runs"
        if has_expired:
            why = (
                f"expired {expires}, but {why}; end the run if it hangs, else raise "
                "limits.expire_after_h of its target"
            )
        return Decision(found, delete=False, why=why, doubtful=has_expired)

    def left_by_run(self, found: Found) -> str:
        """Return why what did not expire is a leftover all the same, or "" when it is none."""
        return self._left_by(found.run, found)

    def _left_by(self, run: str, found: Found) -> str:
        state = self.run_state(run)
        if state not in (RunState.ENDED, RunState.GONE):
            return ""
        if found.created is not None and self.now - found.created < self.grace:
            return ""
        return "its run has ended" if state is RunState.ENDED else "Airflow has no such run"

    def foreign(self, found: Found, *, may_expire: bool = True) -> Decision:
        """Keep what another made; say so of what expired and carries our product's tag.

        :param may_expire: its expiry tag means what it says; it does not on a good snapshot.
        """
        if not is_ours(found.tags):
            return Decision(found, delete=False, why=f"has no tag {PRODUCT_KEY}")
        other = found.tags.get(INSTALLATION_KEY)
        why = f"of the installation {other}" if other else f"has no tag {INSTALLATION_KEY}"
        expires = found.tags.get(EXPIRES_KEY, "") if may_expire else ""
        try:
            has_expired = bool(expires) and moment(expires) <= self.now
        except ValueError:
            has_expired = False  # for its own installation to tell
        if has_expired:
            why += f", expired {expires}"
        return Decision(found, delete=False, why=why, is_foreign=has_expired)

    def instance(self, found: Found, *, members_known: bool) -> Decision:
        """Judge an instance that no node pool was seen to have as its node.

        Nodes carry the tags of their pool, so our tag alone does not tell them from a build
        instance; to delete one behind its scaling group's back makes the group start another.

        :param members_known: whether the nodes of every node pool of ours could be read.
        """
        decision = self.temporary(found)
        if not decision.delete or found.tags.get(PURPOSE_KEY) == BUILD:
            return decision
        why = "it is no build instance, so only its node pool may remove it"
        if members_known:
            why += "; no pool has it: look what it is, and delete it by hand"
        return Decision(found, delete=False, why=why, doubtful=members_known)


def run_named(tag: str) -> tuple[str, str] | None:
    """Return DAG id and run id of a run tag; ``None`` when it was cut, or is none.

    What :func:`~ack_preload.domain.tags.run_tag` cuts fills the tag and ends in a hash, so the run
    cannot be asked for: only its expiry judges what carries such a tag.
    """
    dag_id, slash, run_id = tag.partition("/")  # a DAG id has no slash
    if not (dag_id and slash and run_id):
        return None
    digest = run_id.rpartition("-")[2]
    may_be_cut = len(digest) == DIGEST_CHARS and set(digest) <= set("0123456789abcdef")
    return None if len(tag) == MAX_VALUE and may_be_cut else (dag_id, run_id)
