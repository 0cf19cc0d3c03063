"""What ``make chaos`` says of runs that ended otherwise than their case has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from local.chaos.cases import Case, Result
from local.chaos.catalogue import stuck
from local.chaos.outcome import Outcome, TaskRun, left_open, unexpected

STUCK = Case("build", "stop_instance", "stuck", (stuck("instance", "Stopping"),), "red", "WaitT")


def ended(*errors: tuple[str, str], red: str) -> Outcome:
    tasks = [TaskRun(task, -1, "failed" if task == red else "success", 1) for task, _ in errors]
    return Outcome("build", "1", "failed", tasks, list(errors))


def red_result(**more: Any) -> Result:
    result = Result.of(STUCK, "r")
    result.outcome, result.struck = "red", 1
    return replace(result, **more)


def test_a_red_run_is_right_only_by_the_last_error_of_the_task_that_was_to_fail() -> None:
    timed_out = ("stop_instance", "WaitTimeoutError: i-1 is Stopping")
    got_over = ("stop_instance", "CloudError: Throttling")
    assert unexpected(STUCK, ended(got_over, timed_out, red="stop_instance"), red_result()) == []
    of_another = ("delete_key_pair", timed_out[1])
    (found,) = unexpected(STUCK, ended(of_another, red="delete_key_pair"), red_result())
    assert "['delete_key_pair'] failed, and not stop_instance" in found
    (found,) = unexpected(STUCK, ended(timed_out, got_over, red="stop_instance"), red_result())
    assert "not by /WaitT/: CloudError: Throttling" in found
    other = replace(STUCK, fails="delete_key_pair")
    assert unexpected(other, ended(of_another, red="delete_key_pair"), red_result()) == []


def test_a_run_that_is_green_for_red_or_met_no_fault_is_unexpected() -> None:
    green = red_result(outcome="green")
    assert "is green, expected red" in unexpected(STUCK, ended(red=""), green)[0]
    missed = red_result(struck=0)
    right = ended(("stop_instance", "WaitTimeoutError: x"), red="stop_instance")
    assert unexpected(STUCK, right, missed) == ["the fault never struck: this proves nothing"]


def test_what_teardowns_leave_to_the_sweep_is_bad_unless_the_case_says_so() -> None:
    left = red_result(left_before_sweep=["instance i-1 (build)", "disk d-1 (build)"])
    assert left_open(STUCK, left) == ["left to the sweep: instance i-1 (build), disk d-1 (build)"]
    assert left_open(replace(STUCK, leaves=("instance", "disk")), left) == []
    assert left_open(STUCK, red_result()) == []
