"""A cloud without HTTP and without machines: calls go straight to the tables of actions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from emulator import ack, ecs, seed
from emulator.ack import scaling
from emulator.clock import Clock
from emulator.cloud import Cloud
from emulator.errors import ApiError
from emulator.kube.cluster import KubeCluster
from emulator.settings import Settings
from emulator.signing import SignedRequest
from tests.emulator.null_machines import NullMachines

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7UmP0lxPoq7TgQqYiJC/sqEcWqR2B1hkYQmpoaYS9n"
BOOT_S, STOP_S, UPLOAD_S, TASK_S = 10, 5, 100, 2
SETTINGS = Settings(
    agent_boot_s=0,
    instance_boot_s=BOOT_S,
    instance_stop_s=STOP_S,
    snapshot_upload_s=UPLOAD_S,
    task_step_s=TASK_S,
)
STEPS_OF_LOOP = 30


class World:
    """The cloud, and short ways to call it. Time only passes when ``move`` is called."""

    def __init__(
        self, folder: Path, settings: Settings = SETTINGS, clock: Clock | None = None
    ) -> None:
        clock = clock or Clock()
        kube = KubeCluster(clock, seed.CLUSTER_ID, "1.32.1-aliyun.1", folder, ("127.0.0.1",))
        self.machines = NullMachines(kube.store)
        self.cloud = Cloud(settings, clock, self.machines)
        self.cloud.on_release.append(scaling.instance_gone)
        self.kube = kube
        seed.add_cluster(self.cloud, kube, "https://127.0.0.1:1", "https://127.0.0.1:1")
        self.cluster = seed.CLUSTER_ID

    async def move(self, seconds: float) -> None:
        """Move the clock, and let run what that wakes."""
        self.cloud.clock.advance(timedelta(seconds=seconds))
        for _ in range(STEPS_OF_LOOP):
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Let time pass until nothing is left to do."""
        for _ in range(20):
            await self.move(max(BOOT_S, STOP_S, TASK_S))

    def ecs(self, action: str, **params: Any) -> dict[str, Any]:
        """Call ECS; ``__`` in a name stands for its dots."""
        flat = {name.replace("__", "."): str(value) for name, value in params.items()}
        return ecs.perform(self.cloud, action, flat)

    def ack(self, action: str, path: str = "", body: Any = None, **query: Any) -> dict[str, Any]:
        method = ack.MODEL.calls[action]["method"]
        content = b"" if body is None else json.dumps(body).encode()
        return self.ack_raw(action, method, path, content, **query)

    def ack_raw(
        self, action: str, method: str, path: str, content: bytes = b"", **query: Any
    ) -> dict[str, Any]:
        flat = {name: str(value) for name, value in query.items()}
        headers = {"content-type": "application/json"}
        signed = SignedRequest(method, path, urlencode(flat), headers, content)
        return ack.perform(self.cloud, action, signed, flat)

    # -- instances and disks

    def order(self, **changes: Any) -> dict[str, Any]:
        """Return the parameters of a valid RunInstances; None takes one away."""
        account = self.cloud.account
        params = {
            "RegionId": account.region_id,
            "ImageId": seed.IMAGE_ID,
            "InstanceType": seed.INSTANCE_TYPE,
            "VSwitchId": account.vswitch_id,
            "SecurityGroupId": account.security_group_id,
            "DataDisk__1__Size": 40,
            "DataDisk__1__Category": "cloud_essd",
            **changes,
        }
        return {name: value for name, value in params.items() if value is not None}

    def run(self, **changes: Any) -> str:
        body = self.ecs("RunInstances", **self.order(**changes))
        instance_id: str = body["InstanceIdSets"]["InstanceIdSet"][0]
        return instance_id

    async def running(self, **changes: Any) -> str:
        instance_id = self.run(**changes)
        await self.move(0)
        await self.move(BOOT_S)
        return instance_id

    async def stopped(self, **changes: Any) -> str:
        instance_id = await self.running(**changes)
        self.ecs("StopInstance", InstanceId=instance_id)
        await self.move(0)
        await self.move(STOP_S)
        return instance_id

    def instance(self, instance_id: str) -> dict[str, Any] | None:
        ids = json.dumps([instance_id])
        body = self.ecs("DescribeInstances", RegionId="cn-hangzhou", InstanceIds=ids)
        found: list[dict[str, Any]] = body["Instances"]["Instance"]
        return found[0] if found else None

    def status(self, instance_id: str) -> str:
        found = self.instance(instance_id)
        return found["Status"] if found else "gone"

    def data_disk(self, instance_id: str) -> dict[str, Any]:
        body = self.ecs(
            "DescribeDisks", RegionId="cn-hangzhou", InstanceId=instance_id, DiskType="data"
        )
        disk: dict[str, Any] = body["Disks"]["Disk"][0]
        return disk

    def snapshot(self, snapshot_id: str) -> dict[str, Any] | None:
        ids = json.dumps([snapshot_id])
        body = self.ecs("DescribeSnapshots", RegionId="cn-hangzhou", SnapshotIds=ids)
        found: list[dict[str, Any]] = body["Snapshots"]["Snapshot"]
        return found[0] if found else None

    async def accomplished(self) -> str:
        """Return a snapshot of a stopped instance's data disk, uploaded."""
        disk = self.data_disk(await self.stopped())
        snapshot_id: str = self.ecs("CreateSnapshot", DiskId=disk["DiskId"])["SnapshotId"]
        await self.move(0)
        await self.move(UPLOAD_S)
        return snapshot_id

    # -- commands

    def command(self, *instance_ids: str, **params: Any) -> str:
        """Run a command and return the id of its invocation."""
        call = {
            "RegionId": self.cloud.account.region_id,
            "Type": "RunShellScript",
            "CommandContent": "true",
            **{f"InstanceId__{number}": each for number, each in enumerate(instance_ids, 1)},
            **params,
        }
        invoke_id: str = self.ecs("RunCommand", **call)["InvokeId"]
        return invoke_id

    def results(self, **params: Any) -> list[dict[str, Any]]:
        body = self.ecs(
            "DescribeInvocationResults",
            **{"RegionId": "cn-hangzhou", "ContentEncoding": "PlainText", **params},
        )
        found: list[dict[str, Any]] = body["Invocation"]["InvocationResults"]["InvocationResult"]
        return found

    # -- node pools

    def pools(self) -> str:
        return f"/clusters/{self.cluster}/nodepools"

    def description(self, name: str = "accel", **group: Any) -> dict[str, Any]:
        account = self.cloud.account
        scaling_group = {
            "vswitch_ids": [account.vswitch_id],
            "instance_types": [seed.INSTANCE_TYPE],
            "instance_charge_type": "PostPaid",
            "data_disks": [{"category": "cloud_essd", "size": 40}],
            **group,
        }
        return {"nodepool_info": {"name": name}, "scaling_group": scaling_group}

    def create_pool(self, name: str = "accel", **group: Any) -> Mapping[str, str]:
        body = self.description(name, **group)
        return self.ack("CreateClusterNodePool", self.pools(), body)

    async def pool(self, name: str = "accel", **group: Any) -> str:
        """Return a node pool that has become active."""
        pool_id = self.create_pool(name, **group)["nodepool_id"]
        await self.settle()
        return pool_id

    def modify(self, pool_id: str, **group: Any) -> Mapping[str, str]:
        body = {"scaling_group": group}
        return self.ack("ModifyClusterNodePool", f"{self.pools()}/{pool_id}", body)

    def detail(self, pool_id: str) -> dict[str, Any]:
        return self.ack("DescribeClusterNodePoolDetail", f"{self.pools()}/{pool_id}")

    def nodes(self, pool_id: str, **query: Any) -> list[dict[str, Any]]:
        path = f"/clusters/{self.cluster}/nodes"
        body = self.ack("DescribeClusterNodes", path, nodepool_id=pool_id, **query)
        nodes: list[dict[str, Any]] = body["nodes"]
        return nodes

    def task(self, task_id: str) -> dict[str, Any]:
        return self.ack("DescribeTaskInfo", f"/tasks/{task_id}")


@contextmanager
def refused(code: str, status: int | None = None) -> Iterator[None]:
    """Expect a refusal with the API's code, and its HTTP status where one is given."""
    with pytest.raises(ApiError) as caught:
        yield
    assert caught.value.code == code, caught.value
    assert status in (None, caught.value.status), caught.value.status
