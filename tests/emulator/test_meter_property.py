"""Whatever is called in whatever order, the meter agrees with the cloud, and with what it wrote."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from inspect import isfunction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.clock import Clock
from emulator.errors import ApiError
from emulator.metering.journal import Journal, replay
from emulator.metering.meter import Meter
from emulator.metering.readings import KINDS
from emulator.metering.watched import MeteredShelf, WatchedTags
from tests.emulator.still import StillWorld
from tests.emulator.world import PUBLIC_KEY

REGION = "cn-hangzhou"
CALLS = (
    "run",
    "run and keep the disk",
    "boot failure",
    "stop",
    "stop for free",
    "start",
    "delete",
    "delete disk",
    "snapshot",
    "snapshot for a day",
    "delete snapshot",
    "import key",
    "delete key",
    "create pool",
    "scale pool",
    "delete pool",
    "tag",
)
Step = tuple[str, int, int]  # a call, which resource of those it could act on, seconds after it
STEPS = st.tuples(
    st.sampled_from(CALLS),
    st.integers(0, 2),
    st.sampled_from([0, 1, 5, 10, 10, 100, 90_000]),
)


BEGINNING: list[Step] = [
    ("run and keep the disk", 0, 10),
    ("run", 0, 10),
    ("snapshot", 0, 100),
    ("create pool", 1, 100),
]


Calls = dict[str, Callable[[], object]]


class Driver:
    """Calls the cloud, and reckons beside the meter what there is to charge."""

    def __init__(self, world: StillWorld) -> None:
        self.world = world
        self.charged: Counter[str] = Counter()

    async def step(self, name: str, number: int, seconds: int) -> None:
        with contextlib.suppress(ApiError, LookupError):  # refused, or there is none to act on
            self._call(name, number)
        await self.world.move(0)  # work begins; else its delays would count from after the move
        self.check()
        self._charge(seconds)
        await self.world.move(seconds)
        self.check()
        self.world.machines.fails.clear()

    def _charge(self, seconds: int) -> None:
        cloud = self.world.cloud
        for instance in cloud.instances.values():
            free = instance.status == "Stopped" and instance.stopped_mode == "StopCharging"
            self.charged["instance"] += 0 if free else seconds
        for disk in cloud.disks.values():
            self.charged["disk"] += disk.size_gib * seconds
        for snapshot in cloud.snapshots.values():
            if snapshot.snapshot_id in self.world.machines.snapshots:
                self.charged["snapshot"] += seconds  # null machines say 4096 bytes of each

    def _call(self, name: str, number: int) -> None:
        calls = self._instance_calls(number) | self._other_calls(number)
        calls[name]()

    def _instance_calls(self, number: int) -> Calls:
        world, cloud = self.world, self.world.cloud

        def nth_instance() -> str:
            return list(cloud.instances)[number]

        def fail() -> None:
            world.machines.fails.add("start")
            world.run()

        def stop(mode: str) -> None:
            world.ecs("StopInstance", InstanceId=nth_instance(), StoppedMode=mode)

        return {
            "run": world.run,
            "run and keep the disk": lambda: world.run(DataDisk__1__DeleteWithInstance="False"),
            "boot failure": fail,
            "stop": lambda: stop("KeepCharging"),
            "stop for free": lambda: stop("StopCharging"),
            "start": lambda: world.ecs("StartInstance", InstanceId=nth_instance()),
            "delete": lambda: world.ecs("DeleteInstance", InstanceId=nth_instance(), Force="True"),
        }

    def _other_calls(self, number: int) -> Calls:
        world, cloud = self.world, self.world.cloud

        def nth(shelf: MutableMapping[str, Any]) -> str:
            return list(shelf)[number]

        def pool() -> str:
            return f"{world.pools()}/{nth(cloud.node_pools)}"

        def disk(**having: str) -> str:
            return [
                each.disk_id
                for each in cloud.disks.values()
                if all(getattr(each, name) == value for name, value in having.items())
            ][number]

        key = {"RegionId": REGION, "KeyPairName": f"key{number}", "PublicKeyBody": PUBLIC_KEY}
        return {
            "delete disk": lambda: world.ecs("DeleteDisk", DiskId=disk(status="Available")),
            "snapshot": lambda: world.ecs("CreateSnapshot", DiskId=disk(type="data")),
            "snapshot for a day": lambda: world.ecs(
                "CreateSnapshot", DiskId=disk(type="data"), RetentionDays=1
            ),
            "delete snapshot": lambda: world.ecs("DeleteSnapshot", SnapshotId=nth(cloud.snapshots)),
            "import key": lambda: world.ecs("ImportKeyPair", **key),
            "delete key": lambda: world.ecs(
                "DeleteKeyPairs", RegionId=REGION, KeyPairNames=f'["key{number}"]'
            ),
            "create pool": lambda: world.create_pool(f"p{number}", desired_size=number % 3),
            "scale pool": lambda: world.modify(nth(cloud.node_pools), desired_size=number),
            "delete pool": lambda: world.ack("DeleteClusterNodepool", pool(), force="True"),
            "tag": lambda: world.ecs(
                "TagResources",
                RegionId=REGION,
                ResourceType="disk",
                ResourceId__1=nth(cloud.disks),
                Tag__1__Key=f"t{number}",
                Tag__1__Value="v",
            ),
        }

    def check(self) -> None:
        cloud = self.world.cloud
        lines = cloud.meter.lines()
        shelves: dict[str, Mapping[str, object]] = {
            "instance": cloud.instances,
            "disk": cloud.disks,
            "snapshot": cloud.snapshots,
            "key_pair": cloud.key_pairs,
            "node_pool": cloud.node_pools,
        }
        assert shelves.keys() == KINDS.keys()
        alive = {(line.kind, line.resource_id) for line in lines if line.ended is None}
        there = {(kind, key) for kind, shelf in shelves.items() for key in shelf}
        assert alive == there
        used = {kind: self.world.used(kind) for kind in ("instance", "disk", "snapshot")}
        used["snapshot"] *= 2**30 / 4096
        assert used == {kind: self.charged[kind] for kind in used}


async def drive(folder: Path, steps: list[Step]) -> Driver:
    world = StillWorld(folder)
    journal = Journal(folder / "meter.jsonl")
    world.cloud.meter.keep_journal(journal)
    driver = Driver(world)
    try:
        for step in steps:
            await driver.step(*step)
        written, now = replay(folder / "meter.jsonl")
        assert written == world.cloud.meter.lines()
        assert now <= world.cloud.now()
    finally:
        await world.move(0)  # what was called a moment ago begins, and can be cancelled
        await world.cloud.close()
        journal.close()
    return driver


@pytest.mark.slow
@given(steps=st.lists(STEPS, min_size=10, max_size=40))
@settings(max_examples=25, deadline=None)
def test_the_meter_agrees_with_the_cloud_after_any_calls(steps: list[Step]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(drive(Path(folder), [*BEGINNING, *steps]))


async def test_every_kind_of_step_is_one_that_can_change_something(tmp_path: Path) -> None:
    steps: list[Step] = []
    for name in CALLS:
        steps += [("run and keep the disk", 0, 10), (name, 0, 10), ("start", 9, 99)]
    driver = await drive(tmp_path, steps)
    assert all(driver.charged[kind] for kind in ("instance", "disk", "snapshot"))
    kinds = Counter(line.kind for line in driver.world.cloud.meter.lines())
    assert set(kinds) == set(KINDS)


class Thing:
    """What a shelf may hold: no attribute but those that a key pair's reading has."""

    def __init__(self) -> None:
        self.name, self.tags = "thing", {"a": "1"}


def merge(mapping: MutableMapping[str, Any], value: Any) -> None:
    mapping |= {"new": value}  # type: ignore[operator]


CHANGES: dict[str, Callable[[MutableMapping[str, Any], Any], object]] = {
    "setitem": lambda mapping, value: mapping.__setitem__("new", value),
    "delitem": lambda mapping, _: mapping.__delitem__("old"),
    "update": lambda mapping, value: mapping.update({"new": value}),
    "update by name": lambda mapping, value: mapping.update(new=value),
    "setdefault": lambda mapping, value: mapping.setdefault("new", value),
    "pop": lambda mapping, _: mapping.pop("old"),
    "popitem": lambda mapping, _: mapping.popitem(),
    "clear": lambda mapping, _: mapping.clear(),
    "merge": merge,
    "replace": lambda mapping, value: mapping.__setitem__("old", value),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_no_way_to_change_a_shelf_goes_past_the_meter(
    change: Callable[[MutableMapping[str, Any], Any], object],
) -> None:
    meter = Meter(Clock())
    shelf: MeteredShelf[Thing] = MeteredShelf("key_pair", meter, Clock(), 0)
    shelf["old"] = Thing()
    before = meter.lines()
    change(shelf, Thing())
    assert meter.lines() != before
    alive = [line.resource_id for line in meter.lines() if line.ended is None]
    assert sorted(alive) == sorted(shelf)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_no_way_to_change_tags_goes_past_the_meter(
    change: Callable[[MutableMapping[str, Any], Any], object],
) -> None:
    told: list[dict[str, str]] = []
    tags = WatchedTags({"old": "1"}, lambda: told.append(dict(tags)))
    change(tags, "2")
    assert told == [dict(tags)]
    assert tags != {"old": "1"}


MUTATORS = {
    "__setitem__",
    "__delitem__",
    "__ior__",
    "update",
    "setdefault",
    "pop",
    "popitem",
    "clear",
}


@pytest.mark.parametrize("kind", [MeteredShelf, WatchedTags])
def test_no_method_that_changes_a_dict_is_the_dicts_own(kind: type) -> None:
    assert {name for name in MUTATORS if getattr(kind, name) is getattr(dict, name)} == set()
    all_known = {name for name, each in vars(MutableMapping).items() if isfunction(each)}
    assert all_known <= MUTATORS, "there is a new way to change a mapping"
