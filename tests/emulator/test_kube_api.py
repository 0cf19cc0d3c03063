"""The API server over HTTPS, word for word: codes, Status objects, tables, watches, pages."""

from __future__ import annotations

import json
import ssl
import stat
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.emulator.kube_world import KubeWorld, kube_world, pod

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with kube_world(tmp_path_factory.mktemp("kube")) as world:
        yield world


@pytest.fixture
def world(served: KubeWorld) -> Iterator[KubeWorld]:
    yield served
    store = served.cluster.store
    for plural in ("nodes", "pods", "events"):  # a node takes its Pods with it
        for obj in store.list(plural):
            metadata = obj["metadata"]
            store.delete(plural, metadata.get("namespace"), metadata["name"], grace_s=0)


@pytest.fixture
def http(world: KubeWorld) -> Iterator[httpx.Client]:
    with client(world, world.cluster.admin_token) as opened:
        yield opened


def client(world: KubeWorld, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    tls = ssl.create_default_context(cafile=world.cluster.pki.ca_file)
    return httpx.Client(base_url=world.url, verify=tls, headers=headers, timeout=10)


@pytest.mark.parametrize("token", ["", "wrong"])
def test_without_a_valid_token_the_answer_is_401(world: KubeWorld, token: str) -> None:
    with client(world, token) as anonymous:
        reply = anonymous.get("/api/v1/nodes")
    assert reply.status_code == 401
    assert reply.json()["reason"] == "Unauthorized"


def test_health_and_version_are_open_to_all(world: KubeWorld) -> None:
    with client(world, "") as anonymous:
        assert anonymous.get("/healthz").text == "ok"
        assert anonymous.get("/version").json()["gitVersion"] == "v1.32.1-aliyun.1"


def test_the_key_of_the_server_is_readable_by_its_owner_only(world: KubeWorld) -> None:
    assert stat.S_IMODE(world.cluster.pki.key_file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", f"{PODS}/none", 404, "NotFound"),
        ("GET", "/api/v1/services", 404, "NotFound"),
        ("GET", "/apis/apps/v1/deployments", 404, "NotFound"),
        ("GET", f"{PODS}/work/log", 404, "NotFound"),
        ("PUT", PODS, 405, "MethodNotAllowed"),
        ("PATCH", PODS, 405, "MethodNotAllowed"),
        ("GET", f"{PODS}?fieldSelector=spec.color%3Dred", 400, "BadRequest"),
        ("GET", f"{PODS}?resourceVersion=abc", 400, "BadRequest"),
        ("GET", f"{PODS}?resourceVersion=99999999999999", 504, "Timeout"),
        ("GET", f"{PODS}?limit=x", 400, "BadRequest"),
        ("GET", f"{PODS}?limit=-1", 400, "BadRequest"),
        ("GET", f"{PODS}?limit=%C2%B2", 400, "BadRequest"),
        ("GET", f"{PODS}?limit={'9' * 5000}", 400, "BadRequest"),
        ("GET", f"{PODS}?continue=x", 400, "BadRequest"),
        ("GET", f"{PODS}?resourceVersion=1&resourceVersionMatch=Exact", 410, "Expired"),
    ],
)
def test_what_is_not_there_or_not_right_is_a_status_object(
    http: httpx.Client, method: str, path: str, code: int, reason: str
) -> None:
    reply = http.request(method, path, json={} if method == "PUT" else None)
    body = reply.json()
    assert (reply.status_code, body["code"], body["reason"]) == (code, code, reason)
    assert (body["kind"], body["status"]) == ("Status", "Failure")


def test_not_found_names_the_object_as_kubernetes_does(http: httpx.Client) -> None:
    body = http.get(f"{PODS}/none").json()
    assert body["message"] == 'pods "none" not found'
    assert body["details"] == {"name": "none", "kind": "pods"}


def test_conflict_and_already_exists_are_told_apart(http: httpx.Client) -> None:
    made = http.post(PODS, json=pod()).json()
    assert http.post(PODS, json=pod()).json()["reason"] == "AlreadyExists"
    http.patch(
        f"{PODS}/work",
        json={"metadata": {"labels": {"a": "b"}}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    reply = http.put(f"{PODS}/work", json=made)
    assert (reply.status_code, reply.json()["reason"]) == (409, "Conflict")


def test_an_invalid_object_has_its_causes_listed(http: httpx.Client) -> None:
    reply = http.post(PODS, json=pod(restartPolicy="Sometimes"))
    assert reply.status_code == 422
    assert reply.json()["details"]["causes"] == [
        {
            "reason": "FieldValueNotSupported",
            "message": 'Unsupported value: "Sometimes": supported values: "Always", "OnFailure",'
            ' "Never"',
            "field": "spec.restartPolicy",
        }
    ]


def test_an_unknown_field_is_refused_warned_of_or_dropped(http: httpx.Client) -> None:
    wrong = pod(colour="red")
    strict = http.post(f"{PODS}?fieldValidation=Strict", json=wrong)
    assert strict.status_code == 400
    assert 'unknown field "spec.colour"' in strict.json()["message"]
    warned = http.post(PODS, json=wrong)
    assert warned.status_code == 201
    assert "colour" not in warned.json()["spec"]
    assert 'unknown field \\"spec.colour\\"' in warned.headers["Warning"]
    ignored = http.post(f"{PODS}?fieldValidation=Ignore", json=wrong | {"metadata": {"name": "b"}})
    assert "Warning" not in ignored.headers


def test_a_field_of_a_wrong_type_is_refused_by_name(http: httpx.Client) -> None:
    reply = http.post(PODS, json=pod(hostNetwork="yes", containers={"a": 1}))
    assert reply.status_code == 400
    assert "spec.hostNetwork is a str, not a bool" in reply.json()["message"]
    assert "spec.containers is a dict, not a list" in reply.json()["message"]


@pytest.mark.parametrize(
    ("body", "media_type", "code"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"k8s\0", "application/vnd.kubernetes.protobuf", 415),
    ],
    ids=["not JSON", "not an object", "protobuf"],
)
def test_a_body_that_cannot_be_read_is_refused(
    http: httpx.Client, body: bytes, media_type: str, code: int
) -> None:
    reply = http.post(PODS, content=body, headers={"Content-Type": media_type})
    assert reply.status_code == code


def test_a_body_in_yaml_is_read(http: httpx.Client) -> None:
    text = "metadata: {name: work}\nspec: {containers: [{name: main, image: 'r/a:1'}]}\n"
    reply = http.post(PODS, content=text, headers={"Content-Type": "application/yaml"})
    assert reply.status_code == 201


def test_a_dry_run_is_refused_rather_than_done(http: httpx.Client) -> None:
    reply = http.post(f"{PODS}?dryRun=All", json=pod())
    assert (reply.status_code, reply.json()["reason"]) == (501, "EmulatorUnsupported")
    assert http.get(PODS).json()["items"] == []


def test_a_table_is_served_when_it_is_asked_for_first(http: httpx.Client) -> None:
    http.post(PODS, json=pod())
    table = http.get(PODS, headers={"Accept": TABLE}).json()
    assert table["kind"] == "Table"
    assert [each["name"] for each in table["columnDefinitions"]][:4] == [
        "Name",
        "Ready",
        "Status",
        "Restarts",
    ]
    assert table["rows"][0]["cells"][:3] == ["work", "0/1", "Pending"]
    plain = http.get(PODS, headers={"Accept": f"application/json,{TABLE}"}).json()
    assert plain["kind"] == "PodList"


def test_a_long_list_comes_in_pages(http: httpx.Client) -> None:
    for name in ("a", "b", "c"):
        http.post(PODS, json=pod(name))
    first = http.get(f"{PODS}?limit=2").json()
    assert [each["metadata"]["name"] for each in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 1
    rest = http.get(PODS, params={"limit": 2, "continue": first["metadata"]["continue"]}).json()
    assert [each["metadata"]["name"] for each in rest["items"]] == ["c"]
    assert "continue" not in rest["metadata"]


def watch(http: httpx.Client, count: int, **query: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    parameters = {"watch": "true", "timeoutSeconds": "5", **query}
    with http.stream("GET", PODS, params=parameters) as reply:
        for line in reply.iter_lines():
            events.append(json.loads(line))
            if len(events) == count:
                break
    return events


def test_a_watch_from_a_version_that_is_forgotten_says_410(
    world: KubeWorld, http: httpx.Client
) -> None:
    since = http.get(PODS).json()["metadata"]["resourceVersion"]
    http.post(PODS, json=pod())
    world.cluster.store.compact()
    [event] = watch(http, 1, resourceVersion=since)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_a_watch_ends_when_its_time_is_over(http: httpx.Client) -> None:
    assert watch(http, 1, timeoutSeconds="1") == []


def test_a_watch_with_initial_events_marks_their_end(http: httpx.Client) -> None:
    http.post(PODS, json=pod())
    added, bookmark = watch(
        http,
        2,
        sendInitialEvents="true",
        allowWatchBookmarks="true",
        resourceVersionMatch="NotOlderThan",
    )
    assert (added["type"], bookmark["type"]) == ("ADDED", "BOOKMARK")
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_deleting_a_collection_deletes_what_the_selector_names(http: httpx.Client) -> None:
    for name in ("a", "b"):
        http.post(PODS, json=pod(name))
    assert http.delete(f"{PODS}?labelSelector=app%3Da").json()["status"] == "Success"
    left = http.get(PODS).json()["items"]
    assert [each["metadata"]["name"] for each in left] == ["b"]


def test_a_binding_gives_a_pod_its_node(world: KubeWorld, http: httpx.Client) -> None:
    http.post(PODS, json=pod())
    missing = http.post(f"{PODS}/work/binding", json={"target": {"kind": "Node", "name": "no"}})
    assert missing.status_code == 404
    name = world.add_node(problem="not yet")["metadata"]["name"]
    http.post(f"{PODS}/work/binding", json={"target": {"kind": "Node", "name": name}})
    assert http.get(f"{PODS}/work").json()["spec"]["nodeName"] == name


def test_a_node_may_change_itself_and_its_pods_only(world: KubeWorld, http: httpx.Client) -> None:
    name = world.add_node()["metadata"]["name"]
    other = world.add_node("cn-hangzhou.127.0.0.8", problem="no")["metadata"]["name"]
    http.post(PODS, json=pod("mine", nodeName=name))
    http.post(PODS, json=pod("others", nodeName=other))
    patch = {"metadata": {"labels": {"a": "b"}}}
    headers = {"Content-Type": "application/merge-patch+json"}
    token = world.cluster.node_token(name)
    with client(world, token) as node:
        codes = [
            node.patch(path, json=patch, headers=headers).status_code
            for path in (
                f"/api/v1/nodes/{name}",
                f"/api/v1/nodes/{other}",
                f"{PODS}/mine/status",
                f"{PODS}/others/status",
                f"{PODS}/mine",
            )
        ]
        assert codes == [200, 403, 200, 403, 403]
        assert node.post(PODS, json=pod("new")).status_code == 403
        assert node.delete(f"{PODS}/others").status_code == 403
        world.cluster.revoke_node(name)
        assert node.get("/api/v1/nodes").status_code == 401


def test_discovery_lists_what_is_served(http: httpx.Client) -> None:
    assert http.get("/api").json()["versions"] == ["v1"]
    assert http.get("/apis").json()["groups"][0]["name"] == "coordination.k8s.io"
    kinds = {each["name"] for each in http.get("/api/v1").json()["resources"]}
    assert {"nodes", "nodes/status", "pods", "pods/binding", "events", "namespaces"} <= kinds
    document = http.get("/openapi/v3/api/v1").json()
    assert "V1Pod" in document["components"]["schemas"]
