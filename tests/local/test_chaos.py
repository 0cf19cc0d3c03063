"""A few cases of ``make chaos``, and proof that its judge sees what it is there to see."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from local.chaos.__main__ import RUNNER
from local.chaos.cases import BUILD, EXPORT, SWEEP, Case
from local.chaos.catalogue import FOR_BUILD, FOR_ROLLOUT, quick_cases, stuck
from local.chaos.workers import WorkerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# The same in each run, so that one that was green stays so; another by CHAOS_SEED.
SEED = int(os.environ.get("CHAOS_SEED") or 4)
TEARDOWNS = ("discard_snapshot", "delete_instance", "delete_key_pair")
KEPT_OR_GONE = {"create_snapshot", "record_snapshot", *TEARDOWNS}
FROM_THERE, POOLS = "pull_images", {"create_canary_pool", "add_canary_node", "delete_canary_pool"}


def is_short(case: Case) -> bool:
    """Tell whether nobody waits in it, for an outage, a deadline or the last of many attempts."""
    waits = case.patience_s or case.relief_s or case.settings or case.then or case.because
    return not waits and not (case.stage == FROM_THERE and "lasting" in case.fault)


def is_early(case: Case) -> bool:
    """Tell whether it is over before a machine works."""
    is_red = case.stage == "run_build_instance" and case.outcome == "red"
    return is_red or case.dag == EXPORT


def sample() -> list[Case]:
    """Return a few of each kind, those of one local cloud next to each other."""
    short = [case for case in quick_cases() if is_short(case)]
    build = [case for case in short if case.after == FOR_BUILD and case.dag in (EXPORT, BUILD)]
    at_pools = [each for each in short if each.after == FOR_ROLLOUT and each.stage in POOLS]
    kinds = (
        ([each for each in at_pools if each.outcome == "red"], 1),
        ([each for each in build if each.stage in KEPT_OR_GONE], 1),
        ([each for each in build if each.stage == FROM_THERE], 1),
        ([each for each in build if is_early(each)], 2),
    )
    dice = random.Random(SEED)  # noqa: S311  # no secret
    return [case for kind, count in kinds for case in dice.sample(kind, count)]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    with WorkerProcess(tmp_path_factory.mktemp("chaos") / "worker") as process:
        yield process


@pytest.mark.parametrize("case", sample(), ids=lambda case: case.name)
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
