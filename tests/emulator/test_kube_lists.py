"""Pages of a list, bookmarks of a watch and versions that are gone, by the official client."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest

from emulator.kube import watching
from tests.emulator.kube_world import KubeWorld, core_api, kube_world, pod

pytestmark = pytest.mark.slow
ELSEWHERE = "n1"  # bound already, so that the scheduler leaves them alone


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with kube_world(tmp_path_factory.mktemp("kube")) as served:
        yield served


@pytest.fixture
def world(shared: KubeWorld) -> Iterator[KubeWorld]:
    yield shared
    store = shared.cluster.store
    for each in store.list("pods"):
        store.delete("pods", "default", each["metadata"]["name"])


def add(world: KubeWorld, *names: str) -> None:
    for name in names:
        world.cluster.store.create("pods", pod(name, nodeName=ELSEWHERE))


def names(listed: Any) -> list[str]:
    return [each.metadata.name for each in listed.items]


def test_all_pages_show_the_state_of_the_first(world: KubeWorld) -> None:
    add(world, "a", "b", "c", "d")
    with core_api(world) as core:
        first = core.list_namespaced_pod("default", limit=2)
        assert (names(first), first.metadata.remaining_item_count) == (["a", "b"], 2)
        add(world, "bb", "e")
        world.cluster.store.delete("pods", "default", "c")
        label = {"metadata": {"labels": {"app": "changed"}}}
        world.cluster.store.patch("pods", "default", "d", label)
        rest = core.list_namespaced_pod("default", limit=9, _continue=first.metadata._continue)
        assert names(rest) == ["c", "d"]
        assert rest.items[1].metadata.labels == {"app": "d"}
        assert rest.metadata.resource_version == first.metadata.resource_version
        assert rest.metadata._continue is None
        assert names(core.list_namespaced_pod("default")) == ["a", "b", "bb", "d", "e"]


def test_a_page_of_a_selection_does_not_count_what_is_left(world: KubeWorld) -> None:
    add(world, "a", "b")
    with core_api(world) as core:
        first = core.list_namespaced_pod("default", limit=1, label_selector="app in (a,b)")
        assert first.metadata.remaining_item_count is None
        rest = core.list_namespaced_pod(
            "default",
            limit=1,
            label_selector="app in (a,b)",
            _continue=first.metadata._continue,
        )
        assert names(rest) == ["b"]


def test_an_expired_continue_token_is_gone_and_says_how_to_go_on(world: KubeWorld) -> None:
    add(world, "a", "b", "c")
    with core_api(world) as core:
        token = core.list_namespaced_pod("default", limit=1).metadata._continue
        add(world, "d")
        world.cluster.store.compact()
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.list_namespaced_pod("default", limit=1, _continue=token)
        status = json.loads(caught.value.body or "")
        assert (caught.value.status, status["reason"]) == (410, "Expired")
        assert "continue parameter is too old" in status["message"]
        on = status["metadata"]["continue"]
        rest = core.list_namespaced_pod("default", _continue=on)
        assert names(rest) == ["b", "c", "d"], "inconsistent, and said to be so"


def test_kubectl_lists_in_pages(world: KubeWorld) -> None:
    add(world, *(f"p{number:02}" for number in range(12)))
    shown = world.kubectl("get", "pods", "-o", "name", "--chunk-size=5").split()
    assert shown == [f"pod/p{number:02}" for number in range(12)]


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("x", id="not base64"),
        pytest.param(base64.urlsafe_b64encode(b"1").decode(), id="a number"),
        pytest.param(base64.urlsafe_b64encode(b'["a"]').decode(), id="too short"),
        pytest.param(base64.urlsafe_b64encode(b'[null,"a","b"]').decode(), id="no version"),
        pytest.param(base64.urlsafe_b64encode(b"[" * 5000).decode(), id="deep"),
        pytest.param(base64.urlsafe_b64encode(b'[1e400,"a","b"]').decode(), id="no number"),
        pytest.param("é", id="not ASCII"),
    ],
)
def test_a_continue_token_of_no_page_is_refused(world: KubeWorld, token: str) -> None:
    with core_api(world) as core:
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.list_namespaced_pod("default", _continue=token)
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param({"resource_version": "²"}, 400, id="a version of odd digits"),
        pytest.param({"resource_version": "9" * 5000}, 400, id="a version of 5,000 digits"),
        pytest.param({"resource_version": "9" * 15}, 504, id="a version to come"),
        pytest.param({"resource_version_match": "Exact"}, 400, id="exactly no version"),
    ],
)
def test_a_number_that_is_none_is_refused(
    world: KubeWorld, query: dict[str, str], status: int
) -> None:
    with core_api(world) as core:
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.list_namespaced_pod("default", **query)
        assert caught.value.status == status


def test_a_list_at_an_exact_version_is_as_it_was_until_it_is_gone(world: KubeWorld) -> None:
    exact = {"resource_version_match": "Exact"}
    add(world, "a")
    with core_api(world) as core:
        version = core.list_namespaced_pod("default").metadata.resource_version
        add(world, "b")
        then = core.list_namespaced_pod("default", resource_version=version, **exact)
        assert (names(then), then.metadata.resource_version) == (["a"], version)
        newer = core.list_namespaced_pod(
            "default", resource_version=version, resource_version_match="NotOlderThan"
        )
        assert names(newer) == ["a", "b"]
        world.cluster.store.compact()
        with pytest.raises(kubernetes.client.ApiException) as caught:
            core.list_namespaced_pod("default", resource_version=version, **exact)
        assert (caught.value.status, caught.value.reason) == (410, "Gone")


def watched(core: Any, **query: Any) -> list[tuple[str, str]]:
    watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]  # has no types
    seen = []
    for event in watch.stream(core.list_namespaced_pod, "default", **query):
        metadata = event["raw_object"]["metadata"]
        seen.append((event["type"], metadata.get("name") or metadata["resourceVersion"]))
    return seen


def test_a_bookmark_ends_a_watch_that_asks_for_them(world: KubeWorld) -> None:
    with core_api(world) as core:
        version = core.list_namespaced_pod("default").metadata.resource_version
        add(world, "a")
        world.cluster.store.create("namespaces", {"metadata": {"name": f"other-{version}"}})
        newest = str(world.cluster.store.version)
        query = {"resource_version": version, "timeout_seconds": 1}
        seen = watched(core, allow_watch_bookmarks=True, **query)
        assert seen == [("ADDED", "a"), ("BOOKMARK", newest)], "also of what it did not watch"
        assert watched(core, **query) == [("ADDED", "a")]
        assert int(newest) > int(version) + 1


def test_bookmarks_come_now_and_then(world: KubeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_EVERY_S", 0.2)
    with core_api(world) as core:
        version = core.list_namespaced_pod("default").metadata.resource_version
        seen = watched(
            core, resource_version=version, timeout_seconds=1, allow_watch_bookmarks=True
        )
        assert len(seen) > 2
        assert set(seen) == {("BOOKMARK", version)}
