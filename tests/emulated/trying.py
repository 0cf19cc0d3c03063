"""What tests of tries share: the task, its next try, and the tokens that it sent."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

from ack_preload.operators.build_instance import RunBuildInstanceOperator
from emulator.app import Handle
from tests.emulated.bad_line import BadLine
from tests.emulated.driving import Run, context, target

RUN = "RunInstances"


def run_instance(cloud: Handle) -> RunBuildInstanceOperator:
    return RunBuildInstanceOperator(task_id="run", target=target(cloud), key_pair_name="demo-nodes")


def a_try(run: Run, *, started: datetime | None = None, **overrides: Any) -> Any:
    """Return the context of the next try of the task ``run``."""
    found = context(run, **{"task_id": "run", **overrides})
    if started is not None:
        found["dag_run"] = SimpleNamespace(start_date=started, logical_date=None, run_after=started)
    return found


def tokens(line: BadLine, action: str = RUN) -> list[str]:
    return [
        parse_qs(words.decode().split()[1][2:])["ClientToken"][0] for words in line.said(action)
    ]
