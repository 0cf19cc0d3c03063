"""DescribeInvocationResults and DescribeInvocations: what became of commands, and how they stand.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describeinvocations
Refused as not emulated: the history of scheduled commands.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from emulator.ecs.actions import TAGS, action, tags_body
from emulator.ecs.invocations import INFOS, Invocation, Run, RunStatus
from emulator.ecs.reading import has_tags, page, to_second
from emulator.errors import invalid
from emulator.params import ANY, REQUIRED, Params, Rule, Rules

if TYPE_CHECKING:
    from emulator.cloud import Cloud

MAX_PAGE = 50
MAX_TAG_KEY = 64  # of a command's tags; of a resource's it is 128
KEPT = timedelta(days=30)  # the page: what can be queried, and how many of them
MAX_KEPT = 10_000

COMMAND_TAGS: Rules = {
    **TAGS,
    "Tag": replace(TAGS["Tag"], code="NumberExceed.Tags"),
    "Tag.Key": replace(TAGS["Tag.Key"], high=MAX_TAG_KEY),
}
ENCODING = Rule(pattern=r"(?i:PlainText|Base64)")  # the API takes any other for the default
COMMAND_PAGES: Rules = {
    "PageNumber": Rule(low=1, code="InvalidParam.PageNumber"),
    "PageSize": Rule(low=1, high=MAX_PAGE, code="InvalidParam.PageSize"),
    "MaxResults": Rule(low=1, high=MAX_PAGE, code="InvalidParameter.MaxResults"),
    "NextToken": ANY,
}
# What of one instance and of all counts as what, in the words of the page.
STOPPED = (RunStatus.CANCELLED, RunStatus.TERMINATED)
WAITING = (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.STOPPING)
OVERALL = ("Pending", "Running", "Stopping", "Success", "Failed", "PartialFailed", "Stopped")
OLDER = {"Pending": "Running", "Success": "Finished"}  # in the fields that came before
RECORDS = ("Running", "Finished", "Success", "Failed", "PartialFailed", "Stopped", "Stopping")


def overall(statuses: Collection[RunStatus]) -> str:
    """Return how a command stands that stands so on each of its instances."""
    for status in WAITING:
        if status in statuses:
            return status
    ended = {
        "Success" if each is RunStatus.SUCCESS else "Stopped" if each in STOPPED else "Failed"
        for each in statuses
    }
    if ended == {"Stopped"}:
        return "Stopped"
    if "Failed" in ended:
        return "PartialFailed" if "Success" in ended else "Failed"
    return "Success"


def older(status: str) -> str:
    return OLDER.get(status, status)


def known(cloud: Cloud, params: Params) -> Iterator[Invocation]:
    """Return what a query finds, as far back as it may look."""
    newest = list(cloud.invocations.shown().values())[-MAX_KEPT:]
    for invocation in newest:
        if (
            cloud.now() - invocation.created <= KEPT
            and params.get("InvokeId") in (None, invocation.invoke_id)
            and params.get("CommandId") in (None, invocation.command_id)
            and has_tags(invocation.tags, params)
        ):
            yield invocation


@action(
    "DescribeInvocationResults",
    {
        **COMMAND_TAGS,
        **COMMAND_PAGES,
        "RegionId": REQUIRED,
        "InvokeId": ANY,
        "InstanceId": ANY,
        "CommandId": ANY,
        "InvokeRecordStatus": Rule(one_of=RECORDS),
        "ContentEncoding": ENCODING,
        "IncludeHistory": Rule(not_here=(True,)),
    },
)
def describe_invocation_results(cloud: Cloud, params: Params) -> dict[str, Any]:
    """Show results; of an InvokeId that is not known there are none."""
    shown = [
        (invocation, run)
        for invocation in known(cloud, params)
        for run in invocation.runs.values()
        if params.get("InstanceId") in (None, run.instance_id)
        and params.get("InvokeRecordStatus") in (None, record(run), run.status)
    ]
    is_plain = wants_text(params)
    return {
        "Invocation": page(
            params,
            shown,
            lambda each: f"{each[0].invoke_id}/{each[1].instance_id}",
            lambda page: {
                "InvocationResults": {
                    "InvocationResult": [result(*each, is_plain=is_plain) for each in page]
                }
            },
        )
    }


def record(run: Run) -> str:
    """Return a result's older status. Its page tells what that is of all of a command's."""
    return older(overall([run.status]))


def wants_text(params: Params) -> bool:
    return bool(params.get("ContentEncoding", "").lower() == "plaintext")


def encoded(content: bytes, *, is_plain: bool) -> str:
    return content.decode(errors="replace") if is_plain else base64.b64encode(content).decode()


def result(invocation: Invocation, run: Run, *, is_plain: bool) -> dict[str, Any]:
    """Return what became of a command on one instance, with what it has said so far."""
    return {
        "InvokeId": invocation.invoke_id,
        "CommandId": invocation.command_id,
        "InvokeRecordStatus": record(run),
        **outcome(run),
        **said(run, is_plain=is_plain),
        "FinishedTime": to_second(run.finished),
        "Username": invocation.username,
        "TerminationMode": "ProcessTree" if invocation.kills_tree else "Process",
        "Tags": tags_body(invocation.tags),
    }


def outcome(run: Run) -> dict[str, Any]:
    """Return what both calls tell of a command on one instance."""
    return {
        "InstanceId": run.instance_id,
        "InvocationStatus": run.status,
        "ErrorCode": run.error_code,
        "ErrorInfo": INFOS.get(run.error_code, ""),
        "Repeats": int(run.started is not None),
        "StartTime": to_second(run.started),
        "StopTime": to_second(run.stopped),
        **({} if run.exit_code is None else {"ExitCode": run.exit_code}),
    }


def said(run: Run, *, is_plain: bool) -> dict[str, Any]:
    script = run.script
    return {
        "Output": encoded(script.output if script else b"", is_plain=is_plain),
        "Dropped": script.dropped if script else 0,
    }


OF_ALL_INSTANCES = ("CommandName", "RepeatMode", "InvokeStatus")


@action(
    "DescribeInvocations",
    {
        **COMMAND_TAGS,
        **COMMAND_PAGES,
        "RegionId": REQUIRED,
        "InvokeId": ANY,
        "CommandId": ANY,
        "CommandName": ANY,
        "CommandType": Rule(one_of=("RunShellScript", "RunBatScript", "RunPowerShellScript")),
        "InvokeStatus": Rule(one_of=(*OVERALL, "Finished", "Scheduled")),
        "InstanceId": ANY,
        "IncludeOutput": ANY,
        "RepeatMode": Rule(one_of=("Once", "Period", "NextRebootOnly", "EveryReboot")),
        "ContentEncoding": ENCODING,
    },
)
def describe_invocations(cloud: Cloud, params: Params) -> dict[str, Any]:
    for name in OF_ALL_INSTANCES:
        if name in params and "InstanceId" in params:
            raise invalid(name, "it has no effect beside InstanceId")
    if params.get("IncludeOutput") and not {"InvokeId", "InstanceId"} & params.keys():
        raise invalid("IncludeOutput", "it takes an InvokeId or an InstanceId")
    shown = [each for each in known(cloud, params) if is_meant(each, params)]
    return page(
        params,
        shown,
        lambda invocation: invocation.invoke_id,
        lambda page: {"Invocations": {"Invocation": [whole(each, params) for each in page]}},
    )


def is_meant(invocation: Invocation, params: Params) -> bool:
    status = overall([run.status for run in invocation.runs.values()])
    return (
        params.get("CommandName") in (None, invocation.name)
        and params.get("CommandType") in (None, "RunShellScript")
        and params.get("RepeatMode") in (None, "Once")
        and params.get("InvokeStatus") in (None, status, older(status))
        and params.get("InstanceId") in (None, *invocation.runs)
    )


def whole(invocation: Invocation, params: Params) -> dict[str, Any]:
    """Return a command with all its instances, or with the one that is asked for."""
    is_plain = wants_text(params)
    status = overall([run.status for run in invocation.runs.values()])
    runs = [
        run
        for run in invocation.runs.values()
        if params.get("InstanceId") in (None, run.instance_id)
    ]
    return {
        "InvokeId": invocation.invoke_id,
        "CommandId": invocation.command_id,
        "CommandName": invocation.name,
        "CommandDescription": invocation.description,
        "CommandType": "RunShellScript",
        "CommandContent": encoded(invocation.content, is_plain=is_plain),
        "CreationTime": to_second(invocation.created),
        "InvocationStatus": status,
        "InvokeStatus": older(status),
        "Parameters": "{}",
        "RepeatMode": "Once",
        "Timed": False,
        "Frequency": "",
        "Timeout": invocation.timeout_s,
        "Username": invocation.username,
        "WorkingDir": invocation.working_dir,
        "TerminationMode": "ProcessTree" if invocation.kills_tree else "Process",
        "Tags": tags_body(invocation.tags),
        "InvokeInstances": {
            "InvokeInstance": [of_instance(run, params, is_plain=is_plain) for run in runs]
        },
    }


def of_instance(run: Run, params: Params, *, is_plain: bool) -> dict[str, Any]:
    return {
        **outcome(run),
        **(said(run, is_plain=is_plain) if params.get("IncludeOutput") else {}),
        "InstanceInvokeStatus": record(run),
        "CreationTime": to_second(run.created),
        "FinishTime": to_second(run.finished),
        "UpdateTime": to_second(run.finished or run.stopped or run.started),
        "Timed": False,
    }
