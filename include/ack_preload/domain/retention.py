"""What the sweep may delete, decided from tags, ages and references; nothing is called here.

Every decision says why. What is not surely ours, surely expired and surely unused is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ack_preload.domain.tags import (
    BUILD,
    CLUSTER_KEY,
    EXPIRES_KEY,
    PRODUCT_KEY,
    PURPOSE_KEY,
    RUN_KEY,
    TARGET_KEY,
    is_ours,
    is_sealed,
    moment,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A resource that the account lists."""

    kind: str  # instance, disk, key pair, node pool, snapshot
    resource_id: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Decision:
    found: Found
    delete: bool
    why: str
    doubtful: bool = False  # a person has to look: the sweep must not end green

    def __str__(self) -> str:
        verb = "delete" if self.delete else "keep"
        run = self.found.tags.get(RUN_KEY, "no run")
        return f"{verb} {self.found.kind} {self.found.resource_id} ({run}): {self.why}"


def decide_expired(found: Found, now: datetime) -> Decision:
    """Judge a temporary resource by its expiry tag."""
    if not is_ours(found.tags):
        return Decision(found, delete=False, why=f"has no tag {PRODUCT_KEY}")
    expires = found.tags.get(EXPIRES_KEY)
    if not expires:
        return Decision(found, delete=False, why="kept on purpose: it has no expiry")
    try:
        end = moment(expires)
    except ValueError:
        why = f"its tag {EXPIRES_KEY} is {expires!r}, which is no time; mend or delete it by hand"
        return Decision(found, delete=False, why=why, doubtful=True)
    if end > now:
        return Decision(found, delete=False, why=f"expires {expires}")
    return Decision(found, delete=True, why=f"expired {expires}")


def decide_instance(found: Found, now: datetime, *, members_known: bool) -> Decision:
    """Judge an instance that no node pool was seen to have as its node.

    Nodes carry the tags of their pool, so our tag alone does not tell them from a build instance;
    to delete one behind its scaling group's back makes the group start another.

    :param members_known: whether the nodes of every node pool of ours could be read.
    """
    decision = decide_expired(found, now)
    if not decision.delete or found.tags.get(PURPOSE_KEY) == BUILD:
        return decision
    why = "it is no build instance, so only its node pool may remove it"
    if members_known:
        why += "; no pool has it: look what it is, and delete it by hand"
    return Decision(found, delete=False, why=why, doubtful=members_known)


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """A snapshot of ours and what is known of it.

    :ivar is_good: recorded by a build that sealed its disk, or tagged by it as sealed.
    """

    found: Found
    created: datetime
    is_good: bool


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long the snapshots of one target are kept.

    :ivar last: so many of the newest good ones stay, whatever their age.
    :ivar unproven_for: a snapshot without a record may belong to a build that still runs.
    """

    last: int
    min_age: timedelta
    unproven_for: timedelta


def decide_snapshots(
    snapshots: Iterable[SnapshotFacts],
    *,
    referenced: Collection[str],
    keeping: Mapping[str, Keeping],
    now: datetime,
    clusters: Collection[str],
    unrecorded: Collection[str] = (),
) -> list[Decision]:
    """Judge all snapshots of an account.

    :param referenced: ids that any node pool names, now or as its way back, zero nodes or not.
    :param keeping: the rule of each target; one without a rule keeps everything it has.
    :param clusters: the clusters whose node pools were read, for ``referenced``.
    :param unrecorded: targets of which the history knows no snapshot. When the cloud has sealed
        ones of such a target, the history is the wrong one, and no judge of the others.
    """
    newest_first = sorted(snapshots, key=lambda each: each.created, reverse=True)
    sealed = {_target(each) for each in newest_first if is_sealed(each.found.tags)}
    good_so_far: dict[str, int] = {}
    decisions = []
    for each in newest_first:
        target = _target(each)
        if each.is_good:
            good_so_far[target] = good_so_far.get(target, 0) + 1
        decision = _decide_snapshot(
            each,
            rank=good_so_far.get(target, 0),
            in_use=each.found.resource_id in referenced,
            keeping=keeping.get(target),
            age=now - each.created,
        )
        blind = not each.is_good and target in sealed & set(unrecorded)
        if decision.delete and (doubt := _doubt(each.found, clusters, blind=blind)):
            decision = Decision(each.found, delete=False, why=doubt, doubtful=True)
        decisions.append(decision)
    return decisions


def _target(each: SnapshotFacts) -> str:
    return each.found.tags.get(TARGET_KEY, "")


def _doubt(found: Found, clusters: Collection[str], *, blind: bool) -> str:
    """Return why a snapshot that would go had better stay, or "" when nothing speaks for it."""
    cluster_id = found.tags.get(CLUSTER_KEY)
    if cluster_id and cluster_id not in clusters:
        return (
            f"its cluster {cluster_id} was not looked at; delete it by hand, or name the cluster "
            "in a target"
        )
    return "the history knows no snapshot of its target; is it the right one?" if blind else ""


def _decide_snapshot(
    each: SnapshotFacts, *, rank: int, in_use: bool, keeping: Keeping | None, age: timedelta
) -> Decision:
    target = each.found.tags.get(TARGET_KEY)
    if not is_ours(each.found.tags):
        why = f"has no tag {PRODUCT_KEY}"
    elif keeping is None:
        why = f"its target {target!r} is in no file, so its cluster was not looked at"
    elif in_use:
        why = "a node pool names it"
    elif each.is_good:
        return _decide_good(each.found, rank, keeping, age)
    elif age < keeping.unproven_for:
        why = "its build may still run"
    else:
        return Decision(each.found, delete=True, why="no build recorded or tagged it as sealed")
    return Decision(each.found, delete=False, why=why)


def _decide_good(found: Found, rank: int, keeping: Keeping, age: timedelta) -> Decision:
    if rank <= keeping.last:
        return Decision(found, delete=False, why=f"among the last {keeping.last} good ones")
    if age < keeping.min_age:
        return Decision(found, delete=False, why=f"younger than {keeping.min_age}")
    return Decision(found, delete=True, why=f"number {rank} of the good ones, unused")
