"""What the store keeps, refuses and tells its watchers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from emulator.clock import Clock
from emulator.guest.objects import event_object
from emulator.kube.errors import KubeError
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


def test_the_clock_stamps_what_is_created(store: KubeStore) -> None:
    store.clock.advance(timedelta(days=1))
    tomorrow = store.clock.now().strftime("%Y-%m-%d")
    assert store.create("pods", pod())["metadata"]["creationTimestamp"].startswith(tomorrow)


def test_an_object_with_a_finalizer_stays_until_it_is_taken_off(store: KubeStore) -> None:
    wanted = pod() | {"metadata": {"name": "work", "finalizers": ["a/b"]}}
    store.create("pods", wanted)
    _, gone = store.delete("pods", "default", "work")
    assert not gone
    off = {"$deleteFromPrimitiveList/finalizers": ["a/b"]}
    store.patch("pods", "default", "work", {"metadata": off})
    assert store.list("pods") == []


def test_a_namespace_takes_what_is_in_it_along(store: KubeStore) -> None:
    store.create("namespaces", {"metadata": {"name": "mine"}})
    store.create("pods", pod(), "mine")
    store.delete("namespaces", None, "mine")
    assert store.list("pods") == []


def test_an_event_belongs_to_the_namespace_of_its_object(store: KubeStore) -> None:
    reference = {"kind": "Pod", "name": "a", "namespace": "kube-system"}
    event = event_object(reference, "Normal", "Pulled", "", now=store.clock.now())
    assert store.create("events", event)["metadata"]["namespace"] == "kube-system"
    event["metadata"]["namespace"] = "default"
    with pytest.raises(KubeError, match=r"does not match event\.namespace"):
        store.create("events", event)
    with pytest.raises(KubeError, match="involvedObject: Required value"):
        store.create("events", {"metadata": {"name": "a"}})


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"spec": {"taints": [{"key": "a"}]}}, r"spec\.taints\[0\]\.effect: Required value"),
        ({"status": {"allocatable": {"cpu": "x"}}}, r"status\.allocatable\.cpu: Invalid value"),
        ({"status": {"conditions": [{}]}}, r"status\.conditions\[0\]\.type: Required value"),
    ],
)
def test_a_node_that_a_scheduler_could_not_read_is_refused(
    store: KubeStore, part: dict[str, Any], words: str
) -> None:
    with pytest.raises(KubeError, match=words):
        store.create("nodes", {"metadata": {"name": "n1"}, **part})
