"""Commands of Cloud Assistant that are stopped, and what can be asked of all of them."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from emulator.ecs.invocation_results import overall
from emulator.ecs.invocations import RunStatus
from emulator.faults import AssistantAbsent
from tests.emulator.commands import MINUTE_S, REGION, ended, result, started, told
from tests.emulator.world import SETTINGS, STOP_S, World, refused


@pytest.mark.parametrize(("mode", "killed"), [("Process", "process"), ("ProcessTree", "tree")])
async def test_a_stop_kills_what_runs(world: World, mode: str, killed: str) -> None:
    invoke_id, script = await started(world, TerminationMode=mode)
    world.ecs("StopInvocation", **REGION, InvokeId=invoke_id)
    assert told(world, invoke_id)[:2] == ("Stopping", "Stopping")
    await world.move(0)
    assert told(world, invoke_id) == ("Terminated", "Stopped", "", None)
    assert script.killed == killed
    assert result(world, invoke_id)["StopTime"] == result(world, invoke_id)["FinishedTime"]


async def test_a_stop_cancels_what_has_not_begun(slow_agents: World) -> None:
    world = slow_agents
    invoke_id = world.command(await world.running())
    await world.move(0)
    world.ecs("StopInvocation", **REGION, InvokeId=invoke_id)
    await world.move(MINUTE_S)
    assert told(world, invoke_id) == ("Cancelled", "Stopped", "", None)
    assert not world.machines.scripts


async def test_a_stop_reaches_a_script_that_is_about_to_start(world: World) -> None:
    world.machines.held["run script"] = asyncio.Event()
    invoke_id = world.command(await world.running())
    await world.move(0)
    world.ecs("StopInvocation", **REGION, InvokeId=invoke_id)
    assert told(world, invoke_id)[0] == "Stopping"
    world.machines.held["run script"].set()
    await world.move(0)
    assert told(world, invoke_id)[0] == "Terminated"


async def test_a_command_does_not_keep_an_instance_from_being_stopped(world: World) -> None:
    """Also one whose agent goes in the moment in which the command would be sent."""
    instance_id = await world.running()
    instance = world.cloud.instances[instance_id]
    async with instance.busy:
        invoke_id = world.command(instance_id)
        await world.move(0)
        world.cloud.faults.add(AssistantAbsent())
    await world.move(0)
    world.ecs("StopInstance", InstanceId=instance_id)
    await world.move(0)
    await world.move(STOP_S)
    assert world.status(instance_id) == "Stopped"
    assert told(world, invoke_id)[2] == "InstanceNotRunning"


async def test_a_stop_changes_nothing_where_a_command_is_over(world: World) -> None:
    invoke_id = await ended(world)
    before = result(world, invoke_id)
    world.ecs("StopInvocation", **REGION, InvokeId=invoke_id)
    await world.move(0)
    assert result(world, invoke_id) == before


async def test_a_stop_is_for_those_instances_that_it_names(world: World) -> None:
    one, other = await world.running(), await world.running()
    invoke_id = world.command(one, other)
    await world.move(0)
    world.ecs("StopInvocation", **REGION, InvokeId=invoke_id, InstanceId__1=one)
    await world.move(0)
    statuses = {each["InstanceId"]: each["InvocationStatus"] for each in world.results()}
    assert statuses == {one: "Terminated", other: "Running"}
    with refused("InvalidInstanceId.NotFound", 404):
        world.ecs("StopInvocation", **REGION, InvokeId=invoke_id, InstanceId__1="i-other")


# -- questions


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("Success", "Success"),
        ("Success Terminated", "Success"),
        ("Success Failed", "PartialFailed"),
        ("Success Timeout Terminated", "PartialFailed"),
        ("Failed Aborted Invalid Error Timeout", "Failed"),
        ("Failed Cancelled", "Failed"),
        ("Cancelled Terminated", "Stopped"),
        ("Success Running", "Running"),
        ("Failed Stopping", "Stopping"),
        ("Running Pending", "Pending"),
    ],
)
def test_how_a_command_stands_on_all_its_instances(statuses: str, expected: str) -> None:
    assert overall([RunStatus(each) for each in statuses.split()]) == expected


async def test_a_command_that_failed_on_some_is_told_so(world: World) -> None:
    instances = [await world.running() for _ in range(2)]
    invoke_id = world.command(*instances, Name="both", CommandContent="true")
    await world.move(0)
    for code, script in enumerate(world.machines.scripts):
        script.end(code, b"said")
    await world.move(0)
    for query in (
        {"InvokeId": invoke_id},
        {"CommandName": "both"},
        {"InvokeStatus": "PartialFailed"},
    ):
        body = world.ecs("DescribeInvocations", **REGION, ContentEncoding="PlainText", **query)
        (found,) = body["Invocations"]["Invocation"]
        assert (found["InvocationStatus"], found["CommandContent"]) == ("PartialFailed", "true")
        assert [each["ExitCode"] for each in found["InvokeInstances"]["InvokeInstance"]] == [0, 1]
    query = {"InstanceId": instances[1], "IncludeOutput": "True"}
    body = world.ecs("DescribeInvocations", **REGION, **query)
    (of_one,) = body["Invocations"]["Invocation"][0]["InvokeInstances"]["InvokeInstance"]
    assert base64.b64decode(of_one["Output"]) == b"said"


async def test_results_are_found_by_what_they_are_of(world: World) -> None:
    tag = {"Tag__1__Key": "run", "Tag__1__Value": "r-1"}
    tagged, failed = await ended(world, 0, **tag), await ended(world, 1)
    of_both = {each["InvokeId"]: each for each in world.results()}
    assert set(of_both) == {tagged, failed}
    finds = {
        tagged: (
            tag,
            {"InvokeRecordStatus": "Finished"},
            {"CommandId": of_both[tagged]["CommandId"]},
        ),
        failed: (
            {"InvokeRecordStatus": "Failed"},
            {"InstanceId": of_both[failed]["InstanceId"]},
        ),
    }
    for invoke_id, queries in finds.items():
        for query in queries:
            assert [each["InvokeId"] for each in world.results(**query)] == [invoke_id]
    assert world.results(InvokeId="t-unknown") == []


async def test_results_come_in_pages(world: World) -> None:
    instances = [await world.running() for _ in range(3)]
    world.command(*instances)
    await world.move(0)
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        body = world.ecs("DescribeInvocationResults", **REGION, MaxResults=1, **token)["Invocation"]
        seen += [each["InstanceId"] for each in body["InvocationResults"]["InvocationResult"]]
        if not body["NextToken"]:
            break
        token = {"NextToken": body["NextToken"]}
    assert seen == sorted(instances)
    numbered = world.results(PageNumber=2, PageSize=2)
    assert [each["InstanceId"] for each in numbered] == sorted(instances)[2:]


async def test_agents_come_in_pages_unless_they_are_named(world: World) -> None:
    instances = {f"InstanceId__{number}": await world.running() for number in (1, 2)}

    def found(**query: Any) -> list[str]:
        body = world.ecs("DescribeCloudAssistantStatus", **REGION, **query)
        listed = body["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
        return [each["InstanceId"] for each in listed]

    assert found(MaxResults=1) == found(PageSize=1) == sorted(instances.values())[:1]
    assert found(MaxResults=1, **instances) == sorted(instances.values())
    assert found(OSType="Windows") == []


async def test_results_are_kept_for_thirty_days(world: World) -> None:
    invoke_id = await ended(world)
    await world.move(timedelta(days=30).total_seconds() - MINUTE_S)
    assert result(world, invoke_id)
    await world.move(MINUTE_S + 1)
    assert world.results() == []


async def test_reads_of_commands_lag_and_their_states_do_not(tmp_path: Path) -> None:
    world = World(tmp_path, replace(SETTINGS, read_delay_s=20))
    instance_id = await world.running()
    with refused("InvalidInstance.NotFound", 404):
        world.command(instance_id)
    await world.move(20)
    invoke_id = world.command(instance_id, ClientToken="t")
    await world.move(0)
    assert world.results(InvokeId=invoke_id) == []
    with refused("InvalidInvokeId.NotFound", 404):
        world.ecs("StopInvocation", **REGION, InvokeId=invoke_id)
    assert world.command(instance_id, ClientToken="t") == invoke_id
    world.machines.scripts[-1].end()
    await world.move(20)
    assert told(world, invoke_id)[0] == "Success"
    await world.cloud.close()
