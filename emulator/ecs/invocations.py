"""What becomes of a command on each instance: sent to the agent, run there, ended.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describeinvocationresults
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from emulator.ecs import agents
from emulator.ecs.resources import InstanceStatus, Tags
from emulator.machines.base import MachineError, RunningScript, Script, ScriptRefusedError

if TYPE_CHECKING:
    from emulator.cloud import Cloud
    from emulator.ecs.resources import Instance

log = logging.getLogger(__name__)

SENT_WITHIN_S = 60.0  # the page: a command that cannot be sent within a minute is Aborted
LOOK_EVERY_S = 0.2  # no source; how soon an agent that has come up is noticed
EXIT_AT_TIMEOUT = 1  # what the agent sends then

# Texts and codes are those of the page. Which status goes with a code it does not say: Aborted
# is what could not be sent, Invalid what the agent refuses, Error what ended in another way.
INFOS = {
    "InstanceReleased": "the specified instance has been released",
    "InstanceNotRunning": "the instance is not running when create task",
    "ClientNotRunning": "the aliyun service is not running on the instance",
    "ClientNotResponse": "the aliyun service in the instance does not response",
    "ClientIsUpgrading": "the aliyun service in the instance is upgrading now",
    "ClientNeedUpgrade": "the aliyun service in the instance need upgrade",
    "DeliveryTimeout": "the command delivery has been timeout",
    # Of these three newer pages have only the meaning.
    "ClientNotOnline": "the aliyun service in the instance is not connected to the server",
    "ClientNetworkBlocked": "the network environment of the instance is abnormal",
    "SecurityGroupRuleDenied": "the security group rules denied access to the aliyun service",
    "AccountNotExists": "the specified account does not exists",
    "DirectoryNotExists": "the specified directory does not exists",
    "ExecutionTimeout": "the command execution has been timeout",
    "ExecutionException": "the command execution got an exception",
    "ExecutionInterrupted": "the command execution has been interrupted",
    "ExitCodeNonzero": "the command execution exit code is not zero",
}


class RunStatus(StrEnum):
    PENDING = "Pending"
    INVALID = "Invalid"
    ABORTED = "Aborted"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    ERROR = "Error"
    TIMEOUT = "Timeout"
    CANCELLED = "Cancelled"
    STOPPING = "Stopping"
    TERMINATED = "Terminated"


LIVE = (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.STOPPING)


@dataclass(slots=True)
class Run:
    """A command on one instance."""

    instance_id: str
    created: datetime
    status: RunStatus = RunStatus.PENDING
    started: datetime | None = None
    finished: datetime | None = None
    stopped: datetime | None = None
    exit_code: int | None = None
    error_code: str = ""
    script: RunningScript | None = None
    interrupted: str = ""  # the code of what takes its machine away

    @property
    def is_over(self) -> bool:
        return self.status not in LIVE

    def end(self, status: RunStatus, finished: datetime | None, error_code: str = "") -> None:
        self.status, self.finished, self.error_code = status, finished, error_code


@dataclass(slots=True)
class Invocation:
    invoke_id: str
    command_id: str
    content: bytes
    created: datetime
    timeout_s: int
    name: str = ""
    description: str = ""
    username: str = ""
    working_dir: str = ""
    kills_tree: bool = False  # TerminationMode
    tags: Tags = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)  # by instance


async def carry_out(cloud: Cloud, invocation: Invocation, run: Run) -> None:
    """Send a command to an instance's agent and see it through to its end."""
    try:
        while await is_sent(cloud, run):
            instance = cloud.instances[run.instance_id]
            async with instance.busy:  # it is not stopped meanwhile
                if run.is_over or not takes_commands(cloud, instance):
                    continue  # it was stopped before
                await start(cloud, invocation, run, instance)
            if run.script is not None:
                await see_through(cloud, invocation, run, run.script)
    except Exception:  # a fault of the emulator, which is logged; the command must not stay live
        if not run.is_over:
            run.end(RunStatus.ERROR, cloud.now(), "ExecutionException")
        raise
    finally:
        if run.script is not None:
            run.script.close()
    log.info("%s on %s is %s", invocation.invoke_id, run.instance_id, run.status)


def takes_commands(cloud: Cloud, instance: Instance) -> bool:
    is_there = instance.status is InstanceStatus.RUNNING and not instance.is_being_released
    return is_there and agents.is_up(cloud, instance)


async def is_sent(cloud: Cloud, run: Run) -> bool:
    """Wait for the agent as long as a command may wait; tell whether it can get it."""
    until = run.created + timedelta(seconds=SENT_WITHIN_S)
    while not run.is_over:
        instance = cloud.instances.get(run.instance_id)
        if instance is None or instance.is_being_released:
            run.end(RunStatus.ABORTED, None, "InstanceReleased")
        elif instance.status is not InstanceStatus.RUNNING:
            run.end(RunStatus.ABORTED, None, "InstanceNotRunning")
        elif takes_commands(cloud, instance):
            return True
        elif cloud.now() >= until:
            fault = agents.absence(cloud, instance)
            run.end(RunStatus.ABORTED, None, fault.error_code if fault else "ClientNotRunning")
        else:
            await cloud.clock.sleep(min(LOOK_EVERY_S, (until - cloud.now()).total_seconds()))
    return False


async def start(cloud: Cloud, invocation: Invocation, run: Run, instance: Instance) -> None:
    """Start the script on the instance's machine, or end the run."""
    script = Script(
        invocation.invoke_id, invocation.content, invocation.username, invocation.working_dir
    )
    run.started = cloud.now()
    try:
        if instance.machine is None:
            raise MachineError(f"{instance.instance_id} has no machine to run a command on")
        run.script = await instance.machine.run_script(script)
    except ScriptRefusedError as exc:
        run.started = None
        run.end(RunStatus.INVALID, None, exc.code)
    except (MachineError, OSError) as exc:
        cloud.failed(run.instance_id, f"{invocation.invoke_id} was not run: {exc}")
        run.started = None
        run.end(RunStatus.ERROR, None, "ExecutionException")
    else:
        if run.status is RunStatus.PENDING:
            run.status = RunStatus.RUNNING
        else:  # it was stopped while it started
            run.script.kill(tree=invocation.kills_tree)


async def see_through(
    cloud: Cloud, invocation: Invocation, run: Run, script: RunningScript
) -> None:
    """Wait until a script has ended, by itself or not."""
    deadline = (run.started or cloud.now()) + timedelta(seconds=invocation.timeout_s)
    ended = asyncio.ensure_future(script.wait())
    late = asyncio.ensure_future(cloud.clock.sleep_until(deadline))
    try:
        await asyncio.wait((ended, late), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done() and run.status is RunStatus.RUNNING and not run.interrupted:
            script.kill(tree=invocation.kills_tree)
            run.exit_code = EXIT_AT_TIMEOUT
            run.end(RunStatus.TIMEOUT, deadline, "ExecutionTimeout")
        code = await ended
    except MachineError as exc:
        cloud.failed(run.instance_id, f"{invocation.invoke_id} was interrupted: {exc}")
        code, run.interrupted = -1, run.interrupted or "ExecutionInterrupted"
    finally:
        late.cancel()
        ended.cancel()
    if not run.is_over:
        judge(run, code, cloud.now())


def judge(run: Run, code: int, now: datetime) -> None:
    """Say how a script ended that was not ended by its Timeout."""
    if run.interrupted:
        run.end(RunStatus.ERROR, now, run.interrupted)
    elif run.status is RunStatus.STOPPING:
        run.end(RunStatus.TERMINATED, run.stopped)
    else:
        run.exit_code = code
        status = RunStatus.FAILED if code else RunStatus.SUCCESS
        run.end(status, now, "ExitCodeNonzero" if code else "")


def stop(cloud: Cloud, invocation: Invocation, run: Run) -> None:
    """Do what StopInvocation does on one instance; nothing where the command is over."""
    if run.is_over or run.status is RunStatus.STOPPING:
        return
    run.stopped = cloud.now()
    if run.status is RunStatus.PENDING and run.started is None:
        run.end(RunStatus.CANCELLED, None)
        return
    run.status = RunStatus.STOPPING
    if run.script is not None:
        run.script.kill(tree=invocation.kills_tree)


def take_away(cloud: Cloud, instance: Instance, code: str) -> None:
    """End the agent of an instance whose machine goes now, and with it what it runs."""
    agents.fall_silent(cloud, instance)
    for invocation in cloud.invocations.values():
        run = invocation.runs.get(instance.instance_id)
        if run is not None and not run.is_over and run.started is not None:
            run.interrupted = code
