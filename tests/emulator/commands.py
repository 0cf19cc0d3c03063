"""Commands of Cloud Assistant on an instance of their own, and what is told of them."""

from __future__ import annotations

from typing import Any

from tests.emulator.null_machines import NullScript
from tests.emulator.world import World

REGION = {"RegionId": "cn-hangzhou"}
MINUTE_S = 60


async def started(world: World, **params: Any) -> tuple[str, NullScript]:
    """Return a command that runs on an instance of its own, and its script."""
    invoke_id = world.command(await world.running(), **params)
    await world.move(0)
    return invoke_id, world.machines.scripts[-1]


async def ended(world: World, code: int = 0, **params: Any) -> str:
    invoke_id, script = await started(world, **params)
    script.end(code)
    await world.move(0)
    return invoke_id


def result(world: World, invoke_id: str) -> dict[str, Any]:
    (found,) = world.results(InvokeId=invoke_id)
    return found


def told(world: World, invoke_id: str) -> tuple[str, str, str, int | None]:
    """Return both statuses, the error and the exit code of a command on its only instance."""
    found = result(world, invoke_id)
    status, record = found["InvocationStatus"], found["InvokeRecordStatus"]
    return status, record, found["ErrorCode"], found.get("ExitCode")


def agent(world: World, instance_id: str) -> dict[str, Any]:
    body = world.ecs("DescribeCloudAssistantStatus", **REGION, InstanceId__1=instance_id)
    (found,) = body["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
    return dict(found)
