"""Every wait, as data: what is done, what is failed, and that the unknown stays pending."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ack_preload.domain.waits import ABSENT, WAITS, Verdict

EVERY_WAIT = sorted(WAITS)


@pytest.mark.parametrize("name", EVERY_WAIT)
def test_a_state_that_nobody_knows_stays_pending(name: str) -> None:
    assert WAITS[name].judge("SomethingNew") is Verdict.PENDING


@pytest.mark.parametrize("name", EVERY_WAIT)
def test_no_state_is_both_done_and_failed(name: str) -> None:
    assert not WAITS[name].done & WAITS[name].failed


@pytest.mark.parametrize("name", EVERY_WAIT)
def test_a_wait_looks_many_times_before_its_deadline(name: str) -> None:
    assert timedelta() < WAITS[name].every < WAITS[name].within / 10


@pytest.mark.parametrize(
    ("name", "state", "verdict"),
    [
        ("instance_running", "Pending", Verdict.PENDING),
        ("instance_running", "Starting", Verdict.PENDING),
        ("instance_running", "Running", Verdict.DONE),
        ("instance_running", "Stopping", Verdict.FAILED),
        ("instance_stopped", "Stopping", Verdict.PENDING),
        ("instance_stopped", "Stopped", Verdict.DONE),
        ("instance_stopped", ABSENT, Verdict.FAILED),
        ("instance_gone", "Stopped", Verdict.PENDING),
        ("instance_gone", ABSENT, Verdict.DONE),
        ("snapshot_accomplished", "progressing", Verdict.PENDING),
        ("snapshot_accomplished", "accomplished", Verdict.DONE),
        ("snapshot_accomplished", "failed", Verdict.FAILED),
        ("ack_task_succeeded", "running", Verdict.PENDING),
        ("ack_task_succeeded", "success", Verdict.DONE),
        ("ack_task_succeeded", "fail", Verdict.FAILED),
        ("node_pool_active", "initial", Verdict.PENDING),
        ("node_pool_active", "scaling", Verdict.PENDING),
        ("node_pool_active", "active", Verdict.DONE),
        ("node_pool_gone", "deleting", Verdict.PENDING),
        ("node_pool_gone", ABSENT, Verdict.DONE),
        ("nodes_ready", "joining", Verdict.PENDING),
        ("nodes_ready", "ready", Verdict.DONE),
        ("nodes_ready", "failed", Verdict.FAILED),
        ("nodes_gone", ABSENT, Verdict.DONE),
    ],
)
def test_the_clouds_own_words_are_judged(name: str, state: str, verdict: Verdict) -> None:
    assert WAITS[name].judge(state) is verdict


def test_a_new_resource_that_is_not_listed_yet_is_pending() -> None:
    assert WAITS["instance_running"].judge(ABSENT) is Verdict.PENDING


def test_a_resource_that_was_there_and_is_gone_has_failed() -> None:
    assert WAITS["instance_running"].judge(ABSENT, seen=True) is Verdict.FAILED


@pytest.mark.parametrize("name", ["instance_running", "instance_stopped"])
def test_a_resource_that_one_look_does_not_show_may_be_there(name: str) -> None:
    assert WAITS[name].judge(ABSENT, seen=True, lasting=False) is Verdict.PENDING


def test_a_resource_that_should_go_is_done_when_it_is_gone() -> None:
    assert WAITS["instance_gone"].judge(ABSENT, seen=True) is Verdict.DONE
