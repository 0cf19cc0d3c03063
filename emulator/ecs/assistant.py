"""RunCommand, StopInvocation and DescribeCloudAssistantStatus.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-runcommand
Refused as not emulated: commands that are kept, scheduled or run at the next start, custom
parameters, containers, launchers, delivery to OSS, choice of instances by tags.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from emulator.ecs import agents, invocations
from emulator.ecs.actions import CLIENT_TOKEN, action, tags_of
from emulator.ecs.invocation_results import COMMAND_PAGES, COMMAND_TAGS, ENCODING
from emulator.ecs.invocations import Invocation, Run
from emulator.ecs.reading import page, to_second
from emulator.ecs.resources import Instance
from emulator.errors import BAD_REQUEST, FORBIDDEN, NOT_FOUND, ApiError, invalid, not_found
from emulator.params import REQUIRED, Params, Rule

if TYPE_CHECKING:
    from emulator.cloud import Cloud

MAX_INSTANCES = 100
MAX_STOPPED = 50
MAX_CONTENT = 24 * 1024  # after base64
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # no user and no folder of a machine has one
DEFAULT_TIMEOUT_S, MIN_TIMEOUT_S, MAX_TIMEOUT_S = 60, 10, 86400


@action(
    "RunCommand",
    {
        **COMMAND_TAGS,
        "RegionId": REQUIRED,
        "Type": Rule(
            required=True,
            one_of=("RunShellScript",),
            not_here=("RunBatScript", "RunPowerShellScript"),
            code="InvalidCmdType.NotFound",
            status=NOT_FOUND,
        ),
        "CommandContent": REQUIRED,
        "ContentEncoding": ENCODING,
        "InstanceId": Rule(high=MAX_INSTANCES, code="InstanceIds.ExceedLimit", status=FORBIDDEN),
        "Timeout": Rule(high=MAX_TIMEOUT_S, code="InvalidTimeout.ExceedLimit", status=FORBIDDEN),
        "WorkingDir": Rule(high=200, code="InvalidParameter.WorkingDir"),
        "Username": Rule(high=255, code="Username.ExceedLimit", status=FORBIDDEN),
        "Name": Rule(high=128, code="CmdName.ExceedLimit", status=FORBIDDEN),
        "Description": Rule(high=512, code="CmdDesc.ExceedLimit", status=FORBIDDEN),
        "KeepCommand": Rule(not_here=(True,)),
        "EnableParameter": Rule(not_here=(True,)),
        "RepeatMode": Rule(
            one_of=("Once",),
            not_here=("Period", "NextRebootOnly", "EveryReboot", "DryRun"),
            code="InvalidRepeatMode.NotFound",
            status=NOT_FOUND,
        ),
        "TerminationMode": Rule(
            one_of=("Process", "ProcessTree"),
            code="InvalidTerminationMode.NotFound",
            status=NOT_FOUND,
        ),
        "ClientToken": replace(CLIENT_TOKEN, code="InvalidClientToken.Malformed"),
    },
)
def run_command(cloud: Cloud, params: Params) -> dict[str, Any]:
    timeout_s = params.get("Timeout", DEFAULT_TIMEOUT_S)
    if timeout_s < MIN_TIMEOUT_S:
        raise invalid("Timeout", f"{timeout_s} is less than {MIN_TIMEOUT_S}")
    for name in ("Username", "WorkingDir"):
        if CONTROL.search(params.get(name, "")):
            raise invalid(name, f"{params[name]!r} has a control character")
    invocation = Invocation(
        invoke_id=cloud.ids.assistant("t"),
        command_id=cloud.ids.assistant("c"),
        content=content_of(params),
        created=cloud.now(),
        timeout_s=timeout_s,
        name=params.get("Name", ""),
        description=params.get("Description", ""),
        username=params.get("Username", ""),
        working_dir=params.get("WorkingDir", ""),
        kills_tree=params.get("TerminationMode") == "ProcessTree",
        tags=tags_of(params),
    )
    for instance in instances_of(cloud, params):
        run = Run(instance.instance_id, cloud.now())
        invocation.runs[instance.instance_id] = run
    cloud.invocations[invocation.invoke_id] = invocation
    for run in invocation.runs.values():
        cloud.spawn(invocations.carry_out(cloud, invocation, run))
    return {"CommandId": invocation.command_id, "InvokeId": invocation.invoke_id}


def content_of(params: Params) -> bytes:
    """Return a command as the agent gets it.

    :raises ApiError: when it is not base64 though it should be, or is too long.
    """
    text = params["CommandContent"]
    if params.get("ContentEncoding", "").lower() == "base64":
        encoded = text
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ApiError(
                BAD_REQUEST,
                "CmdContent.DecodeError",
                "The CommandContent can not be base64 decoded.",
            ) from None
    else:
        content = text.encode()
        encoded = base64.b64encode(content).decode()
    if len(encoded) > MAX_CONTENT:
        raise ApiError(
            FORBIDDEN,
            "CmdContent.ExceedLimit",
            f"The length of the command content exceeds the upper limit: {len(encoded)} bytes in "
            f"base64, {MAX_CONTENT} at most.",
        )
    return content


def instances_of(cloud: Cloud, params: Params) -> list[Instance]:
    """Return the instances that a command names.

    :raises ApiError: for none, one that is not there, and one that is named twice.
    """
    ids = params.get("InstanceId", [])
    if not all(ids or [""]):
        raise ApiError(
            BAD_REQUEST, "MissingParam.InstanceId", "The parameter instanceId is missing or empty."
        )
    if len(set(ids)) < len(ids):
        raise invalid("InstanceId", "it names an instance twice")
    found = []
    for instance_id in ids:
        instance = cloud.instances.find(instance_id)
        if instance is None:
            raise not_found("InvalidInstance.NotFound", "instance", instance_id)
        found.append(instance)
    return found


@action(
    "StopInvocation",
    {
        "RegionId": REQUIRED,
        "InvokeId": REQUIRED,
        "InstanceId": Rule(high=MAX_STOPPED, code="InstanceIds.ExceedLimit", status=FORBIDDEN),
    },
)
def stop_invocation(cloud: Cloud, params: Params) -> dict[str, Any]:
    """Stop a command on some of its instances or all; where it is over nothing happens."""
    invocation = cloud.invocations.find(params["InvokeId"])
    if invocation is None:
        raise not_found("InvalidInvokeId.NotFound", "invoke ID", params["InvokeId"])
    ids = params.get("InstanceId", [])
    for instance_id in ids:
        if instance_id not in invocation.runs:
            raise not_found("InvalidInstanceId.NotFound", "InstanceId", instance_id)
    for instance_id, run in invocation.runs.items():
        if not ids or instance_id in ids:
            invocations.stop(cloud, invocation, run)
    return {}


@action(
    "DescribeCloudAssistantStatus",
    {
        **COMMAND_PAGES,
        "RegionId": REQUIRED,
        "InstanceId": Rule(high=MAX_INSTANCES, code="InstanceIds.ExceedLimit", status=FORBIDDEN),
        "OSType": Rule(one_of=("Windows", "Linux", "FreeBSD")),
    },
)
def describe_cloud_assistant_status(cloud: Cloud, params: Params) -> dict[str, Any]:
    known = cloud.instances.shown()
    wanted = params.get("InstanceId", [])
    for instance_id in wanted:
        if instance_id not in known:
            raise not_found("InvalidInstance.NotFound", "instance", instance_id)
    is_meant = params.get("OSType", "Linux") == "Linux"
    shown = [known[each] for each in (set(wanted) or known.keys()) if is_meant]
    return page(
        {"PageSize": MAX_INSTANCES} if wanted else params,  # its pages have no effect then
        shown,
        lambda instance: instance.instance_id,
        lambda page: {
            "InstanceCloudAssistantStatusSet": {
                "InstanceCloudAssistantStatus": [status(cloud, each) for each in page]
            }
        },
    )


def status(cloud: Cloud, instance: Instance) -> dict[str, Any]:
    """Return what is known of an instance's agent."""
    runs = [
        each.runs[instance.instance_id]
        for each in cloud.invocations.values()
        if instance.instance_id in each.runs
    ]
    started = [run.started for run in runs if run.started is not None]
    is_heard = agents.is_heard(cloud, instance)
    return {
        "InstanceId": instance.instance_id,
        "CloudAssistantStatus": str(is_heard).lower(),
        "CloudAssistantVersion": agents.VERSION if is_heard else "",
        "LastHeartbeatTime": to_second(agents.last_heartbeat(cloud, instance)),
        "LastInvokedTime": to_second(max(started, default=None)),
        "ActiveTaskCount": sum(not run.is_over for run in runs),
        "InvocationCount": sum(run.is_over for run in runs),
        "OSType": "Linux",
        "SupportSessionManager": is_heard,
    }
