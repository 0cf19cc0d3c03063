"""One case as data: where a fault strikes, which one, and what has to come of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

EXPORT, BUILD = "export_image_list", "build_preloaded_disk"
ROLLOUT, MEASURE = "roll_out_node_pool", "measure_ready_latency"
SWEEP = "sweep_leftovers"
SWEEP_NOW: Mapping[str, Any] = {"dry_run": False, "grace_min": 0}
"""Conf of the sweep: it deletes, what an ended run left at once and not after its expiry."""
ORDER = (EXPORT, BUILD, ROLLOUT, MEASURE, SWEEP)
"""The DAGs in the order in which one needs what another made."""

TEARDOWNS = (
    "discard_snapshot",
    "delete_instance",
    "go_way_back",
    "delete_canary_pool",
    "delete_pools",
)
Outcome = Literal["green", "red"]
PATIENCE_S = 4.0
"""Waits are over so soon where a case is about one that does not end: nobody has 15 minutes."""


@dataclass(frozen=True, slots=True)
class Case:
    """One combination of stage and fault.

    :ivar stage: the task at which the fault strikes.
    :ivar fault: its kind, and what tells two of one kind apart.
    :ivar faults: as the local cloud takes them, armed when the stage begins, so that they meet
        this stage and no earlier one.
    :ivar armed_at: another stage at which they are armed; ``start`` is the start of the run.
    :ivar settings: of the local cloud, beside those without delays.
    :ivar outcome: how the DAG run has to end.
    :ivar error: of a red one: a regular expression that the last failure of the stage has to
        match.
    :ivar fails: another task than the stage that has to fail, and by that error.
    :ivar leaves: kinds of resources that the run may leave to the sweep; else it leaves none.
    :ivar after: the DAGs that have to have run without any fault before.
    :ivar patience_s: cuts the deadline of every wait of the stage, for a fault that lasts.
    :ivar relief_s: the faults are removed so long after they first struck.
    :ivar relieved_at: the faults are removed when one of these stages begins: what lasted longer
        than the run had patience is over when the run cleans up.
    :ivar happens: what the harness does itself in the middle, see ``mishaps.py``.
    :ivar then: DAGs that have to be green after it, without any fault: they prove what it made.
    :ivar because: faults that bring the run to the stage, armed at ``because_at``, over at the
        stage; ``patience_s`` is for the waits of that task then.
    :ivar skips: tasks that are said to be good and not run: only to prove that it is noticed. The
        sweep may be among them.
    """

    dag: str
    stage: str
    fault: str
    faults: tuple[Mapping[str, Any], ...] = ()
    outcome: Outcome = "green"
    error: str = ""
    fails: str = ""
    leaves: tuple[str, ...] = ()
    machines: str = "paper"
    armed_at: str = ""
    after: tuple[str, ...] = ()
    settings: Mapping[str, float] = field(default_factory=dict)
    patience_s: float | None = None
    relief_s: float | None = None
    relieved_at: tuple[str, ...] = ()
    happens: str = ""
    then: tuple[str, ...] = ()
    because: tuple[Mapping[str, Any], ...] = ()
    because_at: str = ""
    skips: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        on = "" if self.machines == "paper" else f"@{self.machines}"
        return f"{self.dag}.{self.stage}/{self.fault}{on}"

    @property
    def world(self) -> str:
        """What cases of one local cloud have in common; each finds what the one before left."""
        same = (self.machines, self.after, dict(self.settings))
        return json.dumps(same, sort_keys=True)

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Case:
        fields = json.loads(text)
        tuples = ("faults", "after", "skips", "relieved_at", "leaves", "then", "because")
        return cls(**fields | {name: tuple(fields[name]) for name in tuples})


@dataclass(slots=True)
class Result:
    """What came of a case; the columns of the report."""

    case: str
    dag: str
    stage: str
    fault: str
    machines: str
    runner: str
    expected: str
    outcome: str = ""
    error: str = ""  # the one that was expected, else the first
    tries: int = 0  # of the stage
    struck: int = 0
    seconds: float = 0.0
    leaked: list[str] = field(default_factory=list)
    left_before_sweep: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    false_green: list[str] = field(default_factory=list)
    foreign_touched: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # what else is not as it has to be

    @property
    def is_good(self) -> bool:
        bad = (self.leaked, self.doubled, self.false_green, self.foreign_touched, self.problems)
        return not any(bad)

    @classmethod
    def of(cls, case: Case, runner: str) -> Result:
        return cls(
            case=case.name,
            dag=case.dag,
            stage=case.stage,
            fault=case.fault,
            machines=case.machines,
            runner=runner,
            expected=case.outcome,
        )


def chosen(cases: Iterable[Case], only: str) -> list[Case]:
    """Return the cases whose name has ``only`` in it, or the N-th as ``#N``."""
    listed = list(cases)
    if only.startswith("#"):
        return [listed[int(only[1:])]]
    return [case for case in listed if only in case.name]
