"""The clients that people and products use, unchanged: kubectl and both Python clients."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import kubernetes
import kubernetes_asyncio
import pytest

from tests.emulator.kube_world import KubeWorld, as_text, core_api, kube_world, pod

pytestmark = pytest.mark.slow

NODE = "cn-hangzhou.127.0.0.9"


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with kube_world(tmp_path_factory.mktemp("kube")) as served:
        yield served


def finish(world: KubeWorld, name: str) -> None:
    """Do what a node does last for a Pod that is being deleted."""
    world.cluster.store.delete("pods", "default", name, grace_s=0)


def run_pod(world: KubeWorld, name: str) -> None:
    """Report a Pod as running and ready, as a node would."""
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    world.cluster.store.patch("pods", "default", name, {"status": status}, subresource="status")


def test_kubectl_shows_nodes_in_its_usual_columns(world: KubeWorld) -> None:
    world.add_node()
    header, row = world.kubectl("get", "nodes", "-o", "wide").splitlines()
    assert header.split()[:5] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert row.split()[:3] == [NODE, "Ready", "<none>"]
    assert "containerd://1.6.20" in row
    assert world.kubectl("get", "nodes", "-o", "name") == f"node/{NODE}\n"


def test_kubectl_describes_a_node_with_its_pods_and_events(world: KubeWorld) -> None:
    world.add_node()
    world.kubectl("apply", "-f", "-", text=as_text(pod(nodeName=NODE)))
    told = world.kubectl("describe", "node", NODE)
    assert "KubeletReady" in told
    assert "Non-terminated Pods:          (1 in total)" in told
    assert "work" in told


def test_kubectl_applies_labels_waits_for_and_deletes_a_pod(world: KubeWorld) -> None:
    world.add_node()
    assert world.kubectl("apply", "-f", "-", text=as_text(pod())) == "pod/work created\n"
    assert world.kubectl("apply", "-f", "-", text=as_text(pod())) == "pod/work unchanged\n"
    changed = pod() | {"metadata": {"name": "work", "labels": {"app": "other"}}}
    assert world.kubectl("apply", "-f", "-", text=as_text(changed)) == "pod/work configured\n"
    run_pod(world, "work")
    met = world.kubectl("wait", "--for=condition=Ready", "pod/work", "--timeout=20s")
    assert met == "pod/work condition met\n"
    with subprocess.Popen(
        [*world.kubectl_command(), "delete", "pod", "work"], stdout=subprocess.PIPE, text=True
    ) as deleting:
        wait_for_deletion(world)
        finish(world, "work")
        assert deleting.communicate(timeout=30)[0].startswith('pod "work" deleted')
    assert deleting.returncode == 0


def wait_for_deletion(world: KubeWorld) -> None:
    """Return once the Pod has been asked to end: seen by a client of the same API."""
    with core_api(world) as core:
        watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]  # has no types
        for event in watch.stream(core.list_namespaced_pod, "default", timeout_seconds=20):
            if event["object"].metadata.deletion_timestamp:
                watch.stop()


def test_kubectl_refuses_a_misspelt_field(world: KubeWorld) -> None:
    done = world.try_kubectl("apply", "-f", "-", text=as_text(pod(restartPolicies="Never")))
    assert done.returncode != 0
    assert 'unknown field "spec.restartPolicies"' in done.stderr


def test_kubectl_follows_changes(world: KubeWorld) -> None:
    world.add_node()
    world.kubectl("apply", "-f", "-", text=as_text(pod()))
    command = [*world.kubectl_command(), "get", "pods", "-w", "-o", "wide"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        lines = iter(following.stdout.readline, "")
        assert next(lines).startswith("NAME")
        assert "Pending" in next(lines)
        run_pod(world, "work")
        assert any("Running" in line for line in lines)
        following.terminate()


def test_kubectl_cordons_taints_and_lists_events(world: KubeWorld) -> None:
    world.add_node()
    world.kubectl("cordon", NODE)
    assert "Ready,SchedulingDisabled" in world.kubectl("get", "nodes")
    world.kubectl("uncordon", NODE)
    world.kubectl("taint", "node", NODE, "a=b:NoSchedule")
    world.kubectl("apply", "-f", "-", text=as_text(pod()))
    world.kubectl("wait", "--for=jsonpath={.status.conditions[0].reason}=Unschedulable", "pod/work")
    events = world.kubectl("get", "events", "-A")
    assert "0/1 nodes are available: 1 node(s) had untolerated taint {a: b}." in events


def test_kubectl_without_the_token_is_refused(world: KubeWorld) -> None:
    text = world.kubeconfig.read_text().replace(world.cluster.admin_token, "wrong")
    world.kubeconfig.write_text(text)
    done = world.try_kubectl("get", "nodes")
    assert "You must be logged in to the server" in done.stderr


def test_the_official_client_reads_creates_patches_and_deletes(world: KubeWorld) -> None:
    world.add_node()
    with core_api(world) as core:
        [node] = core.list_node(label_selector="alibabacloud.com/nodepool-id=np1").items
        assert node.status.node_info.container_runtime_version == "containerd://1.6.20"
        core.patch_node(NODE, {"metadata": {"labels": {"a": "b"}}})
        assert core.read_node(NODE).metadata.labels["a"] == "b"
        core.create_namespaced_pod("default", pod())
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.create_namespaced_pod("default", pod())
        assert (caught.value.status, caught.value.reason) == (409, "Conflict")
        core.delete_namespaced_pod("work", "default", grace_period_seconds=0)
        assert core.list_namespaced_pod("default").items == []


def test_the_official_client_is_told_when_its_version_is_too_old(world: KubeWorld) -> None:
    with core_api(world) as core:
        version = core.list_namespaced_pod("default").metadata.resource_version
        core.create_namespaced_pod("default", pod())
        world.cluster.store.compact()
        watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]  # has no types
        stream = watch.stream(
            core.list_namespaced_pod, "default", resource_version=version, timeout_seconds=5
        )
        with pytest.raises(kubernetes.client.ApiException) as caught:
            list(stream)
        assert caught.value.status == 410


async def test_the_asyncio_client_watches_and_carries_on_after_a_broken_watch(
    world: KubeWorld,
) -> None:
    await kubernetes_asyncio.config.load_kube_config(str(world.kubeconfig))
    async with kubernetes_asyncio.client.ApiClient() as client:
        core: Any = kubernetes_asyncio.client.CoreV1Api(client)
        await core.create_namespaced_pod("default", pod("a"))
        seen = []
        async with kubernetes_asyncio.watch.Watch() as watch:
            async for event in watch.stream(core.list_namespaced_pod, "default"):
                seen.append((event["type"], event["object"].metadata.name))
                if len(seen) == 1:
                    world.cluster.store.close()  # ends every watch, as a restart does
                    await core.create_namespaced_pod("default", pod("b"))
                names = {name for _, name in seen}
                if "b" in names:
                    break
        assert ("ADDED", "b") in seen
