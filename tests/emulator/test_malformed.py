"""What no SDK would send, by ``requests``: each refused with the API's own code.

The status and the code of what the gateway refuses come from Alibaba Cloud's pages of common
errors; where a code has no source, ``emulator/bodies.py`` says so.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from emulator.app import Handle
from tests.emulator.signer import Query, call

ECS_KEYS = {"RequestId", "HostId", "Code", "Message", "Recommend"}
ACK_KEYS = {"code", "message", "requestId", "status"}
REGION = {"RegionId": "cn-hangzhou"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}
INVALID, ABSENT, MISSING = "InvalidParameter", "EmulatorUnsupported", "MissingParameter"


def refused(answer: requests.Response, status: int, code: str, keys: set[str]) -> None:
    """Hold an answer against the form of its service's refusals."""
    body = answer.json()
    told = (answer.status_code, body.get("Code") or body.get("code"))
    assert told == (status, code), body
    assert set(body) == keys
    request_id = body.get("RequestId") or body.get("requestId")
    assert answer.headers["x-acs-request-id"] == request_id
    assert answer.headers["content-type"] == "application/json"


def tags(*numbers: Any) -> dict[str, str]:
    return {f"Tag.{number}.Key": f"k{number}" for number in numbers}


PARAMETERS = [
    ("an unknown name", {"Nonsense": "1"}, INVALID),
    ("an unknown name without a value", {"Nonsense": ""}, INVALID),
    ("a name in another case", {"pageSize": "10"}, INVALID),
    ("an unknown name in a list", {"Tag.1.Nonsense": "1"}, INVALID),
    ("the action again", {"Action": "DescribeInstances"}, INVALID),
    ("what is not emulated", {"DryRun": "true"}, ABSENT),
    ("what is not emulated, without a value", {"DryRun": ""}, ABSENT),
    ("a list that is not emulated", {"Filter.1.Key": "CreationStartTime"}, ABSENT),
    ("a list as a value", {"Tag": "x"}, INVALID),
    ("a value as a list", {"InstanceName.1": "x"}, INVALID),
    ("a value as an object", {"InstanceName.Key": "x"}, INVALID),
    ("a value and an object", {"Tag": "x", **tags(1)}, INVALID),
    ("an element as a value", {"Tag.1": "x"}, INVALID),
    ("a list in an element", {"Tag.1.1.Key": "x"}, INVALID),
    ("a list from 0", tags(0), INVALID),
    ("a list from 2", tags(2), INVALID),
    ("a gap in a list", tags(1, 3), INVALID),
    ("a huge index", tags(10**12), INVALID),
    ("an index of 400 digits", tags("9" * 400), INVALID),
    ("a negative index", tags(-1), INVALID),
    ("an index with a zero before it", tags("01"), INVALID),
    ("an index in other digits", tags("٣"), INVALID),
    ("a letter for an index", tags("x"), INVALID),
    ("a list of 21 tags", tags(*range(1, 22)), "InvalidTagCount"),
    ("a list of 1,001 tags", tags(*range(1, 1002)), INVALID),
    ("a value in an integer", {"PageSize": "ten"}, INVALID),
    ("an integer with a point", {"PageSize": "1.0"}, INVALID),
    ("an integer with an exponent", {"PageSize": "1e1"}, INVALID),
    ("an integer with a plus", {"PageSize": "+1"}, INVALID),
    ("an integer with a space", {"PageSize": " 1"}, INVALID),
    ("an integer in other digits", {"PageSize": "٣"}, INVALID),
    ("an integer of 5,000 digits", {"PageSize": "9" * 5000}, INVALID),
    ("a negative integer", {"PageSize": "-1"}, INVALID),
    ("zero where one is the least", {"PageNumber": "0"}, INVALID),
    ("one more than the most", {"PageSize": "101"}, INVALID),
    ("a bad value of several", {"Status": "running"}, "InvalidStatus.ValueNotSupported"),
    ("ids that are not JSON", {"InstanceIds": "i-1,i-2"}, INVALID),
    ("ids that are a JSON object", {"InstanceIds": '{"a": 1}'}, INVALID),
    ("ids that are numbers", {"InstanceIds": "[1, 2]"}, INVALID),
    ("ids that are lists", {"InstanceIds": '[["i-1"]]'}, INVALID),
    ("no ids at all", {"InstanceIds": "[]"}, INVALID),
    ("101 ids", {"InstanceIds": json.dumps(["i"] * 101)}, INVALID),
    ("ids nested 1,000 deep", {"InstanceIds": "[" * 1000}, INVALID),
    ("a token of no page", {"NextToken": "%%%"}, INVALID),
    ("pages in both ways", {"MaxResults": "10", "PageNumber": "1"}, INVALID),
    ("a tag without a key", {"Tag.1.Value": "x"}, MISSING),
    ("a tag key of 129", {"Tag.1.Key": "k" * 129}, "InvalidTagKey.Malformed"),
    ("a tag key that is the cloud's own", {"Tag.1.Key": "acs:x"}, "InvalidTagKey.Malformed"),
    (
        "a tag value with a link",
        {**tags(1), "Tag.1.Value": "http://x"},
        "InvalidTagValue.Malformed",
    ),
    ("dots only", {"...": "x"}, INVALID),
    ("a name of 500 levels", {"A." * 500 + "B": "x"}, INVALID),
    ("an empty name", {"": "x"}, INVALID),
    ("odd characters", {"\ud7ff": "\x00"}, INVALID),
]


@pytest.mark.parametrize(
    ("query", "code"), [pytest.param(query, code, id=name) for name, query, code in PARAMETERS]
)
def test_a_malformed_parameter_is_refused(
    quiet_cloud: Handle, query: dict[str, str], code: str
) -> None:
    answer = call(quiet_cloud.facts, "DescribeInstances", {**REGION, **query})
    refused(answer, 400, code, ECS_KEYS)


CALLS: list[tuple[str, dict[str, Any], int, str]] = [
    ("a missing parameter", {"query": {}}, 400, MISSING),
    ("an empty required parameter", {"query": {"RegionId": ""}}, 400, MISSING),
    ("a region of others", {"query": {"RegionId": "cn-x"}}, 404, "InvalidRegionId.NotFound"),
    ("a name twice", {"query": [*REGION.items(), *REGION.items()]}, 400, INVALID),
    ("a name in query and form", {"body": b"RegionId=x", "headers": FORM}, 400, INVALID),
    ("a name twice in a form", {"body": b"A=1&A=2", "headers": FORM}, 400, INVALID),
    ("a form that is not UTF-8", {"body": b"A=\xff", "headers": FORM}, 400, "InvalidRequestBody"),
    ("a form whose escapes are not UTF-8", {"body": b"A=%ff", "headers": FORM}, 400, INVALID),
    ("a form called JSON", {"body": b"A=1", "headers": JSON}, 400, "UnsupportedMediaType"),
    ("a form without its type", {"body": b"A=1"}, 400, "UnsupportedMediaType"),
    ("JSON for ECS", {"body": b"{}", "headers": JSON}, 400, "UnsupportedMediaType"),
    ("another version", {"version": "2099-01-01"}, 404, "InvalidVersion"),
    ("no version", {"version": ""}, 404, "InvalidVersion"),
    ("another path", {"path": "/x"}, 400, "UnsupportedHTTPMethod"),
    ("two slashes", {"path": "//"}, 400, "UnsupportedHTTPMethod"),
    ("PUT", {"method": "PUT"}, 400, "UnsupportedHTTPMethod"),
    ("DELETE", {"method": "DELETE"}, 400, "UnsupportedHTTPMethod"),
    ("OPTIONS", {"method": "OPTIONS"}, 400, "UnsupportedHTTPMethod"),
    ("5 MiB", {"body": b"x" * (5 * 2**20), "headers": FORM}, 413, "RequestBodyTooLarge"),
    ("an unknown action", {"action": "DescribeNonsense"}, 404, "InvalidAction.NotFound"),
    ("no action", {"action": ""}, 404, "InvalidAction.NotFound"),
    ("an action in lower case", {"action": "describeinstances"}, 404, "InvalidAction.NotFound"),
    ("an action of ACK", {"action": "DescribeTaskInfo"}, 404, "InvalidAction.NotFound"),
    ("an action that is not emulated", {"action": "CopySnapshot"}, 400, ABSENT),
]


@pytest.mark.parametrize(
    ("how", "status", "code"), [pytest.param(*rest, id=name) for name, *rest in CALLS]
)
def test_a_malformed_call_of_ecs_is_refused(
    quiet_cloud: Handle, how: dict[str, Any], status: int, code: str
) -> None:
    given = {"action": "DescribeInstances", "query": REGION, **how}
    action, query = given.pop("action"), given.pop("query")
    refused(call(quiet_cloud.facts, action, query, **given), status, code, ECS_KEYS)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        pytest.param({"DryRun": "yes"}, 400, INVALID, id="a boolean that is yes"),
        pytest.param({"DryRun": "1"}, 400, INVALID, id="a boolean that is 1"),
        pytest.param({"DataDisk.1.Size": "40.0"}, 400, INVALID, id="a nested point"),
        pytest.param({"DataDisk.1.DeleteWithInstance": "no"}, 400, INVALID, id="a nested no"),
        pytest.param({"DataDisk.1.Device": "/dev/xvdb"}, 400, ABSENT, id="nested, not here"),
        pytest.param({"SpotPriceLimit": "nan"}, 400, INVALID, id="not a number"),
        pytest.param({"SpotPriceLimit": "1e3"}, 400, INVALID, id="a price by exponent"),
        pytest.param({"InstanceChargeType": "PrePaid"}, 400, ABSENT, id="a value not here"),
        pytest.param(
            {"SystemDisk.Size": "9" * 5000}, 404, "InvalidSystemDiskSize", id="5,000 digits"
        ),
        pytest.param(
            {"AutoReleaseTime": "2027-1-1T1:1:1Z"},
            400,
            "InvalidAutoReleaseTime.Malformed",
            id="a date of short numbers",
        ),
        pytest.param(
            {"ClientToken": "t" * 65}, 400, "InvalidClientToken.ValueNotSupported", id="65 letters"
        ),
        pytest.param(
            {f"DataDisk.{number}.Size": "40" for number in range(1, 18)},
            400,
            INVALID,
            id="17 disks",
        ),
    ],
)
def test_a_malformed_order_is_refused(
    quiet_cloud: Handle, changes: dict[str, str], status: int, code: str
) -> None:
    facts = quiet_cloud.facts
    order = {
        **REGION,
        "ImageId": facts["image_id"],
        "InstanceType": facts["instance_type"],
        "VSwitchId": facts["vswitch_id"],
        "SecurityGroupId": facts["security_group_id"],
    }
    refused(call(facts, "RunInstances", order | changes), status, code, ECS_KEYS)
    assert not quiet_cloud.cloud.instances


def test_many_stars_in_a_name_are_matched_at_once(cloud_handle: Handle) -> None:
    """One star after another once made a search that no test would have lived to see the end of."""
    query: Query = {**REGION, "InstanceName": "*a" * 40 + "!"}
    assert call(cloud_handle.facts, "DescribeInstances", query).json()["TotalCount"] == 0
