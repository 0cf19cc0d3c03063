"""Commands of Cloud Assistant: what becomes of them, on machines whose scripts end at will."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from emulator.faults import AssistantAbsent
from tests.emulator.commands import MINUTE_S, agent, result, started, told
from tests.emulator.test_states import INSTANCE_STATES
from tests.emulator.world import STOP_S, World, refused

# -- from start to end


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, ("Success", "Finished", "", 0)),
        (3, ("Failed", "Failed", "ExitCodeNonzero", 3)),
        (-1, ("Failed", "Failed", "ExitCodeNonzero", -1)),
    ],
)
async def test_a_command_ends_as_its_script_does(world: World, code: int, expected: Any) -> None:
    invoke_id, script = await started(world)
    assert told(world, invoke_id) == ("Running", "Running", "", None)
    script.end(code)
    await world.move(0)
    assert told(world, invoke_id) == expected
    assert result(world, invoke_id)["Repeats"] == 1


async def test_what_a_script_says_is_shown_while_it_runs_and_after(world: World) -> None:
    invoke_id, script = await started(world)
    script.output = "h\u00e9\n".encode()
    assert result(world, invoke_id)["Output"] == "h\u00e9\n"
    script.end()
    await world.move(0)
    (found,) = world.results(InvokeId=invoke_id, ContentEncoding="Base64")
    assert base64.b64decode(found["Output"]).decode() == "h\u00e9\n"


@pytest.mark.parametrize("encoding", ["Base64", "PlainText", "PLAINTEXT", None])
async def test_a_script_is_what_was_sent(world: World, encoding: str | None) -> None:
    content = "echo '\u00e9' \t\n"
    is_encoded = encoding == "Base64"
    sent = base64.b64encode(content.encode()).decode() if is_encoded else content
    params = {} if encoding is None else {"ContentEncoding": encoding}
    _, script = await started(
        world, CommandContent=sent, WorkingDir="/opt", Username="me", **params
    )
    assert script.script.content == content.encode()
    assert (script.script.working_dir, script.script.username) == ("/opt", "me")


async def test_a_command_takes_a_minute_at_most_unless_it_says_so(world: World) -> None:
    invoke_id, script = await started(world)
    began = result(world, invoke_id)["StartTime"]
    await world.move(MINUTE_S - 1)
    assert told(world, invoke_id)[0] == "Running"
    await world.move(10)
    assert told(world, invoke_id) == ("Timeout", "Failed", "ExecutionTimeout", 1)
    assert script.killed == "process"
    run = world.cloud.invocations[invoke_id].runs.popitem()[1]
    assert run.started is not None
    assert run.finished == run.started + timedelta(seconds=MINUTE_S), began


async def test_a_command_takes_as_long_as_it_may(world: World) -> None:
    invoke_id, script = await started(world, Timeout=86400, TerminationMode="ProcessTree")
    await world.move(86399)
    assert told(world, invoke_id)[0] == "Running"
    await world.move(1)
    assert told(world, invoke_id)[0] == "Timeout"
    assert script.killed == "tree"


@pytest.mark.parametrize("code", ["DirectoryNotExists", "AccountNotExists"])
async def test_what_a_machine_has_not_makes_a_command_invalid(world: World, code: str) -> None:
    world.machines.refuses = code
    invoke_id = world.command(await world.running(), WorkingDir="/nowhere")
    await world.move(0)
    assert told(world, invoke_id) == ("Invalid", "Failed", code, None)
    assert result(world, invoke_id)["StartTime"] == ""


async def test_a_script_that_cannot_be_started_is_an_error(world: World) -> None:
    world.machines.fails.add("run script")
    invoke_id = world.command(await world.running())
    await world.move(0)
    assert told(world, invoke_id) == ("Error", "Failed", "ExecutionException", None)
    assert invoke_id in world.cloud.failures[-1]["reason"]


async def test_a_command_that_the_emulator_itself_stumbles_over_does_not_stay_live(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.machines.stumbles.add("run script")
    instance_id = await world.running()
    invoke_id = world.command(instance_id)
    await world.move(0)
    assert told(world, invoke_id) == ("Error", "Failed", "ExecutionException", None)
    assert agent(world, instance_id)["ActiveTaskCount"] == 0
    assert "stumbled on purpose" in caplog.text


# -- instances and their agents

NOT_RUNNING = ("Aborted", "Failed", "InstanceNotRunning", None)
STATES = {
    **dict.fromkeys(("Pending", "Starting", "Stopping", "Stopped"), NOT_RUNNING),
    "Running": ("Running", "Running", "", None),
    "being released": ("Aborted", "Failed", "InstanceReleased", None),
}


@pytest.mark.parametrize("state", INSTANCE_STATES)
async def test_a_command_for_an_instance_in_each_state(world: World, state: str) -> None:
    instance_id = await INSTANCE_STATES[state](world)
    if state == "absent":
        with refused("InvalidInstance.NotFound", 404):
            world.command(instance_id)
        return
    invoke_id = world.command(instance_id)
    await world.move(0)
    assert told(world, invoke_id) == STATES[state]


async def test_a_command_is_for_all_its_instances_or_for_none(world: World) -> None:
    with refused("InvalidInstance.NotFound", 404):
        world.command(await world.running(), "i-unknown")
    await world.move(0)
    assert not world.machines.scripts


async def test_a_command_waits_for_an_agent_that_comes_up(slow_agents: World) -> None:
    world = slow_agents
    instance_id = await world.running()
    assert agent(world, instance_id)["CloudAssistantStatus"] == "false"
    invoke_id = world.command(instance_id)
    await world.move(29)
    assert told(world, invoke_id)[0] == "Pending"
    await world.move(2)
    assert told(world, invoke_id)[0] == "Running"
    assert agent(world, instance_id)["CloudAssistantStatus"] == "true"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (AssistantAbsent(target="builder"), "ClientNotRunning"),
        (
            AssistantAbsent(target="b*", error_code="SecurityGroupRuleDenied"),
            "SecurityGroupRuleDenied",
        ),
    ],
    ids=["no reason", "a reason"],
)
async def test_a_command_is_aborted_when_no_agent_comes_up_within_a_minute(
    world: World, fault: AssistantAbsent, code: str
) -> None:
    instance_id = await world.running(InstanceName="builder")
    fault_id = world.cloud.faults.add(fault)
    found = agent(world, instance_id)
    assert (found["CloudAssistantStatus"], found["CloudAssistantVersion"]) == ("false", "")
    invoke_id = world.command(instance_id)
    await world.move(MINUTE_S - 1)
    assert told(world, invoke_id)[0] == "Pending"
    await world.move(1)
    assert told(world, invoke_id) == ("Aborted", "Failed", code, None)
    assert result(world, invoke_id)["ErrorInfo"]
    world.cloud.faults.remove(fault_id)
    assert agent(world, instance_id)["CloudAssistantStatus"] == "true"
    later = world.command(instance_id)
    await world.move(0)
    assert told(world, later)[0] == "Running"


async def test_an_agent_is_heard_of_for_two_minutes_after_it_is_gone(world: World) -> None:
    instance_id = await world.running()
    await world.move(90)  # it was heard of half a minute ago
    world.ecs("StopInstance", InstanceId=instance_id)
    await world.move(0)
    await world.move(STOP_S)
    heard = agent(world, instance_id)
    assert (world.status(instance_id), heard["CloudAssistantStatus"]) == ("Stopped", "true")
    await world.move(80)
    assert agent(world, instance_id)["CloudAssistantStatus"] == "true"
    await world.move(10)
    assert agent(world, instance_id)["CloudAssistantStatus"] == "false"
    assert agent(world, instance_id)["LastHeartbeatTime"] == heard["LastHeartbeatTime"]
    world.ecs("StartInstance", InstanceId=instance_id)
    await world.settle()
    assert agent(world, instance_id)["CloudAssistantStatus"] == "true"


async def test_an_agent_counts_what_it_runs_and_has_run(world: World) -> None:
    invoke_id, script = await started(world)
    (instance_id,) = world.cloud.invocations[invoke_id].runs
    world.command(instance_id)
    await world.move(0)
    script.end()
    await world.move(0)
    found = agent(world, instance_id)
    assert (found["ActiveTaskCount"], found["InvocationCount"]) == (1, 1)
    assert found["LastInvokedTime"] == result(world, invoke_id)["StartTime"]


async def test_a_command_ends_with_its_machine(world: World) -> None:
    invoke_id, script = await started(world)
    (instance_id,) = world.cloud.invocations[invoke_id].runs
    world.ecs("StopInstance", InstanceId=instance_id)
    await world.move(0)
    assert told(world, invoke_id)[0] == "Running"
    await world.move(STOP_S)
    assert told(world, invoke_id) == ("Error", "Failed", "ExecutionInterrupted", None)
    assert script.killed


async def test_a_command_is_interrupted_when_its_machine_dies(world: World) -> None:
    invoke_id, script = await started(world)
    script.lose()
    await world.move(0)
    assert told(world, invoke_id) == ("Error", "Failed", "ExecutionInterrupted", None)


async def test_a_command_ends_with_its_instance_and_is_still_known(world: World) -> None:
    invoke_id, script = await started(world)
    script.output = b"half"
    (instance_id,) = world.cloud.invocations[invoke_id].runs
    world.ecs("DeleteInstance", InstanceId=instance_id, Force=True)
    await world.settle()
    assert world.status(instance_id) == "gone"
    assert told(world, invoke_id) == ("Error", "Failed", "InstanceReleased", None)
    assert result(world, invoke_id)["Output"] == "half"


async def test_a_command_that_waits_is_aborted_when_its_instance_goes(slow_agents: World) -> None:
    world = slow_agents
    instances = [await world.running() for _ in range(2)]
    invocations = [world.command(each) for each in instances]
    await world.move(0)
    world.ecs("StopInstance", InstanceId=instances[0])
    world.ecs("DeleteInstance", InstanceId=instances[1], Force=True)
    await world.move(1)
    codes = [told(world, each)[2] for each in invocations]
    assert codes == ["InstanceNotRunning", "InstanceReleased"]
