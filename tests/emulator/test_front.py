"""The HTTP front: what is not the API, the log of requests, the control routes."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from emulator.app import Handle
from emulator.lifetime import bound
from tests.emulator.signer import call
from tests.emulator.world import PUBLIC_KEY

FORM = {"content-type": "application/x-www-form-urlencoded"}


def logged(handle: Handle) -> list[dict[str, Any]]:
    lines = (handle.state_dir / "requests.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        pytest.param({"version": "1999-01-01"}, 404, "InvalidVersion", id="another version"),
        pytest.param({"path": "/x"}, 400, "UnsupportedHTTPMethod", id="another path"),
        pytest.param({"method": "DELETE"}, 400, "UnsupportedHTTPMethod", id="another method"),
        pytest.param({"body": b"{}"}, 400, "UnsupportedMediaType", id="a JSON body"),
        pytest.param({"body": b"\xff", "headers": FORM}, 400, "InvalidRequestBody", id="no UTF-8"),
    ],
)
def test_what_is_not_the_api_is_refused(
    quiet_cloud: Handle, how: dict[str, Any], status: int, code: str
) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions", **how)
    assert (answer.status_code, answer.json()["Code"]) == (status, code)


def test_a_body_of_megabytes_is_refused(quiet_cloud: Handle) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions", body=b"x" * (5 * 2**20))
    assert (answer.status_code, answer.json()["Code"]) == (413, "RequestBodyTooLarge")


def test_ecs_parameters_may_come_as_a_form(quiet_cloud: Handle) -> None:
    body = urlencode({"RegionId": "cn-hangzhou", "PageSize": "7"}).encode()
    answer = call(quiet_cloud.facts, "DescribeInstances", body=body, headers=FORM)
    assert (answer.status_code, answer.json()["PageSize"]) == (200, 7)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({".": "x"}, id="dots only"),
        pytest.param({"A." * 500 + "B": "x"}, id="five hundred levels"),
        pytest.param({"Tag": "x", "Tag.1.Key": "y"}, id="value and object"),
        pytest.param({"Tag.1.Key": "y", "Tag": "x"}, id="object and value"),
        pytest.param({"Tag.0.Key": "x"}, id="from zero"),
        pytest.param({"Tag.1": "x"}, id="a value for an object"),
        pytest.param({"Tag.٣.Key": "x"}, id="other digits"),
        pytest.param({"PageSize": "1" * 400}, id="four hundred digits"),
        pytest.param({"\ud7ff": "\x00"}, id="odd characters"),
    ],
)
def test_malformed_parameters_are_invalid(quiet_cloud: Handle, query: dict[str, str]) -> None:
    query = {"RegionId": "cn-hangzhou", **query}
    answer = call(quiet_cloud.facts, "DescribeInstances", query)
    assert (answer.status_code, answer.json()["Code"]) == (400, "InvalidParameter")


def test_a_parameter_twice_is_invalid(quiet_cloud: Handle) -> None:
    url = f"http://{quiet_cloud.facts['ecs_endpoint']}/?RegionId=a&RegionId=b"
    answer = requests.post(url, timeout=5)
    assert answer.json()["Code"] == "IncompleteSignature", "the signature comes first"


def test_each_call_is_logged_with_its_outcome(cloud_handle: Handle) -> None:
    query = {"RegionId": "cn-hangzhou", "KeyPairName": "kp", "PublicKeyBody": PUBLIC_KEY}
    good = call(cloud_handle.facts, "ImportKeyPair", query)
    bad = call(cloud_handle.facts, "ImportKeyPair", query)
    first, second = logged(cloud_handle)
    assert set(first) == {
        "time",
        "action",
        "version",
        "method",
        "path",
        "query",
        "body",
        "status",
        "code",
        "request_id",
    }
    assert (first["status"], first["code"], first["query"]) == (200, "", query)
    assert (second["status"], second["code"]) == (400, "KeyPair.AlreadyExist")
    assert [first["request_id"], second["request_id"]] == [
        good.json()["RequestId"],
        bad.json()["RequestId"],
    ]


def test_no_secret_is_logged(cloud_handle: Handle) -> None:
    facts = cloud_handle.facts
    call(facts, "RunInstances", {"Password": "S3cret-query", "RegionId": "cn-hangzhou"})
    path = f"/clusters/{facts['cluster_id']}/nodepools"
    body = json.dumps({"scaling_group": {"login_password": "S3cret-body"}}).encode()
    call(facts, "CreateClusterNodePool", version="2015-12-15", path=path, body=body)
    call(facts, "CreateClusterNodePool", version="2015-12-15", path=path, body=b"S3cret-text")
    user_config = f"/k8s/{facts['cluster_id']}/user_config"
    answer = call(
        facts,
        "DescribeClusterUserKubeconfig",
        version="2015-12-15",
        method="GET",
        path=user_config,
    )
    assert answer.status_code == 200
    text = (cloud_handle.state_dir / "requests.jsonl").read_text()
    assert len(text.splitlines()) == 4
    for secret in ("S3cret", facts["access_key_secret"], "Signature", "token"):
        assert secret not in text


def test_the_control_route_lists_everything_with_its_tags(cloud_handle: Handle) -> None:
    state = requests.get(f"{cloud_handle.facts['control_url']}/state", timeout=5).json()
    kinds = [each["kind"] for each in state["resources"]]
    assert kinds == ["instance", "disk", "disk", "key_pair", "cluster", "node_pool", "node"]
    for each in state["resources"]:
        assert {"kind", "id", "name", "tags", "created", "state"} <= set(each)
    assert state["failures"] == []


def test_the_control_route_moves_the_clock(cloud_handle: Handle) -> None:
    url = f"{cloud_handle.facts['control_url']}/clock"
    before = cloud_handle.cloud.now()
    requests.post(url, json={"advance_s": 3600}, timeout=5).raise_for_status()
    assert (cloud_handle.cloud.now() - before).total_seconds() >= 3600


@pytest.mark.parametrize(
    "body", [{}, [], {"advance_s": -1}, {"advance_s": "x"}, {"advance_s": 1e300}], ids=str
)
def test_the_clock_only_moves_forward(quiet_cloud: Handle, body: Any) -> None:
    url = f"{quiet_cloud.facts['control_url']}/clock"
    assert requests.post(url, json=body, timeout=5).status_code == 400


def test_the_control_route_says_what_is_simulated(quiet_cloud: Handle) -> None:
    base = quiet_cloud.facts["control_url"]
    simulated = requests.get(f"{base}/simulated", timeout=5).json()
    assert simulated == quiet_cloud.facts["simulated"]
    assert "paper_image_s" in simulated
    settings = requests.get(f"{base}/settings", timeout=5).json()
    assert settings["max_node_pools"] == 20


def test_sockets_send_short_answers_at_once() -> None:
    with bound(0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
