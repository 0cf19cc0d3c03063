"""The client over ACK's kubeconfig, against a Kubernetes API with TLS and tokens."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    InvalidInputError,
    NotFoundError,
    ThrottledError,
    UnclearReplyError,
)
from ack_preload.domain.workload import NODE_POOL_LABEL, TEMPORARY_TAINT, workload_pod
from ack_preload.hooks.account import Account
from ack_preload.hooks.kube import KubeHook, NodeView, read_answer
from ack_preload.hooks.kubeconfig import ClusterAccess
from ack_preload.hooks.looks import Looks
from ack_preload.triggers.kube import UNREACHABLE, Clusters, look_at_pod, observe_node
from emulator.clock import Clock
from emulator.kube.cluster import KubeCluster
from tests.emulated.odd_cloud import odd_cloud

NODE = "cn-hangzhou.198.18.0.11"
NO_ACCOUNT = Account("unused", "cn-hangzhou")
READY_AT = "2026-11-24T04:00:42Z"
TARGET: dict[str, Any] = {
    "pool": {"taints": [{"key": "gpu", "value": "true", "effect": "NoSchedule"}]},
    "measure": {"workload_image": "registry.example.com/ac2/qwen:7b", "namespace": "default"},
}


class Running:
    def __init__(self, cluster: KubeCluster, url: str) -> None:
        self.cluster = cluster
        self.url = url
        self.kubeconfig = cluster.kubeconfig(url)

    def access(self) -> ClusterAccess:
        return ClusterAccess.from_kubeconfig(self.kubeconfig)


@pytest.fixture
async def kube(tmp_path: Path) -> AsyncIterator[Running]:
    listener = socket.create_server(("127.0.0.1", 0))
    cluster = KubeCluster(Clock(), "c1", "1.32.1-aliyun.1", tmp_path / "kube", ("127.0.0.1",))
    serving = asyncio.create_task(cluster.run([listener]))
    try:
        yield Running(cluster, f"https://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        cluster.stop()
        await serving
        listener.close()


def node(*, ready: bool, pool: str = "np1") -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status" if ready else "PLEG is not healthy",
        "lastHeartbeatTime": READY_AT,
        "lastTransitionTime": READY_AT,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {NODE_POOL_LABEL: pool}},
        "spec": {"taints": [dict(TEMPORARY_TAINT)]},
        "status": {"conditions": [condition]},
    }


def event(name: str, message: str, *, host: str = NODE, reason: str = "Pulled") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "kube-system"},
        "involvedObject": {"kind": "Pod", "namespace": "kube-system", "name": "kube-proxy-x"},
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet", "host": host},
        "firstTimestamp": READY_AT,
        "lastTimestamp": READY_AT,
        "type": "Normal",
        "count": 1,
    }


async def test_the_nodes_of_one_pool_are_found_with_their_moments(kube: Running) -> None:
    kube.cluster.store.create("nodes", node(ready=True))
    async with KubeHook.connect(kube.access(), "c1") as hook:
        (found,) = await hook.nodes_of_pool("np1")
        assert await hook.nodes_of_pool("np2") == []
    assert (found.name, found.ready, found.ready_at) == (NODE, True, READY_AT)
    assert found.registered_at.endswith("Z")


async def test_a_node_that_is_not_ready_says_why(kube: Running) -> None:
    kube.cluster.store.create("nodes", node(ready=False))
    async with KubeHook.connect(kube.access(), "c1") as hook:
        (found,) = await hook.nodes_of_pool("np1")
    assert (found.ready, found.reason) == (False, "PLEG is not healthy")


def test_a_node_without_conditions_is_not_ready() -> None:
    bare = {"metadata": {"name": "n", "creationTimestamp": READY_AT}, "status": {}}
    assert NodeView.from_api(bare) == NodeView("n", READY_AT, ready=False, ready_at="")


@pytest.mark.parametrize(
    ("provider_id", "name", "mine"),
    [
        pytest.param("cn-hangzhou.i-1", "other", True, id="its instance"),
        pytest.param("alicloud://cn-hangzhou/i-1", "other", True, id="another way to write it"),
        pytest.param("", NODE, True, id="no provider id yet, but its name"),
        pytest.param("cn-hangzhou.i-11", "other", False, id="a longer id"),
        pytest.param("", "other", False, id="nothing in common"),
    ],
)
def test_a_node_is_told_by_its_instance_or_its_name(
    provider_id: str, name: str, mine: bool
) -> None:
    found = NodeView(name, READY_AT, ready=True, ready_at=READY_AT, provider_id=provider_id)
    assert found.is_on("i-1", NODE) is mine


async def test_the_node_of_the_member_is_looked_at_not_the_first_of_the_pool(
    kube: Running,
) -> None:
    stale, own = node(ready=True), node(ready=False)
    stale["metadata"]["name"] = "cn-hangzhou.198.18.0.10"  # listed first
    stale["spec"]["providerID"] = "cn-hangzhou.i-gone"
    own["spec"]["providerID"] = "cn-hangzhou.i-1"
    kube.cluster.store.create("nodes", stale)
    member = {"instance_id": "i-1", "node_name": "i-1"}
    async with AsyncExitStack() as stack:
        clusters = Clusters(Looks(NO_ACCOUNT), stack)
        opening = KubeHook.connect(kube.access(), "c1")
        clusters.known["c1"] = await stack.enter_async_context(opening)
        assert (await observe_node(clusters, "c1", "np1", member)).state == "joining"
        kube.cluster.store.create("nodes", own)
        seen = await observe_node(clusters, "c1", "np1", member)
    assert (seen.state, (seen.detail or {})["node"]["name"]) == ("NotReady", NODE)


async def test_only_the_kubelet_of_that_node_is_asked_for_events(kube: Running) -> None:
    store = kube.cluster.store
    store.create("events", event("a", 'Successfully pulled image "x" in 1s'), "kube-system")
    store.create("events", event("b", "y", host="other"), "kube-system")
    store.create("events", event("c", "z", reason="Started"), "kube-system")
    async with KubeHook.connect(kube.access(), "c1") as hook:
        found = await hook.events_of_node(NODE, "Pulled")
    assert [each.message for each in found] == ['Successfully pulled image "x" in 1s']


async def test_a_workload_fits_only_its_pool_and_is_made_once(kube: Running) -> None:
    pod = workload_pod("ack-preload-1", "np1", TARGET)
    kube.cluster.store.create("nodes", node(ready=True))
    async with KubeHook.connect(kube.access(), "c1") as hook:
        first = await hook.create_pod("default", pod)
        again = await hook.create_pod("default", pod)
        assert again["metadata"]["uid"] == first["metadata"]["uid"]
        async with asyncio.timeout(5):
            while not (bound := await hook.pod("default", "ack-preload-1")) or not bound[
                "spec"
            ].get("nodeName"):
                await asyncio.sleep(0.02)
        assert bound["spec"]["nodeName"] == NODE
        await hook.delete_pod("default", "ack-preload-1")
        assert await hook.pod("default", "ack-preload-1") is None
        await hook.delete_pod("default", "ack-preload-1")  # a second try


async def test_a_wrong_token_is_refused_with_the_servers_own_word(kube: Running) -> None:
    access = replace(kube.access(), token="wrong")
    async with KubeHook.connect(access, "c1") as hook:
        with pytest.raises(CloudError) as caught:
            await hook.nodes_of_pool("np1")
    assert caught.value.code == "Unauthorized"


async def test_a_server_of_another_authority_is_not_trusted(kube: Running, tmp_path: Path) -> None:
    other = KubeCluster(Clock(), "c2", "1.32.1", tmp_path / "other", ("127.0.0.1",))
    access = replace(kube.access(), ca_pem=other.pki.ca_pem.encode())
    async with KubeHook.connect(access, "c1") as hook:
        with pytest.raises(CloudError, match="does not trust") as caught:
            await hook.version()
    assert caught.value.code == "CertificateUntrusted"


async def test_a_server_that_is_away_is_named(kube: Running) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = f"https://127.0.0.1:{taken.getsockname()[1]}"
    access = replace(kube.access(), server=url)
    async with KubeHook.connect(access, "c1") as hook:
        with pytest.raises(UnclearReplyError, match=f"cluster c1 at {url} gives no answer"):
            await hook.version()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(429, ThrottledError, id="throttled"),
        pytest.param(503, CloudUnavailableError, id="busy"),
        pytest.param(404, NotFoundError, id="absent"),
        pytest.param(403, CloudError, id="refused"),
    ],
)
def test_what_the_server_refuses_becomes_an_error_of_ours(
    status: int, kind: type[CloudError]
) -> None:
    with pytest.raises(CloudError, match="GET /x: ") as caught:
        read_answer(status, "<html>", "GET /x")
    assert type(caught.value) is kind
    assert caught.value.code == f"HTTP{status}"


@pytest.mark.parametrize("text", ["[1]", "", "nonsense"])
def test_an_answer_that_is_no_object_is_none(text: str) -> None:
    with pytest.raises(UnclearReplyError, match="GET /x is answered 200"):
        read_answer(200, text, "GET /x")


@pytest.mark.parametrize("body", [b'{"items": [{"met', b"{}", b'{"items": [{"metadata": {}}]}'])
async def test_an_answer_without_what_was_asked_for_tells_nothing(
    kube: Running, body: bytes
) -> None:
    with odd_cloud(body) as there:
        access = replace(kube.access(), server=f"http://{there.cs_endpoint}")
        member = {"instance_id": "i-1", "node_name": "i-1"}
        pod = {"cluster_id": "c1", "namespace": "default", "pod": "ack-preload-1"}
        async with KubeHook.connect(access, "c1") as hook, AsyncExitStack() as stack:
            clusters = Clusters(Looks(NO_ACCOUNT), stack)
            clusters.known["c1"] = hook
            assert (await observe_node(clusters, "c1", "np1", member)).state == UNREACHABLE
            assert "c1" not in clusters.known, "a new kubeconfig may lead elsewhere"
            clusters.known["c1"] = hook
            assert (await look_at_pod(clusters, pod)).state == UNREACHABLE


async def test_neither_key_nor_token_shows_in_the_text_of_an_access(kube: Running) -> None:
    access = replace(kube.access(), key_pem=b"PRIVATE")
    assert access.token
    assert access.token not in repr(access)
    assert "PRIVATE" not in repr(access)


async def test_the_client_keeps_no_file_of_the_kubeconfig(kube: Running) -> None:
    with kube.access().configuration() as configuration:
        path = Path(str(configuration.ssl_ca_cert))
        assert path.read_text() == kube.cluster.pki.ca_pem
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"current-context": "none"}, "contexts has no entry 'none'", id="no context"),
        pytest.param({"clusters": []}, "clusters has no entry", id="no cluster"),
        pytest.param({"users": None}, "users has no entry", id="no users"),
    ],
)
async def test_a_broken_kubeconfig_is_named_but_not_quoted(
    kube: Running, change: dict[str, Any], says: str
) -> None:
    broken = yaml.safe_dump(yaml.safe_load(kube.kubeconfig) | change)
    with pytest.raises(InvalidInputError, match=says) as caught:
        ClusterAccess.from_kubeconfig(broken)
    assert kube.cluster.admin_token not in str(caught.value)


@pytest.mark.parametrize("text", ["[", "7", ""])
def test_a_kubeconfig_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="kubeconfig: "):
        ClusterAccess.from_kubeconfig(text)
