"""A machine becomes a node as on ACK: disk, kubelet package, containerd, images, Ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from emulator.clock import Clock
from emulator.kube.cluster import KubeCluster
from emulator.machines.base import DiskAttachment, Machine, NodeJoin
from emulator.machines.real.selftest import Selftest
from tests.machine.lab import Lab, serial

pytestmark = [pytest.mark.machine, pytest.mark.slow]

VERSION = "1.32.1-aliyun.1"
KUBE_PORT = 6443
FINISHED = "until [ -e /var/lib/cloud/instance/boot-finished ]; do sleep 0.05; done"
LOG = "cat /var/log/cloud-init-output.log"


@dataclass
class NodeLab:
    """A cluster beside the machines, which nodes can join."""

    lab: Lab
    cluster: KubeCluster
    registry_log: Path

    async def join(
        self, name: str, *disk_ids: str, version: str = VERSION, **changes: object
    ) -> Machine:
        """Boot a node on disks that exist, and return when its cloud-init has finished."""
        node_name = self.name_of(name)
        node = NodeJoin(
            cluster_id=self.cluster.cluster_id,
            node_pool_id="np-1",
            instance_id=name,
            node_name=node_name,
            kubernetes_version=version,
            runtime_version=self.lab.machines.runtime_version(),
            api_server=f"https://{self.lab.machines.gateway_ip}:{KUBE_PORT}",
            ca_pem=self.cluster.pki.ca_pem,
            token=self.cluster.node_token(node_name),
            system_images=self.lab.machines.system_images(),
            packages_url=self.lab.machines.packages_url,
            kubelet_registration_s=0.0,
        )
        spec = self.lab.spec(name, *disk_ids, node=node, **changes)
        machine = self.lab.machines.machine(spec)
        await machine.start()
        await self.lab.run(name, FINISHED)
        return machine

    def name_of(self, machine_id: str) -> str:
        """Return a node's name, which on ACK holds its address."""
        return f"cn-hangzhou.{self.lab.machines.reserve_ip(machine_id)}"

    def node_names(self) -> list[str]:
        return [node["metadata"]["name"] for node in self.cluster.store.list("nodes")]

    def pulled_by(self, name: str) -> int:
        """Return how many blobs a machine asked the registry for."""
        client = f"{self.lab.machines.reserve_ip(name)} - - "
        lines = self.registry_log.read_text().splitlines()
        return sum(line.startswith(client) and "/blobs/" in line for line in lines)


@pytest.fixture
async def nodes(lab: Lab, tmp_path: Path) -> AsyncIterator[NodeLab]:
    address = lab.machines.gateway_ip
    cluster = KubeCluster(Clock(), "c1", VERSION, tmp_path / "kube", (address,))
    serving = asyncio.create_task(cluster.run([lab.machines.listen(KUBE_PORT)]))
    yield NodeLab(lab, cluster, tmp_path / "cloud" / "registry.log")
    cluster.stop()
    await serving


async def test_a_node_formats_its_blank_disk_downloads_and_joins(nodes: NodeLab) -> None:
    await nodes.lab.machines.create_disk("d-one", 10)
    await nodes.join(
        "i-1",
        "d-one",
        pre_user_data=b"touch /var/.skip-yum\n",
        user_data=b"#!/bin/bash\nsystemctl is-active kubelet >/root/after\n",
    )
    log = await nodes.lab.run("i-1", LOG)
    steps = [line.partition(" ")[2] for line in log.splitlines()]
    assert "ack-init: /dev/vdb had no file system: formatted" in steps
    assert any(step.startswith("ack-init: downloaded kubernetes-1.32.1") for step in steps)
    assert "ack-init: package updates skipped: /var/.skip-yum" in steps
    assert steps.index("cloud-init: pre-user-data ended with exit code 0") < steps.index(
        "cloud-init: running ACK init"
    )
    assert await nodes.lab.run("i-1", "cat /root/after") == "active\n"
    assert nodes.node_names() == [nodes.name_of("i-1")]
    assert nodes.pulled_by("i-1") > 0


async def test_a_node_on_a_disk_from_a_snapshot_downloads_nothing(nodes: NodeLab) -> None:
    machines = nodes.lab.machines
    await machines.create_disk("d-one", 10)
    first = await nodes.join("i-1", "d-one")
    keep_package = "mkdir /var/lib/container/ack; cp -a /opt/kubernetes /var/lib/container/ack/"
    await nodes.lab.run("i-1", keep_package)
    await first.stop()
    await machines.create_snapshot("s-1", "d-one")
    await machines.create_disk("d-two", 10, snapshot_id="s-1")
    await nodes.join("i-2", "d-two")
    log = await nodes.lab.run("i-2", LOG)
    assert "/dev/vdb holds ext4: kept" in log
    assert "kubelet package found at /var/lib/container/ack/kubernetes" in log
    assert "downloaded" not in log
    assert nodes.pulled_by("i-2") == 0
    assert nodes.name_of("i-2") in nodes.node_names()


async def test_a_kubelet_package_of_another_version_is_not_used(nodes: NodeLab) -> None:
    machines = nodes.lab.machines
    await machines.create_disk("d-one", 10)
    builder = await nodes.lab.boot("i-1", "d-spare")
    await builder.stop()
    disk = (DiskAttachment("d-one", "/dev/vdb", serial("d-one"), 10),)
    await nodes.lab.machines.machine(nodes.lab.spec("i-2", disks=disk)).start()
    stale = """set -e
        mkfs.ext4 -q /dev/vdb; mount /dev/vdb /mnt; mkdir -p /mnt/ack/kubernetes
        echo 1.31.0-aliyun.1 >/mnt/ack/kubernetes/VERSION; umount /mnt"""
    await nodes.lab.run("i-2", stale)
    await nodes.lab.machines._machines["i-2"].destroy()
    await nodes.join("i-3", "d-one")
    log = await nodes.lab.run("i-3", LOG)
    assert "is 1.31.0-aliyun.1, not 1.32.1-aliyun.1: not used" in log
    assert "downloaded kubernetes-1.32.1-aliyun.1" in log


async def test_the_last_disk_in_order_is_the_one_for_containers(nodes: NodeLab) -> None:
    for disk_id in ("d-one", "d-two"):
        await nodes.lab.machines.create_disk(disk_id, 10)
    await nodes.join("i-1", "d-one", "d-two")
    assert await nodes.lab.run("i-1", "findmnt -n -o SOURCE /var/lib/container") == "/dev/vdc\n"
    assert (await nodes.lab.try_run("i-1", "blkid -p /dev/vdb")).stdout == ""


async def test_a_node_that_cannot_get_its_package_says_so_and_never_joins(nodes: NodeLab) -> None:
    await nodes.lab.machines.create_disk("d-one", 10)
    await nodes.join("i-1", "d-one", version="9.9.9", user_data=b"touch /root/ran")
    log = await nodes.lab.run("i-1", f"{LOG}; ls /root/ran || true")
    assert "ack-init: cannot download kubernetes-9.9.9-linux-amd64.tar.gz" in log
    assert "this machine does not join" in log
    assert "/root/ran" not in log
    assert nodes.node_names() == []


async def test_a_disk_that_cannot_be_mounted_is_not_formatted(nodes: NodeLab) -> None:
    builder = await nodes.lab.boot("i-1", "d-one")
    luks = r"printf 'LUKS\xba\xbe\x00\x01' | dd of=/dev/vdb conv=notrunc status=none; sync"
    await nodes.lab.run("i-1", luks)
    await builder.stop()
    await nodes.join("i-2", "d-one")
    said = await nodes.lab.run("i-2", f"{LOG}; blkid -p -s TYPE -o value /dev/vdb")
    assert "ack-init: cannot mount /dev/vdb" in said
    assert said.endswith("crypto_LUKS\n")
    assert nodes.node_names() == []


async def test_the_whole_machine_layer_passes_its_own_test(tmp_path: Path) -> None:
    test = Selftest(tmp_path, Path(".local/content").resolve())
    await test.run()
    assert {"pull", "snapshot", "container from the restored image"} <= set(test.seconds)
