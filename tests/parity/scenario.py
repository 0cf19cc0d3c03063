"""A life of the local cloud in which every action is called, so as to see what it answers."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from emulator import ack, ecs, parity, seed
from emulator.faults import SnapshotFailed
from tests.emulator.world import PUBLIC_KEY, UPLOAD_S, World

REGION = "cn-hangzhou"
TAG: dict[str, str] = {"Tag__1__Key": "purpose", "Tag__1__Value": "parity"}


class Recorder(World):
    """The cloud, and the paths that its answers had, by action."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._answered: defaultdict[str, set[str]] = defaultdict(set)

    def ecs(self, action: str, **params: Any) -> dict[str, Any]:
        return self._noted(action, super().ecs(action, **params))

    def ack(self, action: str, path: str = "", body: Any = None, **query: Any) -> dict[str, Any]:
        return self._noted(action, super().ack(action, path, body, **query))

    def _noted(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        self._answered[action] |= set(parity.paths(body))
        return body

    def answered(self) -> dict[str, list[str]]:
        """Return the paths of all answers, as the reference page lists them."""
        return {action: parity.merged(found) for action, found in sorted(self._answered.items())}


async def live(world: Recorder) -> None:
    """Call every action, with each resource in several of its states."""
    look_around(world)
    world.ecs(
        "ImportKeyPair", RegionId=REGION, KeyPairName="builder", PublicKeyBody=PUBLIC_KEY, **TAG
    )
    world.ecs("DescribeKeyPairs", RegionId=REGION, IncludePublicKey=True)
    await build(world)
    world.ecs("DeleteKeyPairs", RegionId=REGION, KeyPairNames='["builder"]')
    await grow(world)
    missing = {*ecs.ACTIONS, *ack.ACTIONS} - world.answered().keys()
    assert not missing, f"the scenario does not call {', '.join(sorted(missing))}"


def look_around(world: Recorder) -> None:
    world.ecs("DescribeRegions")
    world.ecs("DescribeImages", RegionId=REGION)
    family = world.cloud.account.image(seed.IMAGE_ID)
    assert family is not None
    world.ecs("DescribeImageFromFamily", RegionId=REGION, ImageFamily=family.family)
    cluster = f"/clusters/{world.cluster}"
    world.ack("DescribeClustersV1", "/api/v1/clusters")
    world.ack("DescribeClusterDetail", cluster)
    world.ack("DescribeClusterUserKubeconfig", f"/k8s/{world.cluster}/user_config")
    world.ack("ListClusterAddonInstances", f"{cluster}/addon_instances")


async def build(world: Recorder) -> None:
    """Live the life of a build instance, its disks and snapshots."""
    order = {
        "KeyPairName": "builder",
        "InstanceName": "builder",
        "DataDisk__1__DeleteWithInstance": False,
    }
    built = await world.stopped(**order, **TAG)
    world.ecs("DescribeInstanceStatus", RegionId=REGION)
    world.ecs("StartInstance", InstanceId=built)
    await world.settle()
    await command(world, built)
    describe(world)
    disk = world.data_disk(built)["DiskId"]
    world.ecs("CreateSnapshot", DiskId=disk, SnapshotName="kept", RetentionDays=1, **TAG)
    await world.move(0)  # the disk is cloned
    describe(world)
    await world.move(UPLOAD_S)
    world.cloud.faults.add(SnapshotFailed())
    failed = world.ecs("CreateSnapshot", DiskId=disk)["SnapshotId"]
    await world.move(0)
    await world.move(UPLOAD_S)
    describe(world)
    ids = {"ResourceType": "instance", "ResourceId__1": built}
    world.ecs("TagResources", RegionId=REGION, **ids, **TAG)
    world.ecs("DeleteSnapshot", SnapshotId=failed)
    world.ecs("DeleteInstance", InstanceId=built, Force=True)
    describe(world)
    await world.settle()
    world.ecs("DeleteDisk", DiskId=disk)


async def command(world: Recorder, instance_id: str) -> None:
    """Have commands run that end, that fail, that are stopped and that are not sent at all."""
    world.ecs("DescribeCloudAssistantStatus", RegionId=REGION, InstanceId__1=instance_id)
    for code in (0, 1):
        world.command(instance_id, Name="a command", **TAG)
        await world.move(0)
        world.machines.scripts[-1].end(code, b"said")
        await world.move(0)
    invoke_id = world.command(instance_id)
    await world.move(0)
    world.ecs("StopInvocation", RegionId=REGION, InvokeId=invoke_id)
    await world.move(0)
    for page in ({}, {"MaxResults": 10}):
        world.ecs("DescribeInvocationResults", RegionId=REGION, **page)
        world.ecs("DescribeInvocations", RegionId=REGION, **page)
        world.ecs("DescribeCloudAssistantStatus", RegionId=REGION, **page)
    world.ecs("DescribeInvocations", RegionId=REGION, InvokeId=invoke_id, IncludeOutput=True)


def describe(world: Recorder) -> None:
    for action in ("DescribeInstances", "DescribeDisks", "DescribeSnapshots"):
        world.ecs(action, RegionId=REGION)
        world.ecs(action, RegionId=REGION, MaxResults=10)


async def grow(world: Recorder) -> None:
    """Live the life of a node pool: nodes that join, one that fails, fewer, none."""
    pool = await world.pool(desired_size=1, tags=[{"key": "a", "value": "b"}])
    path = f"{world.pools()}/{pool}"
    task = world.ack("ScaleClusterNodePool", path, {"count": 1})["task_id"]
    world.task(task)
    await world.settle()
    world.task(task)
    world.machines.fails.add("start")
    failed = world.modify(pool, desired_size=3)["task_id"]
    await world.settle()
    world.task(failed)
    world.detail(pool)
    world.ack("DescribeClusterNodePools", world.pools())
    node = world.nodes(pool)[0]["instance_id"]
    world.ack("RemoveNodePoolNodes", f"{path}/nodes", instance_ids=f'["{node}"]', release_node=True)
    await world.settle()
    world.ack("DeleteClusterNodepool", path, force=True)
    await world.settle()
