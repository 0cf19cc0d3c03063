"""What the store keeps, refuses and tells its watchers."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from emulator.clock import Clock
from emulator.guest.objects import event_object, node_reference
from emulator.kube.errors import KubeError
from emulator.kube.selectors import Selection, selection
from emulator.kube.store import KubeStore
from tests.emulator.kube_world import pod


@pytest.fixture
def store() -> KubeStore:
    return KubeStore(Clock())


def ready(status: str = "True") -> dict[str, Any]:
    return {"metadata": {"name": "n1"}, "status": {"conditions": [condition(status)]}}


def condition(status: str) -> dict[str, str]:
    return {"type": "Ready", "status": status}


def running(store: KubeStore, name: str = "work", **spec: Any) -> dict[str, Any]:
    """Return a Pod that is bound to a node that exists."""
    store.create("nodes", ready())
    store.create("pods", pod(name, **spec))
    return store.bind("default", name, "n1")


def test_a_new_object_gets_a_uid_a_version_and_a_creation_time(store: KubeStore) -> None:
    made = store.create("pods", pod())
    assert made["metadata"]["uid"]
    assert int(made["metadata"]["resourceVersion"]) == store.version
    assert made["metadata"]["creationTimestamp"].endswith("Z")


def test_versions_only_grow_and_a_write_that_changes_nothing_makes_none(store: KubeStore) -> None:
    store.create("nodes", ready())
    before = store.version
    store.patch("nodes", None, "n1", {"metadata": {"labels": {"a": "b"}}})
    store.patch("nodes", None, "n1", {"metadata": {"labels": {"a": "b"}}})
    assert store.version == before + 1


def test_a_pod_gets_the_defaults_of_kubernetes(store: KubeStore) -> None:
    spec = store.create("pods", pod())["spec"]
    assert spec["restartPolicy"] == "Always"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("host:5000/app", "Always"),
        ("host:5000/app:latest", "Always"),
        ("host:5000/app:1", "IfNotPresent"),
        ("host:5000/app@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(store: KubeStore, image: str, policy: str) -> None:
    wanted = pod(containers=[{"name": "main", "image": image}])
    made = store.create("pods", wanted)
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_a_generated_name_starts_as_asked(store: KubeStore) -> None:
    wanted = pod() | {"metadata": {"generateName": "work-"}}
    names = {store.create("pods", wanted)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("work-") for name in names)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"metadata": {"name": "Work"}}, 422, "RFC 1123"),
        ({"metadata": {}}, 422, "name or generateName is required"),
        ({"spec": {"containers": []}}, 422, "spec.containers: Required value"),
        ({"spec": {"containers": [{"name": "main"}]}}, 422, "image: Required value"),
        ({"kind": "Node"}, 400, "v1 Node, not a v1 Pod"),
        ({"metadata": {"name": "a", "namespace": "none"}}, 404, 'namespaces "none" not found'),
    ],
    ids=["bad name", "no name", "no container", "no image", "other kind", "no such namespace"],
)
def test_a_wrong_pod_is_refused_with_the_field_named(
    store: KubeStore, change: dict[str, Any], code: int, words: str
) -> None:
    with pytest.raises(KubeError, match=words) as caught:
        store.create("pods", pod() | change)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "field", ["volumes", "initContainers", "affinity", "activeDeadlineSeconds", "hostPID"]
)
def test_what_the_node_agent_does_not_do_is_refused(store: KubeStore, field: str) -> None:
    with pytest.raises(KubeError, match=f"not emulated: Pod fields spec.{field}"):
        store.create("pods", pod("work", **{field: [1]}))


def test_a_second_object_of_a_name_is_refused(store: KubeStore) -> None:
    store.create("pods", pod())
    with pytest.raises(KubeError, match='pods "work" already exists'):
        store.create("pods", pod())


def test_an_update_of_an_old_version_is_a_conflict(store: KubeStore) -> None:
    old = store.create("nodes", ready())
    store.patch("nodes", None, "n1", {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(KubeError, match="the object has been modified") as caught:
        store.replace("nodes", None, "n1", old)
    assert caught.value.code == 409


def test_a_spec_write_leaves_the_status_alone_and_the_other_way_round(store: KubeStore) -> None:
    store.create("nodes", ready())
    changed = {"spec": {"providerID": "x"}, "status": {"phase": "y"}}
    after_spec = store.patch("nodes", None, "n1", changed)
    assert after_spec["spec"]["providerID"] == "x"
    assert "phase" not in after_spec["status"]
    changed["spec"]["providerID"] = "z"
    after_status = store.patch("nodes", None, "n1", changed, subresource="status")
    assert after_status["spec"]["providerID"] == "x"
    assert after_status["status"]["phase"] == "y"


def test_a_pod_spec_cannot_be_changed(store: KubeStore) -> None:
    store.create("pods", pod())
    with pytest.raises(KubeError, match="pod updates may not change fields"):
        store.patch("pods", "default", "work", {"spec": {"restartPolicy": "Never"}})


@pytest.mark.parametrize(
    ("status", "taint"),
    [
        ("True", None),
        ("False", "node.kubernetes.io/not-ready"),
        ("Unknown", "node.kubernetes.io/unreachable"),
    ],
)
def test_a_node_is_tainted_by_its_own_condition(
    store: KubeStore, status: str, taint: str | None
) -> None:
    node = store.create("nodes", ready(status))
    assert [each["key"] for each in node["spec"].get("taints", [])] == ([taint] if taint else [])


def test_deleting_a_running_pod_waits_for_its_node(store: KubeStore) -> None:
    running(store)
    pod_, gone = store.delete("pods", "default", "work")
    assert not gone
    assert pod_["metadata"]["deletionGracePeriodSeconds"] == 30
    _, gone = store.delete("pods", "default", "work", grace_s=0, uid=pod_["metadata"]["uid"])
    assert gone
    assert store.list("pods") == []


def test_asking_twice_for_deletion_never_lengthens_the_grace(store: KubeStore) -> None:
    running(store)
    first, _ = store.delete("pods", "default", "work", grace_s=5)
    second, _ = store.delete("pods", "default", "work", grace_s=60)
    assert second["metadata"]["deletionTimestamp"] == first["metadata"]["deletionTimestamp"]


def test_deleting_a_pod_without_a_node_is_immediate(store: KubeStore) -> None:
    store.create("pods", pod())
    assert store.delete("pods", "default", "work")[1]


def test_the_pods_of_a_node_go_with_it(store: KubeStore) -> None:
    running(store)
    store.delete("nodes", None, "n1")
    assert store.list("pods") == []


def test_a_wrong_uid_in_the_precondition_deletes_nothing(store: KubeStore) -> None:
    store.create("pods", pod())
    with pytest.raises(KubeError, match="precondition"):
        store.delete("pods", "default", "work", uid="another")
    assert store.list("pods")


def test_a_pod_is_bound_once(store: KubeStore) -> None:
    running(store)
    with pytest.raises(KubeError, match="already assigned to node n1"):
        store.bind("default", "work", "n2")


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ("app=a", ["a"]),
        ("app!=a", ["b"]),
        ("app in (a, b)", ["a", "b"]),
        ("app notin (a)", ["b"]),
        ("app", ["a", "b"]),
        ("!app", []),
        ("app==a,app!=b", ["a"]),
    ],
)
def test_label_selectors(store: KubeStore, labels: str, found: list[str]) -> None:
    for name in ("a", "b"):
        store.create("pods", pod(name))
    assert [each["metadata"]["name"] for each in store.list("pods", labels=labels)] == found


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("spec.nodeName=n1", ["work"]),
        ("spec.nodeName=", ["other"]),
        ("metadata.name=work,spec.nodeName!=", ["work"]),
        ("status.phase!=Succeeded,status.phase!=Failed", ["other", "work"]),
    ],
)
def test_field_selectors(store: KubeStore, fields: str, found: list[str]) -> None:
    running(store)
    store.create("pods", pod("other"))
    assert [each["metadata"]["name"] for each in store.list("pods", fields=fields)] == found


def test_events_are_found_by_reason_and_source(store: KubeStore) -> None:
    for reason in ("Pulled", "Pulling"):
        event = event_object(
            node_reference("n1"), "Normal", reason, "text", now=store.clock.now(), host="n1"
        )
        store.create("events", event)
    found = store.list("events", fields="reason=Pulled,source=kubelet,involvedObject.name=n1")
    assert [each["reason"] for each in found] == ["Pulled"]


@pytest.mark.parametrize("fields", ["spec.hostname=a", "nonsense"])
def test_a_field_without_an_index_is_refused(store: KubeStore, fields: str) -> None:
    with pytest.raises(KubeError, match="field"):
        store.list("pods", fields=fields)


async def collect(store: KubeStore, count: int, *arguments: Any) -> list[tuple[str, str]]:
    seen = []
    async for kind, obj in store.watch(*arguments):
        seen.append((kind, obj["metadata"]["name"]))
        if len(seen) == count:
            break
    return seen


async def test_a_watch_starts_with_what_is_there(store: KubeStore) -> None:
    store.create("pods", pod("a"))
    watch = asyncio.create_task(collect(store, 3, "pods"))
    await asyncio.sleep(0)
    store.create("pods", pod("b"))
    store.delete("pods", "default", "a")
    assert await watch == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_a_watch_from_a_version_replays_what_came_after_it(store: KubeStore) -> None:
    store.create("pods", pod("a"))
    since = store.version
    store.create("pods", pod("b"))
    assert await collect(store, 1, "pods", Selection(), since) == [("ADDED", "b")]


async def test_an_object_that_enters_or_leaves_a_selection_is_added_or_deleted(
    store: KubeStore,
) -> None:
    since = store.version
    running(store)
    store.patch("pods", "default", "work", {"metadata": {"labels": {"app": "other"}}})
    mine = selection("pods", None, "app=work", "spec.nodeName=n1")
    seen = await collect(store, 2, "pods", mine, since)
    assert seen == [("ADDED", "work"), ("DELETED", "work")]


async def test_a_watch_from_a_forgotten_version_is_gone(store: KubeStore) -> None:
    since = store.version
    store.create("pods", pod("a"))
    store.compact()
    with pytest.raises(KubeError, match="too old resource version") as caught:
        store.subscribe("pods", Selection(), since)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


async def test_a_short_history_forgets_by_itself() -> None:
    store = KubeStore(Clock(), history=2)
    since = store.version
    for name in ("a", "b", "c"):
        store.create("pods", pod(name))
    with pytest.raises(KubeError, match="too old"):
        store.subscribe("pods", Selection(), since)
    assert len(await collect(store, 2, "pods", Selection(), since + 1)) == 2


async def test_a_watcher_hears_of_writes_from_another_thread(store: KubeStore) -> None:
    watch = asyncio.create_task(collect(store, 1, "pods"))
    await asyncio.sleep(0)
    thread = threading.Thread(target=store.create, args=("pods", pod("a")))
    thread.start()
    assert await watch == [("ADDED", "a")]
    thread.join()


async def test_closing_the_store_ends_its_watches(store: KubeStore) -> None:
    watch = asyncio.create_task(collect(store, 1, "pods"))
    await asyncio.sleep(0)
    store.close()
    assert await watch == []


def test_the_clock_stamps_what_is_created(store: KubeStore) -> None:
    store.clock.advance(timedelta(days=1))
    tomorrow = store.clock.now().strftime("%Y-%m-%d")
    assert store.create("pods", pod())["metadata"]["creationTimestamp"].startswith(tomorrow)
