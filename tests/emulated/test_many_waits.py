"""Many waits in one event loop against a local cloud: what it is asked, and what each wait sees."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models as ecs

from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.pace import BURST_S
from ack_preload.triggers.state import StateTrigger
from emulator import parity
from emulator.app import Handle, running
from emulator.faults.kinds import EmptyBody, ResetBefore, Slow, Throttle
from tests.conftest import INSTANT
from tests.emulated.driving import connection

BOOTING = replace(INSTANT, instance_boot_s=7200)  # paper machines cost something once they run
RATE = 40
LIFETIME = timedelta(hours=1)  # then the cloud releases them: all at once, and without a call


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    """Return a local cloud whose instances do not come up by themselves."""
    with running(tmp_path / "cloud", settings=BOOTING, seed="empty") as handle:
        conn = connection(handle.facts, calls_per_s=RATE)
        monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", conn)
        yield handle


def order(cloud: Handle, count: int) -> list[str]:
    """Order instances, a hundred with one call, that are gone in an hour."""
    facts, ids = cloud.facts, list[str]()
    release_at = cloud.cloud.now() + LIFETIME
    while len(ids) < count:
        request = ecs.RunInstancesRequest(
            region_id=facts["region_id"],
            image_id=facts["image_id"],
            instance_type=facts["instance_type"],
            v_switch_id=facts["vswitch_id"],
            security_group_id=facts["security_group_id"],
            amount=min(100, count - len(ids)),
            auto_release_time=f"{release_at:%Y-%m-%dT%H:%M:00Z}",
            system_disk=ecs.RunInstancesRequestSystemDisk(category="cloud_essd", size="40"),
        )
        ids += EcsHook().client.run_instances(request).body.instance_id_sets.instance_id_set
    return ids


def calls(cloud: Handle, action: str = "DescribeInstances") -> list[dict[str, Any]]:
    written = (cloud.state_dir / "requests.jsonl").read_text()
    lines = written[: written.rfind("\n") + 1].splitlines()  # the last may still be written
    return [entry for entry in map(json.loads, lines) if entry["action"] == action]


def moments(cloud: Handle) -> list[datetime]:
    """Return when instances were looked at, until the clock was moved."""
    at = [datetime.fromisoformat(entry["time"]) for entry in calls(cloud)]
    return [each for each in at if each - at[0] < LIFETIME / 2]


def release(cloud: Handle) -> Awaitable[None]:
    """Let the hour pass in which instances live."""
    return asyncio.to_thread(cloud.advance, LIFETIME.total_seconds() + 60)


def trigger(wait: str, every_s: float = 0.02, within_s: float = 60, **subject: Any) -> StateTrigger:
    sent = StateTrigger(
        wait=wait,
        subject=subject,
        conn_id="alibabacloud_default",
        deadline=(datetime.now(UTC) + timedelta(seconds=within_s)).isoformat(),
        every_s=every_s,
        visible_within_s=0.5,
    )
    return StateTrigger(**json.loads(json.dumps(sent.serialize()[1])))


async def outcome(waiting: StateTrigger) -> str:
    (event,) = [event.payload async for event in waiting.run()]
    return f"{event['verdict']}: {event['state']}"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.05)


async def nothing() -> None:
    """Change nothing: the waits end by themselves."""


async def while_waiting(
    waits: list[StateTrigger], then: Callable[[], Awaitable[Any]]
) -> Counter[str]:
    """Return how many waits ended how; ``then`` runs beside them."""
    *ends, _ = await asyncio.gather(*(outcome(wait) for wait in waits), then())
    return Counter(ends)


@pytest.mark.slow
def test_a_thousand_waits_are_ten_calls_an_interval(
    cloud: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(parity.SWITCH)  # 60 ms for each answer about a hundred instances
    every_s = 1.0
    ids = order(cloud, 1000)
    waits = [trigger("instance_gone", every_s, instance_id=each) for each in ids]

    async def release_later() -> None:
        await until(lambda: len(calls(cloud)) >= 25)
        await release(cloud)

    assert asyncio.run(while_waiting(waits, release_later)) == {"done: absent": 1000}
    at = moments(cloud)
    seconds = (at[-1] - at[0]).total_seconds()
    # 10 an interval, and a few small ones at the start, when they come one after another.
    assert len(at) <= 10 * (seconds / every_s + 1) + 5
    assert_in_pace(at, RATE)


@pytest.mark.slow
def test_the_pace_holds_when_waits_want_to_look_more_often(cloud: Handle) -> None:
    ids = order(cloud, 30)
    waits = [trigger("instance_gone", 0.001, instance_id=each) for each in ids]

    async def release_later() -> None:
        await until(lambda: len(calls(cloud)) >= 2 * RATE)
        await release(cloud)

    assert asyncio.run(while_waiting(waits, release_later)) == {"done: absent": 30}
    assert_in_pace(moments(cloud), RATE)


def assert_in_pace(at: list[datetime], rate: float) -> None:
    """Let no stretch of time have more calls than the rate allows, and the burst before it."""
    for first in range(len(at)):
        for last in range(first + 1, len(at)):
            allowed = rate * ((at[last] - at[first]).total_seconds() + BURST_S) + 2
            assert last - first <= allowed, (first, last)


def test_a_wait_alone_asks_as_often_as_it_looks(cloud: Handle) -> None:
    (only,) = order(cloud, 1)

    async def release_later() -> None:
        await until(lambda: len(calls(cloud)) >= 3)
        await release(cloud)

    waits = [trigger("instance_gone", 0.05, instance_id=only)]
    assert asyncio.run(while_waiting(waits, release_later)) == {"done: absent": 1}
    gaps = [second - first for first, second in pairwise(moments(cloud))]
    assert min(gaps) >= timedelta(seconds=0.045)


def test_an_account_that_is_throttled_rests_as_a_whole(cloud: Handle) -> None:
    ids = order(cloud, 150)
    waits = [trigger("instance_gone", instance_id=each) for each in ids]

    async def release_later() -> None:
        await until(lambda: len(calls(cloud)) >= 8)
        await release(cloud)

    with cloud.fault(Throttle(target="DescribeInstances", nth=2, retry_after_s=1)):
        assert asyncio.run(while_waiting(waits, release_later)) == {"done: absent": 150}
    entries = calls(cloud)
    (struck,) = (number for number, entry in enumerate(entries) if entry.get("faults"))
    asked = datetime.fromisoformat(entries[struck]["time"])
    # What was under way already may still arrive; then nothing for the second that it asked for.
    later = [at for at in moments(cloud)[struck + 1 :] if at - asked > timedelta(seconds=0.5)]
    assert later[0] - asked >= timedelta(seconds=0.95)


def test_a_line_that_is_cut_and_one_that_is_slow_cost_no_wait(cloud: Handle) -> None:
    ids = order(cloud, 150)
    waits = [trigger("instance_gone", instance_id=each) for each in ids]

    async def release_later() -> None:
        await until(lambda: len(calls(cloud)) >= 8)
        await release(cloud)

    cut = ResetBefore(target="DescribeInstances", nth=2, times=2)
    with cloud.fault(cut), cloud.fault(Slow(target="DescribeInstances", seconds=0.2)):
        assert asyncio.run(while_waiting(waits, release_later)) == {"done: absent": 150}


def test_an_answer_that_cannot_be_read_is_not_taken_for_absence(cloud: Handle) -> None:
    ids = order(cloud, 3)
    waits = [trigger("instance_gone", within_s=0.3, instance_id=each) for each in ids]

    with cloud.fault(EmptyBody(target="DescribeInstances", times=0)):
        ends = asyncio.run(while_waiting(waits, nothing))
    assert ends == {"pending: unknown: no look succeeded": 3}


def test_a_wait_that_is_cancelled_leaves_the_others(cloud: Handle) -> None:
    ids = order(cloud, 20)

    async def some_go() -> list[str]:
        running = [
            asyncio.create_task(outcome(trigger("instance_gone", instance_id=each))) for each in ids
        ]
        await until(lambda: len(calls(cloud)) >= 3)
        for task in running[::2]:
            task.cancel()
        await release(cloud)
        await asyncio.gather(*running[::2], return_exceptions=True)
        ends = await asyncio.gather(*running[1::2])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return ends

    assert asyncio.run(some_go()) == ["done: absent"] * 10


def test_a_resource_that_is_not_shown_yet_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(
        tmp_path / "slow", settings=replace(BOOTING, read_delay_s=0.3), seed="empty"
    ) as cloud:
        put = connection(cloud.facts, calls_per_s=1000)
        monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", put)
        ids = order(cloud, 5)

        async def then_take_away() -> None:
            # Waits for what never was go on beside those for what is there.
            def shown() -> bool:
                return bool(EcsHook().instances(instance_ids=ids))

            await until(shown)
            await release(cloud)

        waits = [trigger("instance_running", instance_id=each) for each in ids]
        waits.append(trigger("instance_running", within_s=0.5, instance_id="i-never"))
        ends = asyncio.run(while_waiting(waits, then_take_away))
        assert ends == {"failed: absent": 5, "pending: absent": 1}


def test_a_deadline_is_kept_by_the_loop_that_takes_a_wait_over(cloud: Handle) -> None:
    # It would look once in a minute: so a look before the deadline is the one at the start.
    waits = [trigger("instance_running", 60, within_s=5, instance_id=i) for i in order(cloud, 30)]
    deadline = datetime.now(UTC) + timedelta(seconds=5)

    async def killed() -> None:
        running = [asyncio.create_task(outcome(wait)) for wait in waits]
        await until(lambda: calls(cloud) and datetime.now(UTC) > deadline - timedelta(seconds=2))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(killed())
    before = len(calls(cloud))
    taken_over = [StateTrigger(**wait.serialize()[1]) for wait in waits]

    ends = asyncio.run(while_waiting(taken_over, nothing))
    assert ends == {"pending: Pending": 30}
    # Counted anew, it would be three seconds later.
    assert datetime.now(UTC) < deadline + timedelta(seconds=2.5)
    assert moments(cloud)[before] < deadline, "it looks at once, whatever was seen before"


def test_node_pools_nodes_and_tasks_of_a_cluster_are_looked_at_together(
    cloud_handle: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = connection(cloud_handle.facts, calls_per_s=50)
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", put)
    cluster, live = cloud_handle.facts["cluster_id"], cloud_handle.facts["node_pool_id"]
    task = AckHook().set_desired_size(cluster, live, 1)
    pools = [{"cluster_id": cluster, "node_pool_id": each} for each in (live, "np-gone")]
    waits = [
        *(trigger("node_pool_settled", **subject) for subject in pools * 5),
        *(trigger("nodes_ready", **pools[0], count=1) for _ in range(5)),
        *(trigger("nodes_gone", **pools[1]) for _ in range(5)),
        *(trigger("ack_task_succeeded", task_id=task) for _ in range(5)),
    ]

    ends = asyncio.run(while_waiting(waits, nothing))
    assert ends == {
        "done: active": 5,
        "done: absent": 10,
        "done: ready": 5,
        "done: success": 5,
    }
    asked = {
        action: len(calls(cloud_handle, action))
        for action in ("DescribeClusterNodePools", "DescribeClusterNodes", "DescribeTaskInfo")
    }
    assert sum(asked.values()) <= 15, asked
