"""The objects of one cluster, their versions, and who watches them.

Kept in memory. Safe to call from any thread; watchers are told on their own event loop.
Not emulated: single objects at an older version (the newest is always given), dry runs.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

from emulator.clock import Clock
from emulator.guest.objects import read_time, time_text
from emulator.kube.admission import prepare_new, prepare_update
from emulator.kube.changes import Change, History, Subscription, Subscriptions
from emulator.kube.dependants import dependants
from emulator.kube.errors import already_exists, conflict, not_found
from emulator.kube.patches import patched
from emulator.kube.resources import BY_PLURAL, Obj, key_of
from emulator.kube.selectors import Selection, selection

FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})
T = TypeVar("T")
Objects = list[Obj]  # inside the class, ``list`` is the verb


class KubeStore:
    """One cluster's objects by kind, namespace and name.

    :param history: how many changes of its kind a watch can go back; before that is ``410 Gone``.
    """

    def __init__(self, clock: Clock, *, history: int = 4096) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        self._objects: dict[str, dict[tuple[str, str], Obj]] = {name: {} for name in BY_PLURAL}
        self._subscriptions = Subscriptions(self._lock)
        # Not from one: a client that kept a version of an earlier life is told 410, not silence.
        self._version = int(clock.now().timestamp())
        self._history = History(history, self._version)
        for name in FIRST_NAMESPACES:
            self.create("namespaces", {"metadata": {"name": name}})

    @property
    def version(self) -> int:
        return self._version

    def create(self, plural: str, obj: Obj, namespace: str | None = None) -> Obj:
        """Keep a new object and return it with its defaults, uid and version.

        :raises KubeError: 409 when it exists, 404 for an unknown namespace, 422 when invalid.
        """
        resource = BY_PLURAL[plural]
        obj = copy.deepcopy(obj)
        with self._lock:
            prepare_new(resource, obj, namespace, self.clock.now())
            key = key_of(resource, obj["metadata"].get("namespace"), obj["metadata"]["name"])
            if resource.namespaced and ("", key[0]) not in self._objects["namespaces"]:
                raise not_found("namespaces", key[0])
            if key in self._objects[plural]:
                raise already_exists(plural, key[1])
            return self._commit("ADDED", plural, obj)

    def get(self, plural: str, namespace: str | None, name: str) -> Obj:
        """Return an object.

        :raises KubeError: 404.
        """
        with self._lock:
            return copy.deepcopy(self._find(plural, namespace, name))

    def read(self, plural: str, namespace: str | None, name: str, reader: Callable[[Obj], T]) -> T:
        """Return what ``reader``, which must not change it, finds in an object: no copy is made.

        :raises KubeError: 404.
        """
        with self._lock:
            return reader(self._find(plural, namespace, name))

    def read_all(self, plural: str, reader: Callable[[Obj], T]) -> Iterable[T]:
        """Return what ``reader`` finds in each object of a kind, as ``read``."""
        with self._lock:
            return [reader(obj) for obj in self._objects[plural].values()]

    def list(
        self, plural: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Objects:
        """Return the objects of a namespace, or of all, that meet both selectors, by name."""
        return self.select(plural, selection(plural, namespace, labels, fields))[0]

    def select(
        self, plural: str, wanted: Selection, *, at: int | None = None
    ) -> tuple[Objects, int]:
        """Return the objects that match, and the version at which they were read.

        :param at: an older version that is still kept, to see the objects as they were then.
        """
        with self._lock:
            kept, version = self._objects[plural], self._version
            if at is not None:
                kept, version = self._history.as_of(at, plural, kept, version), at
            found = [kept[key] for key in sorted(kept) if wanted.matches(kept[key])]
            return copy.deepcopy(found), version

    def replace(
        self, plural: str, namespace: str | None, name: str, obj: Obj, *, subresource: str = ""
    ) -> Obj:
        """Update an object; a ``resourceVersion`` in it must be the newest.

        :raises KubeError: 404, 409 when someone else was faster, 422 when invalid.
        """
        with self._lock:
            old = self._find(plural, namespace, name)
            return self._update(plural, old, copy.deepcopy(obj), subresource)

    def patch(
        self,
        plural: str,
        namespace: str | None,
        name: str,
        patch: Any,
        *,
        media_type: str = "application/strategic-merge-patch+json",
        subresource: str = "",
        check: Callable[[Obj], None] | None = None,
    ) -> Obj:
        """Update an object by a patch, whoever else wrote to it.

        :param check: called with the patched object before it is kept; may raise or change it.
        """
        with self._lock:
            old = self._find(plural, namespace, name)
            new = patched(old, patch, media_type)
            if check:
                check(new)
            return self._update(plural, old, new, subresource)

    def delete(
        self,
        plural: str,
        namespace: str | None,
        name: str,
        *,
        grace_s: int | None = None,
        uid: str | None = None,
        version: str | None = None,
    ) -> tuple[Obj, bool]:
        """Remove an object, or ask its node to; return it and whether it is gone.

        A Pod on a living node stays, with a ``deletionTimestamp``, until the node's agent deletes
        it with no grace. A Pod of a node that does not exist goes at once.
        """
        with self._lock:
            old = self._find(plural, namespace, name)
            metadata = old["metadata"]
            for field, asked in (("uid", uid), ("resourceVersion", version)):
                if asked is not None and asked != metadata[field]:
                    why = f"the {field} in the precondition: {asked}, in the object: "
                    raise conflict(plural, name, why + str(metadata[field]))
            grace = self._grace(plural, old, grace_s)
            if grace:
                return self._mark_deleted(plural, old, grace), False
            if metadata.get("finalizers"):
                return self._mark_deleted(plural, old, 0), False
            return self._remove(plural, old), True

    def bind(self, namespace: str, name: str, node: str) -> Obj:
        """Give a Pod its node, once: the write that only a scheduler may do.

        :raises KubeError: 404, or 409 when it has one.
        """
        with self._lock:
            old = self._find("pods", namespace, name)
            if old["spec"].get("nodeName"):
                why = f"pod {name} is already assigned to node {old['spec']['nodeName']}"
                raise conflict("pods/binding", name, why)
            pod = copy.deepcopy(old)
            pod["spec"]["nodeName"] = node
            scheduled = {
                "type": "PodScheduled",
                "status": "True",
                "lastProbeTime": None,
                "lastTransitionTime": time_text(self.clock.now()),
            }
            pod["status"]["conditions"] = [scheduled]
            return self._commit("MODIFIED", "pods", pod)

    async def watch(
        self, plural: str, wanted: Selection | None = None, since: int | None = None
    ) -> AsyncIterator[tuple[str, Obj]]:
        """Yield ``(ADDED | MODIFIED | DELETED, object)`` for each change; see ``subscribe``."""
        with self.subscribe(plural, wanted or Selection(), since) as subscription:
            async for change in subscription:
                yield change

    def subscribe(self, plural: str, wanted: Selection, since: int | None) -> Subscription:
        """Start a watch on the running event loop; leave the context to end it.

        :param since: a version; without it the objects there now come first, as ADDED.
        :raises KubeError: 410 for a version whose changes are no longer kept.
        """
        with self._lock:
            missed = [] if since is None else self._history.since(since, plural, self._version)
            subscription = Subscription(plural, wanted, self._subscriptions)
            if since is None:
                there = self.select(plural, wanted)[0]
                for obj in there:
                    subscription.put("ADDED", obj)
                subscription.initial = len(there)
            for change in missed:
                subscription.offer(change)
            subscription.bookmark = self._version
            self._subscriptions.add(subscription)
            return subscription

    def mark(self, subscription: Subscription) -> None:
        """Queue a bookmark behind all changes so far: the watcher has seen these."""
        with self._lock:
            subscription.put("BOOKMARK", {"metadata": {"resourceVersion": str(self._version)}})

    def compact(self) -> None:
        """Forget all changes so far, as etcd does after minutes: older watches get 410."""
        with self._lock:
            self._history.forget(self._version)

    def close(self) -> None:
        """End every watch, so that a server can stop without waiting for its clients."""
        with self._lock:
            self._subscriptions.end()

    def _find(self, plural: str, namespace: str | None, name: str) -> Obj:
        key = key_of(BY_PLURAL[plural], namespace, name)
        try:
            return self._objects[plural][key]
        except KeyError:
            raise not_found(plural, name) from None

    def _update(self, plural: str, old: Obj, new: Obj, subresource: str) -> Obj:
        resource = BY_PLURAL[plural]
        name = old["metadata"]["name"]
        sent = new.get("metadata") or {}
        for field in ("resourceVersion", "uid"):
            if sent.get(field) and sent[field] != old["metadata"][field]:
                raise conflict(plural, name)
        new = prepare_update(resource, new, old, subresource)
        if new == old:
            return copy.deepcopy(old)  # as etcd: a write that changes nothing makes no version
        metadata = new["metadata"]
        leaving = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
        if leaving and not metadata.get("deletionGracePeriodSeconds"):
            return self._remove(plural, new)
        return self._commit("MODIFIED", plural, new)

    def _grace(self, plural: str, old: Obj, asked: int | None) -> int:
        if plural != "pods":
            return 0
        node = old["spec"].get("nodeName")
        lost = not node or ("", node) not in self._objects["nodes"]
        if lost or old["status"].get("phase") in TERMINAL_PHASES:
            return 0
        return int(old["spec"]["terminationGracePeriodSeconds"]) if asked is None else asked

    def _mark_deleted(self, plural: str, old: Obj, grace_s: int) -> Obj:
        moment = self.clock.now() + timedelta(seconds=grace_s)
        known = old["metadata"].get("deletionTimestamp")
        if known and read_time(known) <= moment:
            return copy.deepcopy(old)  # asked again: a grace is only ever shortened
        obj = copy.deepcopy(old)
        obj["metadata"]["deletionTimestamp"] = time_text(moment)
        obj["metadata"]["deletionGracePeriodSeconds"] = grace_s
        return self._commit("MODIFIED", plural, obj)

    def _remove(self, plural: str, old: Obj) -> Obj:
        gone = self._commit("DELETED", plural, copy.deepcopy(old))
        for kind, lost in list(dependants(self._objects, plural, old["metadata"]["name"])):
            self._remove(kind, lost)
        return gone

    def _commit(self, kind: str, plural: str, obj: Obj) -> Obj:
        metadata = obj["metadata"]
        key = key_of(BY_PLURAL[plural], metadata.get("namespace"), metadata["name"])
        old = self._objects[plural].get(key)
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        if kind == "DELETED":
            del self._objects[plural][key]
        else:
            self._objects[plural][key] = obj
        change = Change(self._version, kind, plural, obj, old)
        self._history.add(change)
        self._subscriptions.offer(change)
        return copy.deepcopy(obj)
