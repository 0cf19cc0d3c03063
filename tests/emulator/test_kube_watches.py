"""Which objects a list or a watch is about, and what a watcher hears, in order."""

from __future__ import annotations

import asyncio
import threading
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


def running(store: KubeStore) -> None:
    """Make a Pod that is bound to a node."""
    store.create("nodes", {"metadata": {"name": "n1"}})
    store.create("pods", pod())
    store.bind("default", "work", "n1")


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
