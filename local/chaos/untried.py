"""What no case of the catalogue hits: said on the page, so that nobody takes it for tried."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from emulator import ack, ecs
from emulator.fault_control import OF_ACTIONS
from local.chaos.cases import Case
from local.layout import ROOT

TASK = re.compile(r'task_id="(\w+)"')


def stages() -> list[tuple[str, str]]:
    """Return every DAG of the product with each of its task ids, as the files have them."""
    return [
        (path.stem, task_id)
        for path in sorted((ROOT / "dags").glob("*.py"))
        for task_id in dict.fromkeys(TASK.findall(path.read_text()))
    ]


def untried_stages(cases: Iterable[Case]) -> list[str]:
    """Return the stages at which no fault strikes; the kills of a night are not counted."""
    tried = {(case.dag, case.stage) for case in cases}
    return [f"{dag}.{task_id}" for dag, task_id in stages() if (dag, task_id) not in tried]


def untried_calls(cases: Iterable[Case]) -> list[str]:
    """Return the calls of the local cloud's API whose answer no fault spoils."""
    kinds = {kind.model_fields["kind"].default for kind in OF_ACTIONS}
    hit = [
        str(fault["target"])
        for case in cases
        for fault in (*case.faults, *case.because)
        if fault["kind"] in kinds
    ]
    actions = sorted({*ecs.ACTIONS, *ack.ACTIONS})
    return [each for each in actions if not any(fnmatchcase(each, target) for target in hit)]
