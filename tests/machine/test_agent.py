"""The node agent and the stand-in for crictl, on a real machine with a real containerd."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator.clock import Clock
from emulator.guest.objects import present_text
from emulator.kube.cluster import KubeCluster
from emulator.kube.selectors import selection
from emulator.machines.base import NodeJoin
from tests.machine.lab import Lab

pytestmark = [pytest.mark.machine, pytest.mark.slow]

VERSION = "1.32.1-aliyun.1"
KUBE_PORT = 6443
MACHINE = "i-1"
SIZE = re.compile(r"Image size: (\d+) bytes\.$")


@dataclass
class Node:
    """One node of one cluster."""

    lab: Lab
    cluster: KubeCluster
    name: str

    async def sh(self, script: str) -> str:
        return await self.lab.run(MACHINE, script)

    async def ready(self, status: str) -> dict[str, Any]:
        """Return the Ready condition once it has a status."""
        async for _, node in self.cluster.store.watch("nodes"):
            conditions = node["status"].get("conditions", [])
            for condition in conditions:
                if (condition["type"], condition["status"]) == ("Ready", status):
                    return dict(condition)
        raise AssertionError("the cluster was stopped")

    def start(self, name: str, *command: str, **spec: Any) -> None:
        image = self.lab.machines.workload_image()
        container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent"}
        if command:
            container["command"] = list(command)  # type: ignore[assignment]
        container |= spec.pop("container", {})
        pod = {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}
        self.cluster.store.create("pods", pod)

    async def until(self, name: str, is_so: Callable[[Any], bool]) -> dict[str, Any]:
        """Return a Pod's status once something holds of it."""
        mine = selection("pods", "default", "", f"metadata.name={name}")
        async for _, pod in self.cluster.store.watch("pods", mine):
            if is_so(pod["status"]):
                return dict(pod["status"])
        raise AssertionError("the cluster was stopped")

    async def delete(self, name: str) -> None:
        """Delete a Pod with no time to end, and return once the node has let it go."""
        store = self.cluster.store
        mine = selection("pods", "default", "", f"metadata.name={name}")
        since = store.version
        _, gone = store.delete("pods", "default", name, grace_s=1)
        assert not gone
        async for kind, _ in store.watch("pods", mine, since):
            if kind == "DELETED":
                return

    async def told(self, reason: str) -> str:
        """Return an event's message once there is one: the agent sends events by the way."""
        wanted = selection("events", None, "", f"reason={reason}")
        async for _, event in self.cluster.store.watch("events", wanted):
            return str(event["message"])
        raise AssertionError("the cluster was stopped")

    def messages(self, reason: str, **fields: str) -> list[str]:
        chosen = "".join(f",{key}={value}" for key, value in fields.items())
        found = self.cluster.store.list("events", fields=f"reason={reason}{chosen}")
        return [event["message"] for event in found]


@pytest.fixture
async def node(lab: Lab, tmp_path: Path) -> AsyncIterator[Node]:
    machines = lab.machines
    cluster = KubeCluster(Clock(), "c1", VERSION, tmp_path / "kube", (machines.gateway_ip,))
    serving = asyncio.create_task(cluster.run([machines.listen(KUBE_PORT)]))
    name = f"cn-hangzhou.{machines.reserve_ip(MACHINE)}"
    join = NodeJoin(
        cluster_id="c1",
        node_pool_id="np-1",
        instance_id=MACHINE,
        node_name=name,
        kubernetes_version=VERSION,
        runtime_version=machines.runtime_version(),
        api_server=f"https://{machines.gateway_ip}:{KUBE_PORT}",
        ca_pem=cluster.pki.ca_pem,
        token=cluster.node_token(name),
        system_images=machines.system_images(),
        packages_url=machines.packages_url,
        kubelet_registration_s=0.0,
        labels={"purpose": "test"},
        taints=({"key": "a", "value": "b", "effect": "PreferNoSchedule"},),
    )
    await lab.boot(MACHINE, node=join, hostname=name)
    joined = Node(lab, cluster, name)
    await joined.ready("True")
    yield joined
    cluster.stop()
    await serving


def phase(wanted: str) -> Callable[[Any], bool]:
    return lambda status: status["phase"] == wanted


def waiting(reason: str) -> Callable[[Any], bool]:
    def is_so(status: Any) -> bool:
        states = [each["state"].get("waiting", {}) for each in status.get("containerStatuses", [])]
        return any(state.get("reason") == reason for state in states)

    return is_so


async def test_a_node_registers_with_what_its_machine_really_is(node: Node) -> None:
    [made] = node.cluster.store.list("nodes")
    info = made["status"]["nodeInfo"]
    runtime = node.lab.machines.runtime_version()
    assert info["containerRuntimeVersion"] == f"containerd://{runtime}"
    assert info["kernelVersion"] == (await node.sh("uname -r")).strip()
    assert made["metadata"]["labels"]["purpose"] == "test"
    assert made["spec"]["taints"] == [{"key": "a", "value": "b", "effect": "PreferNoSchedule"}]
    assert made["spec"]["providerID"] == "cn-hangzhou.i-1"
    assert "Node" in await node.told("NodeReady")


async def test_the_events_of_a_node_add_up_to_what_it_pulled(node: Node) -> None:
    images = json.loads(await node.sh("crictl images -o json"))["images"]
    pulled: list[int] = []
    async for _, event in node.cluster.store.watch("events"):
        if found := SIZE.search(event["message"]):
            pulled.append(int(found[1]))
        if len(pulled) == len(node.lab.machines.system_images()):
            break
    assert sorted(pulled) == sorted(int(image["size"]) for image in images)


async def test_an_agent_that_starts_again_pulls_nothing_again(node: Node) -> None:
    await node.sh("systemctl restart kubelet")
    for image in node.lab.machines.system_images():
        await said(node, present_text(image))
    await node.ready("True")
    assert len(node.cluster.store.list("nodes")) == 1


async def said(node: Node, message: str) -> None:
    async for _, event in node.cluster.store.watch("events"):
        if event["message"] == message:
            return


async def test_a_node_is_ready_only_while_containerd_and_the_images_are_there(node: Node) -> None:
    await node.sh("systemctl stop containerd")
    assert "container runtime is down" in (await node.ready("False"))["message"]
    await node.sh("systemctl start containerd")
    await node.ready("True")
    image = node.lab.machines.system_images()[1]
    await node.sh(f"crictl rmi {image}")
    assert image in (await node.ready("False"))["message"]
    await node.sh(f"crictl pull {image}")
    await node.ready("True")


async def test_a_pod_runs_in_a_container_until_it_is_deleted(node: Node) -> None:
    node.start("work")
    status = await node.until("work", phase("Running"))
    container = status["containerStatuses"][0]
    identifier = container["containerID"].removeprefix("containerd://")
    assert container["state"]["running"]["startedAt"]
    assert (await node.sh("crictl ps -q")).split() == [identifier]
    assert status["hostIP"] == node.lab.machines.reserve_ip(MACHINE)
    [pulled] = node.messages("Pulled", **{"involvedObject.name": "work"})
    assert SIZE.search(pulled)
    await node.delete("work")
    assert (await node.sh("crictl ps -a -q")).strip() == ""
    assert node.messages("Killing") == ["Stopping container main"]


async def test_an_image_that_is_there_is_not_pulled_for_a_pod(node: Node) -> None:
    image = node.lab.machines.workload_image()
    await node.sh(f"crictl pull {image}")
    node.start("work")
    await node.until("work", phase("Running"))
    assert node.messages("Pulled", **{"involvedObject.name": "work"}) == [present_text(image)]


async def test_a_pod_reports_its_exit_code_and_its_log_is_kept(node: Node) -> None:
    node.start("job", "/bin/sh", "-c", "echo $WHO; exit 3", restartPolicy="Never",
               container={"env": [{"name": "WHO", "value": "me"}]})  # fmt: skip
    status = await node.until("job", phase("Failed"))
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert " stdout F me\n" in await node.sh("cat /var/log/pods/default_job_*/main/0.log")


async def test_a_container_that_keeps_ending_is_backed_off_from(node: Node) -> None:
    node.start("crash", "/bin/sh", "-c", "exit 1")
    status = await node.until("crash", waiting("CrashLoopBackOff"))
    assert status["containerStatuses"][0]["restartCount"] == 1
    assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
    assert status["phase"] == "Running"
    await node.delete("crash")


async def test_an_image_that_cannot_be_pulled_is_reported_and_the_pod_can_go(node: Node) -> None:
    node.start("bad", container={"image": f"{node.lab.machines.registry}/none:1"})
    status = await node.until("bad", waiting("ImagePullBackOff"))
    assert "not found" in status["containerStatuses"][0]["state"]["waiting"]["message"]
    await node.delete("bad")


async def test_the_agent_follows_its_pods_again_after_a_break(node: Node) -> None:
    node.cluster.store.close()  # every watch ends,
    node.cluster.store.compact()  # and no version of before can be watched from
    node.start("work")
    node.cluster.store.bind("default", "work", node.name)  # the scheduler's watch ended too
    await node.until("work", phase("Running"))


async def test_stopping_the_agent_ends_its_containers(node: Node) -> None:
    node.start("work")
    await node.until("work", phase("Running"))
    await node.sh("systemctl stop kubelet")
    assert (await node.sh("crictl ps -a -q")).strip() == ""
    assert (await node.ready("False"))["message"] == "node is shutting down"


async def test_crictl_lists_inspects_and_removes_images(node: Node) -> None:
    listed = (await node.sh("crictl images --no-trunc")).splitlines()
    whole = json.loads(await node.sh("crictl images -o json"))["images"]
    assert listed[0].split("  ")[0] == "IMAGE"
    assert {line.split()[2] for line in listed[1:]} == {image["id"] for image in whole}
    image = whole[0]
    inspected = json.loads(await node.sh(f"crictl inspecti {image['repoDigests'][0]}"))
    assert inspected["status"]["id"] == image["id"]
    removed = await node.sh(f"crictl rmi {image['id']}")
    assert removed == f"Deleted: {image['repoTags'][0]}\n"
    assert image["id"] not in await node.sh("crictl images -q")


async def test_crictl_fails_loudly(node: Node) -> None:
    missing = await node.lab.try_run(MACHINE, "crictl rmi none/none:1")
    assert (missing.returncode, missing.stderr) == (1, "crictl: no such image none/none:1\n")
    pull = await node.lab.try_run(MACHINE, f"crictl pull {node.lab.machines.registry}/none:1")
    assert pull.returncode == 1
    assert "not found" in pull.stderr
    unknown = await node.lab.try_run(MACHINE, "crictl exec x")
    assert unknown.returncode == 2
