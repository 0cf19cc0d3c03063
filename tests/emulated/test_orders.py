"""One thing for one task: the same words and token on every try, until those lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ack_preload.domain.errors import ResourceFailedError
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.build_instance import (
    DeleteInstanceOperator,
    RunBuildInstanceOperator,
)
from ack_preload.operators.orders import ORDER
from emulator.app import Handle, running
from emulator.faults import SpotReclaim
from tests.conftest import INSTANT
from tests.emulated.bad_line import BadLine, Fault, bad_line
from tests.emulated.driving import STARTED, Run, connection, deferred_by, fired, perform, target
from tests.emulated.trying import RUN, a_try, run_instance, tokens

LIFETIME = timedelta(hours=12)  # expire_after_h of the target


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Handle, BadLine]]:
    """Return a cloud that lists nothing new, so that each try has to ask, and the line to it."""
    never = replace(INSTANT, read_delay_s=3600)
    with (
        running(tmp_path_factory.mktemp("blind"), settings=never) as handle,
        bad_line(handle.facts["ecs_endpoint"]) as line,
        pytest.MonkeyPatch.context() as env,
    ):
        text = connection(handle.facts, ecs_endpoint=line.endpoint, visible_within_s=600)
        env.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", text)
        yield handle, line


def asked_again(operator: RunBuildInstanceOperator, task: Any) -> None:
    with pytest.raises(TaskDeferred):
        operator.execute(task)


def released(instance_id: str) -> None:
    """End an instance as its release time, a spot market or a person does."""
    EcsHook().delete_instance(instance_id)


# -- the same words


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    ago=st.timedeltas(timedelta(0), timedelta(days=9)),
    later=st.timedeltas(timedelta(0), timedelta(days=9)),
    number=st.integers(2, 9),
)
def test_every_try_asks_in_the_same_words_however_late_it_is(
    blind: tuple[Handle, BadLine], ago: timedelta, later: timedelta, number: int
) -> None:
    """A run that started longer ago is the same to a task as a try that begins later."""
    cloud, line = blind
    run, run_id = Run(), f"manual__{len(line.words)}"
    started = datetime.now(UTC) - ago
    before = len(line.said(RUN))
    asked_again(run_instance(cloud), a_try(run, run_id=run_id, started=started))
    second = a_try(run, run_id=run_id, started=started - later, try_number=number)
    asked_again(run_instance(cloud), second)
    first, again = line.said(RUN)[before:]
    assert first == again


def test_the_release_time_of_the_words_is_kept_from_the_first_try(
    blind: tuple[Handle, BadLine],
) -> None:
    cloud, line = blind
    run, now = Run(), datetime.now(UTC)
    # At 11 h 24 min into the run its expiry is still the first; 10 minutes later it moves.
    started = now - LIFETIME + timedelta(minutes=37)
    operator = run_instance(cloud)
    assert operator.expires(a_try(Run(), started=started), target(cloud)) < now + LIFETIME / 2
    moved = started - timedelta(minutes=10)
    assert operator.expires(a_try(Run(), started=moved), target(cloud)) > now + LIFETIME / 2
    before = len(line.said(RUN))
    asked_again(run_instance(cloud), a_try(run, run_id="moved", started=started))
    asked_again(run_instance(cloud), a_try(run, run_id="moved", started=moved))
    first, again = line.said(RUN)[before:]
    assert first == again


def test_words_that_ecs_would_refuse_by_now_are_new_ones_with_a_new_token(
    cloud_handle: Handle, line: BadLine
) -> None:
    run = Run()
    deferred_by(run_instance(cloud_handle), a_try(run))
    (instance,) = [i for i in cloud_handle.cloud.instances.values() if "ack-preload" in i.name]
    released(instance.instance_id)
    soon = datetime.now(UTC) + timedelta(minutes=20)  # 30 are the least
    run.stores["run"][ORDER] |= {"expires": soon.isoformat(), "answer": ""}
    perform(run_instance(cloud_handle), a_try(run, try_number=2))
    assert len(set(tokens(line))) == 2


def test_a_call_that_is_still_at_work_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = replace(INSTANT, token_processing_s=0.3)
    with (
        running(tmp_path / "cloud", settings=slow) as handle,
        bad_line(handle.facts["ecs_endpoint"]) as line,
    ):
        text = connection(handle.facts, ecs_endpoint=line.endpoint)
        monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", text)
        line.faults[RUN] = [Fault.LOST]
        perform(run_instance(handle), a_try(Run()))
        assert len(line.said(RUN)) >= 3, "lost, IdempotentProcessing, answered"
        assert len(set(line.said(RUN))) == 1
        assert len([i for i in handle.cloud.instances.values() if "ack-preload" in i.name]) == 1


# -- new ones


def test_a_deliberate_clear_has_a_new_token(blind: tuple[Handle, BadLine]) -> None:
    cloud, line = blind
    run, before = Run(), len(line.said(RUN))
    asked_again(run_instance(cloud), a_try(run, run_id="cleared"))
    run.stores["run"][ORDER]["sent"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    asked_again(run_instance(cloud), a_try(run, run_id="cleared", max_tries=5))
    assert len(set(tokens(line)[before:])) == 2


def test_a_clear_right_after_the_call_first_waits_for_what_that_made(
    blind: tuple[Handle, BadLine],
) -> None:
    cloud, line = blind
    run = Run()
    asked_again(run_instance(cloud), a_try(run, run_id="cleared at once"))
    before = len(line.said(RUN))
    waiting = deferred_by(run_instance(cloud), a_try(run, run_id="cleared at once", max_tries=5))
    assert waiting.method_name == "looked_late"
    assert len(line.said(RUN)) == before, "nothing is asked for: the first may be listed soon"


class SpotHook(EcsHook):
    """Builds order no spot instances; another version of this product might."""

    def _order(self, *arguments: Any) -> Any:
        request = super()._order(*arguments)
        request.spot_strategy = "SpotAsPriceGo"
        return request


def on_the_spot_market(cloud: Handle) -> RunBuildInstanceOperator:
    operator = run_instance(cloud)
    operator.__dict__["hook"] = SpotHook(operator.conn_id, account=operator.account)
    return operator


def test_a_spot_instance_that_was_taken_back_is_not_handed_out_for_ever(
    cloud_handle: Handle, line: BadLine
) -> None:
    """Try 1 made it, the market took it, and the same task, not cleared, is tried again."""
    run, instances = Run(), cloud_handle.cloud.instances
    gone = deferred_by(on_the_spot_market(cloud_handle), a_try(run)).trigger.subject["instance_id"]
    with cloud_handle.fault(SpotReclaim(target=gone)):
        cloud_handle.run_until(lambda: gone not in instances)
    made = perform(on_the_spot_market(cloud_handle), a_try(run, try_number=2))
    assert made["instance_id"] != gone
    assert made["instance_id"] in instances


def test_one_that_is_taken_back_while_it_is_waited_for_has_failed(
    cloud_handle: Handle, line: BadLine
) -> None:
    run = Run()
    operator, task = on_the_spot_market(cloud_handle), a_try(run)
    gone = deferred_by(operator, task).trigger.subject["instance_id"]
    with cloud_handle.fault(SpotReclaim(target=gone)):
        cloud_handle.run_until(lambda: gone not in cloud_handle.cloud.instances)
    seen_and_gone = {"verdict": "failed", "state": "absent", "id": gone, "detail": {}}
    with pytest.raises(ResourceFailedError, match=f"{gone} is absent"):
        operator.resume(task, seen_and_gone)
    cleared = a_try(run, max_tries=3)
    assert perform(on_the_spot_market(cloud_handle), cleared)["instance_id"] != gone
    assert len(set(tokens(line))) == 2


def test_an_answer_that_nobody_kept_and_that_is_gone_is_found_out(
    cloud_handle: Handle, line: BadLine
) -> None:
    run = Run()
    gone = fired(deferred_by(run_instance(cloud_handle), a_try(run)))["id"]
    run.stores["run"][ORDER]["answer"] = ""  # its worker died before it could keep it
    released(gone)
    made = perform(run_instance(cloud_handle), a_try(run, try_number=2))
    assert made["instance_id"] != gone
    first, second, third = tokens(line)
    assert first == second, "the cloud is asked what it made"
    assert third != first


def test_an_instance_that_stops_on_the_way_up_is_never_asked_for_again(
    cloud_handle: Handle, line: BadLine
) -> None:
    run, operator = Run(), run_instance(cloud_handle)
    task = a_try(run)
    made = fired(deferred_by(operator, task))["id"]
    released(made)
    stopping = {"verdict": "failed", "state": "Stopping", "id": made, "detail": {}}
    with pytest.raises(ResourceFailedError, match=f"{made} is Stopping"):
        operator.resume(task, stopping)
    again = perform(run_instance(cloud_handle), a_try(run, try_number=2))
    assert again["instance_id"] != made
    assert len(set(tokens(line))) == 2


def test_words_that_differ_from_those_of_the_first_call_lead_to_a_new_token(
    cloud_handle: Handle, line: BadLine
) -> None:
    """Another version of this product asked first, with other parameters."""
    run = Run()
    made = fired(deferred_by(run_instance(cloud_handle), a_try(run)))["id"]
    released(made)
    run.stores["run"][ORDER]["answer"] = ""
    other = RunBuildInstanceOperator(
        task_id="run", target=target(cloud_handle), key_pair_name="demo-nodes", disk_gib=50
    )
    assert perform(other, a_try(run, try_number=2))["instance_id"] != made
    assert len(set(tokens(line))) == 2


def test_a_run_that_was_deleted_and_made_again_has_an_instance_of_its_own(
    cloud_handle: Handle, line: BadLine
) -> None:
    """Its id and so its first token are those of the deleted one, but its store is empty."""
    gone = fired(deferred_by(run_instance(cloud_handle), a_try(Run())))["id"]
    released(gone)
    later = a_try(Run(), started=STARTED + timedelta(minutes=5))
    assert perform(run_instance(cloud_handle), later)["instance_id"] != gone
    assert len(set(tokens(line))) == 2, "the release time is another: other words"


def test_a_dead_instance_that_a_deleted_run_left_to_its_token_is_not_waited_for(
    cloud_handle: Handle, line: BadLine
) -> None:
    gone = fired(deferred_by(run_instance(cloud_handle), a_try(Run())))["id"]
    released(gone)
    cloud_handle.run_until(lambda: gone not in cloud_handle.cloud.instances)
    waiting = deferred_by(run_instance(cloud_handle), a_try(Run()))
    assert waiting.method_name == "looked_late", f"{gone} is waited for"


def test_two_instances_of_one_run_both_go(cloud_handle: Handle, line: BadLine) -> None:
    """It should never be; but then neither may stay."""
    operator, task = run_instance(cloud_handle), a_try(Run())
    owner = operator.ownership(task, target(cloud_handle))
    both = sorted(operator.ask(task, owner, salt) for salt in ("one", "two"))
    assert perform(run_instance(cloud_handle), a_try(Run()))["instance_id"] == both[0]
    assert perform(DeleteInstanceOperator(task_id="delete")) == both
    assert not {*both} & cloud_handle.cloud.instances.keys()
