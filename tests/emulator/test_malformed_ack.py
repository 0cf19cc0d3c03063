"""What no SDK would send to ACK: each refused with a code and in ACK's own form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emulator.app import Handle
from tests.emulator.signer import call
from tests.emulator.test_malformed import ABSENT, ACK_KEYS, INVALID, MISSING, refused

VERSION = "2015-12-15"
JSON = {"content-type": "application/json; charset=utf-8"}
NOT_JSON = "InvalidRequestBody"
GROUP = {"vswitch_ids": ["v"], "instance_types": ["t"], "instance_charge_type": "PostPaid"}


def pool(**group: Any) -> bytes:
    body = {"nodepool_info": {"name": "p"}, "scaling_group": {**GROUP, **group}}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"{", NOT_JSON, id="half an object"),
        pytest.param(b"{}}", NOT_JSON, id="something behind it"),
        pytest.param(b"{'a': 1}", NOT_JSON, id="other quotes"),
        pytest.param(b"[]", NOT_JSON, id="a list"),
        pytest.param(b"null", NOT_JSON, id="null"),
        pytest.param(b"\xff{}", NOT_JSON, id="not UTF-8"),
        pytest.param('{"count": 1}'.encode("utf-16"), NOT_JSON, id="UTF-16"),
        pytest.param(b'{"count": NaN}', NOT_JSON, id="not a number"),
        pytest.param(b'{"count": ' + b"1" * 5000 + b"}", NOT_JSON, id="5,000 digits"),
        pytest.param(b'{"a":' * 500 + b"1" + b"}" * 500, NOT_JSON, id="500 deep"),
        pytest.param(b"[" * 100_000, NOT_JSON, id="100,000 deep"),
        pytest.param(b'{"count": 1, "count": 2}', INVALID, id="a name twice"),
        pytest.param(b"", MISSING, id="nothing"),
        pytest.param(b"{}", MISSING, id="an empty object"),
        pytest.param(b'{"nonsense": 1}', INVALID, id="an unknown name"),
        pytest.param(b'{"scaling_group": []}', INVALID, id="a list for an object"),
        pytest.param(b'{"scaling_group": "x"}', INVALID, id="text for an object"),
        pytest.param(pool(nonsense=1), INVALID, id="an unknown name below"),
        pytest.param(pool(desired_size="1"), INVALID, id="text for a number"),
        pytest.param(pool(desired_size=1.0), INVALID, id="a point"),
        pytest.param(pool(desired_size=True), INVALID, id="true for a number"),
        pytest.param(pool(desired_size=-1), INVALID, id="a negative number"),
        pytest.param(pool(vswitch_ids="v"), INVALID, id="text for a list"),
        pytest.param(pool(vswitch_ids=[1]), INVALID, id="a number in a list of texts"),
        pytest.param(pool(vswitch_ids=["v"] * 9), INVALID, id="nine networks"),
        pytest.param(pool(vswitch_ids=[]), MISSING, id="no network"),
        pytest.param(pool(data_disks=[["x"]]), INVALID, id="a list for a disk"),
        pytest.param(pool(data_disks=[{"size": "40"}]), INVALID, id="a disk's size as text"),
        pytest.param(pool(data_disks=[{"size": 40}]), MISSING, id="a disk without category"),
        pytest.param(pool(login_password={}), ABSENT, id="an empty object for text, not here"),
        pytest.param(pool(platform=[]), ABSENT, id="an empty list for text, not here"),
        pytest.param(pool(login_password="x"), ABSENT, id="what is not emulated"),
        pytest.param(pool(instance_charge_type="PrePaid"), ABSENT, id="a value not here"),
        pytest.param(pool(instance_charge_type="Free"), INVALID, id="a value that is none"),
    ],
)
def test_a_malformed_body_is_refused(quiet_cloud: Handle, body: bytes, code: str) -> None:
    path = f"/clusters/{quiet_cloud.facts['cluster_id']}/nodepools"
    answer = call(
        quiet_cloud.facts,
        "CreateClusterNodePool",
        version=VERSION,
        path=path,
        body=body,
        headers=JSON,
    )
    refused(answer, 400, code, ACK_KEYS)
    assert not quiet_cloud.cloud.node_pools


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/xml", "application/x-www-form-urlencoded", "json"],
)
def test_a_body_of_another_type_is_refused(quiet_cloud: Handle, content_type: str) -> None:
    path = f"/clusters/{quiet_cloud.facts['cluster_id']}/nodepools"
    headers = {"content-type": content_type}
    answer = call(
        quiet_cloud.facts,
        "CreateClusterNodePool",
        version=VERSION,
        path=path,
        body=pool(),
        headers=headers,
    )
    refused(answer, 400, NOT_JSON, ACK_KEYS)


@pytest.mark.parametrize(
    ("action", "how", "status", "code"),
    [
        pytest.param(
            "DescribeClusterDetail", {"path": "/clusters/c-x"}, 404, "ErrorClusterNotFound", id="c"
        ),
        pytest.param("DescribeTaskInfo", {"path": "/tasks"}, 404, "InvalidAction.NotFound", id="t"),
        pytest.param(
            "Nonsense", {"path": "/nonsense"}, 404, "InvalidAction.NotFound", id="unknown action"
        ),
        pytest.param(
            "DescribeClusterDetail",
            {"path": "/clusters/{}", "method": "POST"},
            404,
            "InvalidAction.NotFound",
            id="wrong method",
        ),
        pytest.param(
            "DescribeClusterNodes", {"path": "/clusters/{}"}, 400, INVALID, id="wrong path"
        ),
        pytest.param(
            "DescribeClusterDetail",
            {"path": "/clusters/{}/"},
            404,
            "InvalidAction.NotFound",
            id="a slash too many",
        ),
        pytest.param(
            "DescribeEvents", {"path": "/events"}, 400, ABSENT, id="an action not emulated"
        ),
        pytest.param(
            "DescribeClusterNodes",
            {"path": "/clusters/{}/nodes", "query": {"nodeLabels": "a=b"}},
            400,
            ABSENT,
            id="a parameter not emulated",
        ),
        pytest.param(
            "DescribeClusterNodes",
            {"path": "/clusters/{}/nodes", "query": {"pageSize": "9" * 5000}},
            400,
            INVALID,
            id="a page of 5,000 digits",
        ),
        pytest.param(
            "DescribeClusterNodes",
            {"path": "/clusters/{}/nodes", "query": {"pagesize": "10"}},
            400,
            INVALID,
            id="a name in another case",
        ),
        pytest.param(
            "DescribeClusterNodes",
            {"path": "/clusters/{}/nodes", "query": [("state", "all"), ("state", "all")]},
            400,
            INVALID,
            id="a name twice",
        ),
        pytest.param(
            "DescribeClusterUserKubeconfig",
            {"path": "/k8s/{}/user_config", "query": {"PrivateIpAddress": "yes"}},
            400,
            INVALID,
            id="a boolean that is yes",
        ),
        pytest.param(
            "DescribeClusterUserKubeconfig",
            {"path": "/k8s/{}/user_config", "query": {"TemporaryDurationMinutes": "14"}},
            400,
            INVALID,
            id="14 minutes",
        ),
    ],
)
def test_a_malformed_call_of_ack_is_refused(
    quiet_cloud: Handle, action: str, how: dict[str, Any], status: int, code: str
) -> None:
    how = {"method": "GET", **how}
    how["path"] = how["path"].format(quiet_cloud.facts["cluster_id"])
    answer = call(quiet_cloud.facts, action, version=VERSION, **how)
    refused(answer, status, code, ACK_KEYS)
