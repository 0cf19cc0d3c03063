"""Whatever a client sends, the answer is an object or a Status, and the scheduler lives on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator.clock import Clock
from emulator.kube.api import kube_app
from emulator.kube.authorization import ADMIN
from emulator.kube.errors import KubeError
from emulator.kube.patches import PATCH_TYPES
from emulator.kube.scheduler import Scheduler
from emulator.kube.schema import prune
from emulator.kube.store import KubeStore
from emulator.kube.tables import table

CONTAINER_A = {"name": "a", "image": "r/a:1"}
SCALARS = st.none() | st.booleans() | st.integers(-5, 10**12) | st.text(max_size=8)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
QUANTITY = st.sampled_from(["1", "500m", "1Gi", "x", "", "-1", 2, 0.5]) | ANY
NAME = st.sampled_from(["a", "b", "a.b", "c", "True", "NoSchedule", "A", ""])
STRINGS = st.dictionaries(st.sampled_from(["a", "b"]), NAME)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects with some of the fields, and now and then something else altogether."""
    whole = st.fixed_dictionaries({}, optional=fields)
    return st.integers(0, 15).flatmap(lambda dice: whole if dice else ANY)


RESOURCES = some(
    limits=st.dictionaries(st.sampled_from(["cpu", "memory"]), QUANTITY),
    requests=st.dictionaries(st.sampled_from(["cpu", "memory"]), QUANTITY),
)
CONTAINER = some(name=NAME, image=NAME, resources=RESOURCES, env=ANY, imagePullPolicy=NAME)
TOLERATION = some(key=NAME, operator=st.sampled_from(["Exists", "Equal"]), effect=NAME, value=NAME)
POD = some(
    metadata=st.fixed_dictionaries({"name": NAME}, optional={"labels": STRINGS}),
    spec=some(
        containers=st.lists(CONTAINER, max_size=2) | ANY,
        tolerations=st.lists(TOLERATION, max_size=2) | ANY,
        nodeSelector=STRINGS,
        restartPolicy=NAME,
        nodeName=NAME,
        terminationGracePeriodSeconds=ANY,
    ),
    status=ANY,
)
NODE = some(
    metadata=st.fixed_dictionaries({"name": NAME}, optional={"labels": STRINGS}),
    spec=some(taints=st.lists(some(key=NAME, effect=NAME, value=NAME)) | ANY, unschedulable=ANY),
    status=some(
        conditions=st.lists(some(type=st.just("Ready") | NAME, status=NAME)) | ANY,
        allocatable=st.dictionaries(st.sampled_from(["cpu", "memory", "pods"]), QUANTITY),
    ),
)


def sent(store: KubeStore, kind: str, plural: str, obj: Any) -> None:
    """Do what the API server does with a body."""
    if not isinstance(obj, dict):
        return
    try:
        prune(kind, obj)
        store.create(plural, obj)
    except KubeError:
        return


@settings(max_examples=300, deadline=None)
@given(pod=POD, node=NODE)
def test_any_pod_and_any_node_are_kept_or_refused(pod: Any, node: Any) -> None:
    store = KubeStore(Clock())
    sent(store, "Node", "nodes", node)
    sent(store, "Pod", "pods", pod)
    Scheduler(store).schedule_waiting()
    for plural in ("nodes", "pods"):
        table(plural, store.list(plural), store.clock.now(), {}, "Object")


STATUS = some(
    conditions=st.lists(some(type=NAME, status=NAME), max_size=2),
    containerStatuses=st.lists(
        some(
            name=NAME,
            ready=st.booleans(),
            restartCount=st.integers(0, 3),
            state=some(waiting=some(reason=NAME), terminated=some(exitCode=st.integers(0, 3))),
            lastState=some(terminated=some(finishedAt=NAME, reason=NAME)),
        ),
        max_size=2,
    ),
    reason=NAME,
    phase=NAME,
)
OPERATION = some(
    op=st.sampled_from(["add", "remove", "replace", "test", "copy", "move", "x"]),
    path=st.sampled_from(["/metadata/labels", "/status/conditions/0", "/spec", "", "/a~1b", "x"]),
    value=ANY,
)


@settings(max_examples=300, deadline=None)
@given(
    patch=some(status=STATUS, metadata=some(labels=STRINGS)) | st.lists(OPERATION, max_size=2),
    media_type=st.sampled_from(PATCH_TYPES),
)
@example(
    patch=[{"op": "add", "path": "", "value": {}}], media_type="application/json-patch+json"
)  # took the status away, and a reader of it ended the cloud
def test_any_patch_is_applied_or_refused(patch: Any, media_type: str) -> None:
    store = KubeStore(Clock())
    store.create("nodes", {"metadata": {"name": "a"}})
    store.create("pods", {"metadata": {"name": "a"}, "spec": {"containers": [CONTAINER_A]}})
    for kind, plural in (("Node", "nodes"), ("Pod", "pods")):
        for subresource in ("", "status"):
            with contextlib.suppress(KubeError):
                store.patch(
                    plural,
                    "default",
                    "a",
                    patch,
                    media_type=media_type,
                    subresource=subresource,
                    check=partial(_check, kind),
                )
        table(plural, store.list(plural), store.clock.now(), {}, "Object")
    Scheduler(store).schedule_waiting()


def _check(kind: str, obj: dict[str, Any]) -> None:
    prune(kind, obj)


PATHS = st.sampled_from(
    [
        "/api/v1/pods",
        "/api/v1/namespaces/default/pods",
        "/api/v1/namespaces/default/pods/a",
        "/api/v1/namespaces/default/pods/a/status",
        "/api/v1/namespaces/default/pods/a/binding",
        "/api/v1/namespaces",
        "/api/v1/nodes/a",
        "/apis/coordination.k8s.io/v1/leases",
        "/apis//v1",
        "/api/v1/namespaces//pods",
    ]
)
TEXT = st.text(max_size=12) | st.sampled_from(
    ["0", "1", "-1", "²", "9" * 5000, "true", "a=b", "a in (b", "!", "a!=b,", "WzEsIiIsImEiXQ=="]
)
QUERY = st.dictionaries(
    st.sampled_from(
        [
            "limit",
            "continue",
            "resourceVersion",
            "resourceVersionMatch",
            "labelSelector",
            "fieldSelector",
            "fieldValidation",
            "gracePeriodSeconds",
            "dryRun",
            "includeObject",
            "propagationPolicy",
        ]
    ),
    TEXT,
    max_size=3,
)
BODY = ANY.map(lambda value: json.dumps(value).encode()) | POD.map(
    lambda value: json.dumps(value).encode()
)
MEDIA = st.sampled_from(["", "application/json", "application/yaml", *PATCH_TYPES])
ACCEPT = st.sampled_from(["", "*/*", "application/json;as=Table;v=v1;g=meta.k8s.io", ";;,=,"])


@pytest.mark.slow
def test_any_request_is_answered_with_json_and_never_with_a_500() -> None:
    store = KubeStore(Clock())
    store.create("nodes", {"metadata": {"name": "a"}})
    store.create("pods", {"metadata": {"name": "a"}, "spec": {"containers": [CONTAINER_A]}})
    app = kube_app(store, {"token": ADMIN})
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    token = {"Authorization": "Bearer token"}
    client = httpx.AsyncClient(transport=transport, base_url="https://kube.test", headers=token)
    loop = asyncio.new_event_loop()

    @settings(max_examples=400, deadline=None, derandomize=True)
    @given(
        method=st.sampled_from(["GET", "GET", "POST", "PUT", "PATCH", "DELETE"]),
        path=PATHS,
        query=QUERY,
        body=BODY | st.binary(max_size=20),
        media=MEDIA,
        accept=ACCEPT,
    )
    def check(**sent: Any) -> None:
        reply = loop.run_until_complete(
            client.request(
                sent["method"],
                sent["path"],
                params=sent["query"],
                content=b"" if sent["method"] == "GET" else sent["body"],
                headers={"Content-Type": sent["media"], "Accept": sent["accept"]},
            )
        )
        assert reply.status_code != 500, f"{sent}: {reply.text}"
        assert reply.json()["kind"]

    check()
    loop.run_until_complete(client.aclose())
    loop.close()
