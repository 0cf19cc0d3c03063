"""The billing meter: exact seconds of each resource, of which run they are, and what is alive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from emulator.metering.journal import Journal
from tests.emulator.still import NOON, StillWorld
from tests.emulator.world import BOOT_S, PUBLIC_KEY, STOP_S, UPLOAD_S

SYSTEM_GIB, DATA_GIB = 40, 40
STORED_GIB = 4096 / 2**30  # what null machines say of every snapshot
DAY_S = 86_400
RUN = "run"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[StillWorld]:
    world = StillWorld(tmp_path)
    world.cloud.meter.keep_journal(Journal(tmp_path / "meter.jsonl"))
    yield world
    await world.cloud.close()


def tag(value: str, key: str = RUN) -> dict[str, str]:
    return {"Tag__1__Key": key, "Tag__1__Value": value}


async def stopped_for(world: StillWorld, seconds: float, mode: str) -> str:
    """Run an instance for 100 s, stop it for some, and start it again for 20 s."""
    instance_id = await world.running()
    await world.move(100)
    world.ecs("StopInstance", InstanceId=instance_id, StoppedMode=mode)
    await world.move(0)
    await world.move(STOP_S)
    await world.move(seconds)
    world.ecs("StartInstance", InstanceId=instance_id)
    await world.move(0)
    await world.move(BOOT_S)
    await world.move(20)
    return instance_id


@pytest.mark.parametrize(
    ("mode", "charged"),
    [("KeepCharging", 50), ("StopCharging", 0)],
    ids=["standard mode", "economical mode"],
)
async def test_an_instance_is_charged_from_its_order_to_its_release(
    world: StillWorld, mode: str, charged: int
) -> None:
    instance_id = await stopped_for(world, 50, mode)
    world.ecs("DeleteInstance", InstanceId=instance_id, Force="True")
    await world.move(0)
    await world.move(1000)

    whole = BOOT_S + 100 + STOP_S + 50 + BOOT_S + 20
    assert world.used("instance") == whole - 50 + charged
    assert world.used("disk") == whole * (SYSTEM_GIB + DATA_GIB), "disks are charged all the time"
    (line,) = world.lines("instance")
    assert (line.created, line.ended) == (NOON, NOON + timedelta(seconds=whole))
    assert len(line.spans) == (2 if mode == "StopCharging" else 1)


async def test_a_stopped_instance_counts_as_alive_though_it_is_free(world: StillWorld) -> None:
    instance_id = await world.running()
    world.ecs("StopInstance", InstanceId=instance_id, StoppedMode="StopCharging")
    await world.move(0)
    await world.move(STOP_S)
    await world.move(1000)
    (line,) = world.lines("instance")
    assert line.ended is None
    assert line.used(world.cloud.now()) == BOOT_S + STOP_S
    assert line.alive_seconds(world.cloud.now()) == BOOT_S + STOP_S + 1000


async def test_a_disk_that_outlives_its_instance_is_charged_on(world: StillWorld) -> None:
    instance_id = await world.running(DataDisk__1__DeleteWithInstance="False")
    world.ecs("DeleteInstance", InstanceId=instance_id, Force="True")
    await world.move(0)
    await world.move(300)
    assert world.used("disk") == BOOT_S * SYSTEM_GIB + (BOOT_S + 300) * DATA_GIB
    (left,) = [line for line in world.lines("disk") if line.ended is None]
    assert left.reading.facts["instance_id"] == "", "it does not say that it is unattached"

    world.ecs("DeleteDisk", DiskId=left.resource_id)
    await world.move(1000)
    assert world.used("disk") == BOOT_S * SYSTEM_GIB + (BOOT_S + 300) * DATA_GIB
    assert all(line.ended is not None for line in world.lines("disk"))


async def snapshot(world: StillWorld, **more: Any) -> str:
    disk_id = world.data_disk(await world.stopped())["DiskId"]
    snapshot_id: str = world.ecs("CreateSnapshot", DiskId=disk_id, **more)["SnapshotId"]
    await world.move(0)
    return snapshot_id


async def test_a_snapshot_is_charged_by_what_is_stored_until_its_retention_ends_it(
    world: StillWorld,
) -> None:
    await snapshot(world, RetentionDays=1)
    await world.move(UPLOAD_S)
    assert world.used("snapshot") == UPLOAD_S * STORED_GIB
    await world.move(DAY_S - UPLOAD_S)
    await world.move(DAY_S)
    assert world.used("snapshot") == DAY_S * STORED_GIB
    (line,) = world.lines("snapshot")
    assert line.ended == line.created + timedelta(days=1)


async def test_a_deleted_snapshot_costs_nothing_more(world: StillWorld) -> None:
    snapshot_id = await snapshot(world)
    await world.move(30)
    world.ecs("DeleteSnapshot", SnapshotId=snapshot_id)
    await world.move(1000)
    assert world.used("snapshot") == 30 * STORED_GIB


async def test_a_failed_snapshot_is_charged_until_its_bytes_are_given_up(world: StillWorld) -> None:
    snapshot_id = await snapshot(world)
    await world.move(UPLOAD_S / 2)
    world.ecs("DeleteInstance", InstanceId=next(iter(world.cloud.instances)))
    await world.move(0)
    await world.move(UPLOAD_S / 2)
    await world.move(1000)
    assert world.cloud.snapshots[snapshot_id].status == "failed"
    assert world.used("snapshot") == UPLOAD_S * STORED_GIB
    (line,) = world.lines("snapshot")
    assert line.ended is None, "it is there until somebody deletes it"


async def test_the_release_time_ends_an_instance_and_its_disks(world: StillWorld) -> None:
    await world.running(AutoReleaseTime="2026-11-25T13:00:00Z")
    await world.move(3600 - BOOT_S)
    assert (world.used("instance"), world.used("disk")) == (3600, 3600 * (SYSTEM_GIB + DATA_GIB))
    await world.move(1000)
    assert world.used("instance") == 3600
    assert all(line.ended is not None for line in world.cloud.meter.lines())


@pytest.mark.parametrize("step", ["create disk", "start"])
async def test_an_instance_that_does_not_boot_ends_with_its_disks(
    world: StillWorld, step: str
) -> None:
    world.machines.fails.add(step)
    await world.running()
    await world.move(1000)
    assert world.used("instance") == BOOT_S
    assert world.used("disk") == BOOT_S * (SYSTEM_GIB + DATA_GIB)
    assert all(line.ended is not None for line in world.cloud.meter.lines())


async def test_an_instance_that_cannot_be_released_stays_alive(world: StillWorld) -> None:
    instance_id = await world.running()
    world.machines.fails.add("destroy")
    world.ecs("DeleteInstance", InstanceId=instance_id, Force="True")
    await world.move(0)
    await world.move(500)
    assert [line.ended for line in world.lines("instance")] == [None]
    assert world.used("instance") == BOOT_S + 500
    world.machines.fails.clear()


async def test_nodes_are_of_the_run_of_their_pool(world: StillWorld) -> None:
    await world.running(**tag("other"))
    pool_id = await world.pool(desired_size=2, tags=[{"key": RUN, "value": "night"}])
    began = world.lines("instance")[-1].created
    await world.move(1000)
    world.modify(pool_id, desired_size=1)
    await world.settle()
    shrunk = world.cloud.now()
    world.ack("DeleteClusterNodepool", f"{world.pools()}/{pool_id}", force="True")
    await world.settle()

    groups = world.account(RUN)["groups"]
    (found,) = [each for each in groups if each["values"] == {RUN: "night"}]
    assert found["peak"] == {"disk": 4, "instance": 2, "node_pool": 1}
    counts = {kind: (each["count"], each["alive"]) for kind, each in found["totals"].items()}
    assert counts == {"disk": (4, 0), "instance": (2, 0), "node_pool": (1, 0)}
    nodes = [line for line in world.lines("instance") if line.reading.facts["node_pool_id"]]
    assert {line.created for line in nodes} == {began}
    seconds = [line.used(world.cloud.now()) for line in nodes]
    assert found["totals"]["instance"]["instance_seconds"] == sum(seconds)
    assert 1000 < min(seconds) <= (shrunk - began).total_seconds() < max(seconds)
    assert "instance_seconds" not in found["totals"]["node_pool"], "a pool itself costs nothing"


async def test_a_tag_that_comes_later_counts_for_all_of_it(world: StillWorld) -> None:
    instance_id = await world.running()
    before = world.account(RUN)
    assert before["groups"] == []
    assert before["foreign"]["totals"]["instance"]["instance_seconds"] == BOOT_S
    world.ecs(
        "TagResources",
        RegionId="cn-hangzhou",
        ResourceType="instance",
        ResourceId__1=instance_id,
        **tag("late"),
    )
    after = world.account(RUN)
    assert [each["values"] for each in after["groups"]] == [{RUN: "late"}]
    assert after["groups"][0]["totals"]["instance"]["instance_seconds"] == BOOT_S
    assert "instance" not in after["foreign"]["totals"], "it is still foreign"


async def test_groups_are_of_each_combination_of_the_keys(world: StillWorld) -> None:
    both = {**tag("night"), "Tag__2__Key": "role", "Tag__2__Value": "build"}
    world.run(**both)
    world.run(**tag("night"))
    groups = world.account(RUN, "role")["groups"]
    assert [each["values"] for each in groups] == [
        {RUN: "night", "role": "build"},
        {RUN: "night", "role": None},
    ]


async def test_a_second_one_beside_the_first_shows_in_the_peak(world: StillWorld) -> None:
    def peak() -> int:
        count: int = world.account(RUN)["groups"][0]["peak"]["instance"]
        return count

    first = await world.running(**tag("night"))
    world.ecs("DeleteInstance", InstanceId=first, Force="True")
    await world.move(0)
    await world.running(**tag("night"))  # in the moment in which the first went
    assert peak() == 1
    await world.running(**tag("night"))
    assert peak() == 2


async def test_a_key_pair_is_alive_and_costs_nothing(world: StillWorld) -> None:
    for _ in range(2):  # the same name again is another line
        world.ecs(
            "ImportKeyPair",
            RegionId="cn-hangzhou",
            KeyPairName="build",
            PublicKeyBody=PUBLIC_KEY,
            **tag("night"),
        )
        await world.move(60)
        world.ecs("DeleteKeyPairs", RegionId="cn-hangzhou", KeyPairNames='["build"]')
    found = world.account(RUN)
    assert found["alive"] == []
    assert found["groups"][0]["totals"] == {
        "key_pair": {"count": 2, "alive": 0, "alive_seconds": 120}
    }


async def test_the_end_of_the_cloud_is_the_end_of_no_resource(world: StillWorld) -> None:
    await world.running()
    await world.cloud.close()
    await world.move(1000)
    assert world.used("instance") == BOOT_S
    assert [line.ended for line in world.lines("instance")] == [None]


async def test_a_cloud_that_ended_opens_and_ends_no_line(world: StillWorld) -> None:
    instance_id = await world.running()
    await world.cloud.close()
    before = world.cloud.meter.lines()
    del world.cloud.instances[instance_id]
    world.run()
    assert world.cloud.meter.lines() == before


async def test_what_is_put_back_in_its_place_is_no_second_one(world: StillWorld) -> None:
    instance_id = await world.running()
    world.cloud.instances[instance_id] = world.cloud.instances[instance_id]
    await world.move(10)
    assert [line.used(world.cloud.now()) for line in world.lines("instance")] == [BOOT_S + 10]
