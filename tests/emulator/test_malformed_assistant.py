"""Calls of Cloud Assistant that no SDK would send, by ``requests``: each refused with its code."""

from __future__ import annotations

import base64

import pytest

from emulator.app import Handle
from tests.emulator.signer import call
from tests.emulator.test_malformed import ABSENT, ECS_KEYS, INVALID, MISSING, REGION, refused

COMMAND = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "i-unknown"}
UNKNOWN = (404, "InvalidInstance.NotFound")
IDS = {f"InstanceId.{number}": f"i-{number}" for number in range(1, 102)}
TEXT, SIZE = "CommandContent", 18 * 1024  # of text: 24 KB in base64

CASES = [
    ("an unknown instance", {}, *UNKNOWN),
    ("no instance", {"InstanceId.1": ""}, 400, "MissingParam.InstanceId"),
    ("an instance twice", {"InstanceId.2": "i-unknown"}, 400, INVALID),
    ("100 instances", {k: v for k, v in IDS.items() if k != "InstanceId.101"}, *UNKNOWN),
    ("101 instances", IDS, 403, "InstanceIds.ExceedLimit"),
    ("ids as JSON", {"InstanceId": '["i-1"]'}, 400, INVALID),
    ("no type", {"Type": ""}, 400, MISSING),
    ("another type", {"Type": "RunPythonScript"}, 404, "InvalidCmdType.NotFound"),
    ("a type of Windows", {"Type": "RunBatScript"}, 400, ABSENT),
    ("no content", {TEXT: ""}, 400, MISSING),
    ("as much text as may be", {TEXT: "x" * SIZE}, *UNKNOWN),
    ("one more", {TEXT: "x" * (SIZE + 1)}, 403, "CmdContent.ExceedLimit"),
    ("letters of two bytes", {TEXT: "\u00e9" * (SIZE // 2 + 1)}, 403, "CmdContent.ExceedLimit"),
    (
        "as much base64 as may be",
        {TEXT: base64.b64encode(b"x" * SIZE).decode(), "ContentEncoding": "base64"},
        *UNKNOWN,
    ),
    (
        "four more",
        {TEXT: base64.b64encode(b"x" * (SIZE + 1)).decode(), "ContentEncoding": "Base64"},
        403,
        "CmdContent.ExceedLimit",
    ),
    (
        "text that is called base64",
        {TEXT: "echo %", "ContentEncoding": "Base64"},
        400,
        "CmdContent.DecodeError",
    ),
    (
        "base64 in lines",
        {TEXT: "dHJ1\nZQ==", "ContentEncoding": "Base64"},
        400,
        "CmdContent.DecodeError",
    ),
    ("another encoding", {"ContentEncoding": "utf-8"}, 400, INVALID),
    ("a long name", {"Name": "n" * 129}, 403, "CmdName.ExceedLimit"),
    ("a long description", {"Description": "d" * 513}, 403, "CmdDesc.ExceedLimit"),
    ("a long user", {"Username": "u" * 256}, 403, "Username.ExceedLimit"),
    ("a long folder", {"WorkingDir": "/" * 201}, 400, "InvalidParameter.WorkingDir"),
    ("a user with NUL", {"Username": "ro\0ot"}, 400, INVALID),
    ("a folder with NUL", {"WorkingDir": "/opt\0"}, 400, INVALID),
    ("a folder of two lines", {"WorkingDir": "/opt\n/"}, 400, INVALID),
    ("no time at all", {"Timeout": "0"}, 400, INVALID),
    ("a little less time than may be", {"Timeout": "9"}, 400, INVALID),
    ("more than a day", {"Timeout": "86401"}, 403, "InvalidTimeout.ExceedLimit"),
    ("a time with a unit", {"Timeout": "60s"}, 400, INVALID),
    ("a command to be kept", {"KeepCommand": "true"}, 400, ABSENT),
    ("parameters", {"EnableParameter": "True"}, 400, ABSENT),
    ("values of parameters", {"Parameters": '{"a": "b"}'}, 400, ABSENT),
    ("a schedule", {"RepeatMode": "Period"}, 400, ABSENT),
    ("another schedule", {"RepeatMode": "Twice"}, 404, "InvalidRepeatMode.NotFound"),
    ("a rate", {"Frequency": "rate(5m)"}, 400, ABSENT),
    ("a container", {"ContainerName": "c"}, 400, ABSENT),
    ("another end", {"TerminationMode": "All"}, 404, "InvalidTerminationMode.NotFound"),
    ("a token of 65", {"ClientToken": "t" * 65}, 400, "InvalidClientToken.Malformed"),
    ("a long tag", {"Tag.1.Key": "k" * 65}, 400, "InvalidTagKey.Malformed"),
    ("a tag twice", {"Tag.1.Key": "k", "Tag.2.Key": "k"}, 400, "Duplicate.TagKey"),
    ("21 tags", {f"Tag.{n}.Key": f"k{n}" for n in range(1, 22)}, 400, "NumberExceed.Tags"),
    ("a region of others", {"RegionId": "cn-x"}, 404, "InvalidRegionId.NotFound"),
]


@pytest.mark.parametrize(
    ("changes", "status", "code"), [pytest.param(*rest, id=name) for name, *rest in CASES]
)
def test_a_malformed_command_is_refused(
    quiet_cloud: Handle, changes: dict[str, str], status: int, code: str
) -> None:
    answer = call(quiet_cloud.facts, "RunCommand", {**REGION, **COMMAND, **changes})
    refused(answer, status, code, ECS_KEYS)
    assert not quiet_cloud.cloud.invocations


READS = [
    ("DescribeInvocationResults", {"PageSize": "51"}, 400, "InvalidParam.PageSize"),
    ("DescribeInvocationResults", {"PageNumber": "0"}, 400, "InvalidParam.PageNumber"),
    ("DescribeInvocationResults", {"MaxResults": "51"}, 400, "InvalidParameter.MaxResults"),
    ("DescribeInvocationResults", {"NextToken": "%"}, 400, INVALID),
    ("DescribeInvocationResults", {"IncludeHistory": "true"}, 400, ABSENT),
    ("DescribeInvocationResults", {"InvokeRecordStatus": "Done"}, 400, INVALID),
    ("DescribeInvocations", {"InvokeStatus": "Done"}, 400, INVALID),
    ("DescribeInvocations", {"IncludeOutput": "true"}, 400, INVALID),
    ("DescribeInvocations", {"CommandName": "a", "InstanceId": "i-1"}, 400, INVALID),
    ("DescribeInvocations", {"Timed": "true"}, 400, ABSENT),
    ("DescribeCloudAssistantStatus", {"InstanceId.1": "i-unknown"}, *UNKNOWN),
    ("DescribeCloudAssistantStatus", IDS, 403, "InstanceIds.ExceedLimit"),
    ("DescribeCloudAssistantStatus", {"OSType": "linux"}, 400, INVALID),
    ("StopInvocation", {}, 400, MISSING),
    ("StopInvocation", {"InvokeId": "t-unknown"}, 404, "InvalidInvokeId.NotFound"),
    (
        "StopInvocation",
        {"InvokeId": "t-1", **dict(list(IDS.items())[:51])},
        403,
        "InstanceIds.ExceedLimit",
    ),
]


@pytest.mark.parametrize(
    ("action", "query", "status", "code"),
    [pytest.param(*each, id=f"{each[0]} {next(iter(each[1]), '')} {each[3]}") for each in READS],
)
def test_a_malformed_question_is_refused(
    quiet_cloud: Handle, action: str, query: dict[str, str], status: int, code: str
) -> None:
    refused(call(quiet_cloud.facts, action, {**REGION, **query}), status, code, ECS_KEYS)
