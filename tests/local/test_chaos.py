"""A few cases of ``make chaos``, and proof that its judge sees what it is there to see."""

from __future__ import annotations

import os
import random
import secrets
import zlib
from collections.abc import Iterator

import pytest

from local.chaos.__main__ import RUNNER
from local.chaos.cases import BUILD, EXPORT, SWEEP, Case
from local.chaos.catalogue import FOR_BUILD, quick_cases, stuck
from local.chaos.workers import WorkerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Another one in each run, but the same in all processes of one, which have to find the same tests.
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(4)
SEED = int(os.environ.get("CHAOS_SEED") or zlib.crc32(RUN.encode()) % 10**6)
CASES = 5
TEARDOWNS = ("discard_snapshot", "delete_instance", "delete_key_pair")
# Those that a local cloud needs least time for, with the same DAGs before them.
SHORT = [
    case
    for case in quick_cases()
    if case.after == FOR_BUILD
    and not case.settings
    and (case.dag in (EXPORT, SWEEP) or case.stage == "run_build_instance")
    and (case.dag != BUILD or case.outcome == "red")
]

CHOSEN = random.Random(SEED).sample(SHORT, CASES)  # noqa: S311  # no secret


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    with WorkerProcess(tmp_path_factory.mktemp("chaos") / "worker") as process:
        yield process


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
def test_a_sample_of_the_cases_ends_as_it_has_to(worker: WorkerProcess, case: Case) -> None:
    result = worker.run(case, RUNNER)
    assert result.is_good, f"CHAOS_SEED={SEED}: {result}"


def test_what_a_run_without_its_teardowns_leaves_and_doubles_is_found(
    worker: WorkerProcess,
) -> None:
    case = Case(
        BUILD,
        "run_build_instance",
        "without its teardowns, beside a twin, and a neighbour that is retagged",
        (stuck("instance", "Pending"),),
        "red",
        "WaitTimeoutError",
        after=FOR_BUILD,
        patience_s=0.5,
        happens="harm",
        skips=(*TEARDOWNS, SWEEP),
    )
    result = worker.run(case, RUNNER)
    assert {line.split()[0] for line in result.leaked} == {"disk", "instance", "key_pair"}
    assert [line.split(" at once")[0] for line in result.doubled] == ["4 of disk", "2 of instance"]
    assert any("foreign-0" in line for line in result.foreign_touched)
    assert result.outcome == "red"
    (problem,) = result.problems  # the teardowns are judged by what they leave, swept or not
    assert problem.startswith("left to the sweep: ")
