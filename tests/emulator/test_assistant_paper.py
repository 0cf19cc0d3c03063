"""Commands of Cloud Assistant that really run, on a paper machine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models

from emulator.app import Handle
from emulator.ecs.resources import InstanceStatus
from emulator.faults import HostKeyChanged, ResetAfter, ServerError, Throttle
from emulator.machines.base import MachineError, Script, ScriptRefusedError
from emulator.machines.paper_processes import running as processes
from emulator.machines.script_process import FIRST_BYTES, KEPT_BYTES, Output, ScriptProcess
from tests.emulator.clients import REGION, Clients, answered, clients_of
from tests.emulator.paper_lab import Lab

LONG_S = 86400  # a test may move the clock while a script really runs
WAITS_S = 10.0

# -- one machine, without the cloud


async def start(lab: Lab, content: str, script_id: str = "t-1", **more: str) -> ScriptProcess:
    process = await lab.machine.run_script(Script(script_id, content.encode(), **more))
    assert isinstance(process, ScriptProcess)
    return process


async def run(lab: Lab, content: str, **more: str) -> tuple[int, str]:
    process = await start(lab, content, **more)
    code = await process.wait()
    process.close()
    return code, process.output.decode()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAITS_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_script_says_what_it_does_on_both_streams_and_how_it_ended(lab: Lab) -> None:
    said = "echo out; echo err >&2; echo $HOME; pwd; cat; exit 7"
    code, output = await run(lab, said)
    home = str(lab.machine.root.path / "root")
    assert (code, output.split()) == (7, ["out", "err", home, home])


async def test_a_script_is_of_the_language_of_its_first_line(lab: Lab) -> None:
    code, output = await run(lab, "#!/bin/bash\nset -- a b; echo ${@:2} ${BASH_VERSION:+bash}")
    assert (code, output) == (0, "b bash\n")


async def test_a_script_stays_on_its_machine_as_there(lab: Lab) -> None:
    await run(lab, "true", script_id="t-kept")
    kept = lab.machine.root.path / "usr/local/share/aliyun-assist/work/script/t-kept.sh"
    assert kept.read_text() == "true"


async def test_a_script_runs_in_the_folder_that_it_asks_for(lab: Lab) -> None:
    code, output = await run(lab, "pwd; cd /; touch /mnt/mine", working_dir="/mnt/")
    assert (code, output) == (0, f"{lab.machine.root.path}/mnt\n")
    assert (lab.machine.root.path / "mnt/mine").exists()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"working_dir": "/nowhere"}, "DirectoryNotExists"),
        ({"working_dir": "root"}, "DirectoryNotExists"),
        ({"working_dir": "/../../../nowhere"}, "DirectoryNotExists"),
        ({"username": "nobody"}, "AccountNotExists"),
    ],
    ids=str,
)
async def test_what_a_machine_has_not_is_refused(lab: Lab, more: dict[str, str], code: str) -> None:
    with pytest.raises(ScriptRefusedError) as caught:
        await start(lab, "true", **more)
    assert caught.value.code == code


async def test_what_a_script_leaves_running_is_not_waited_for(lab: Lab) -> None:
    process = await start(lab, "sleep 1000 & echo $!")
    async with asyncio.timeout(WAITS_S):
        assert await process.wait() == 0
    left = int(process.output)
    process.close()
    assert left in processes(lab.machine.root.path, set())
    await lab.machine.stop()
    assert left not in processes(lab.machine.root.path, set())


@pytest.mark.parametrize("tree", [False, True], ids=["alone", "with its group"])
async def test_a_script_is_killed_alone_or_with_its_group(lab: Lab, tree: bool) -> None:
    process = await start(lab, "sleep 1000 & echo $!; wait; echo never")
    await until(lambda: bool(process.output))
    child = int(process.output)
    process.kill(tree=tree)
    async with asyncio.timeout(WAITS_S):
        assert await process.wait() == -1
    await until(lambda: (child in processes(lab.machine.root.path, set())) is not tree)
    process.close()


async def test_a_script_ends_with_its_machine(lab: Lab) -> None:
    process = await start(lab, "trap '' TERM; echo on; while :; do sleep 1; done")
    await until(lambda: bool(process.output))
    await lab.machine.stop()
    assert await process.wait() == -1
    process.close()
    with pytest.raises(MachineError):
        await start(lab, "true")


async def test_a_script_can_say_more_than_a_pipe_holds(lab: Lab) -> None:
    process = await start(lab, "echo first; head -c 300000 /dev/zero; echo last")
    assert await process.wait() == 0
    process.close()
    assert process.output.startswith(b"first\n\0")
    assert process.output.endswith(b"\0last\n")
    assert len(process.output) == KEPT_BYTES
    assert process.dropped == 300_011 - KEPT_BYTES


@pytest.mark.parametrize("step", [1, 7, 5000, 100_000])
def test_of_an_output_both_ends_are_kept(step: int) -> None:
    said = bytes(range(256)) * 200
    output = Output()
    for at in range(0, len(said), step):
        output.add(said[at : at + step])
    assert output.kept == said[:FIRST_BYTES] + said[-(KEPT_BYTES - FIRST_BYTES) :]
    assert output.dropped == len(said) - KEPT_BYTES


async def test_the_host_key_is_on_the_machine_also_when_it_changes(lab: Lab) -> None:
    read = 'cat "$ACK_PRELOAD_ROOT/etc/ssh/ssh_host_ed25519_key.pub"'
    before = (await run(lab, read))[1].strip()
    assert before == lab.machine.ssh.host_key
    lab.faults.add(HostKeyChanged())
    await lab.run("true")
    after = (await run(lab, read, script_id="t-2"))[1].strip()
    assert after == lab.machine.ssh.host_key != before


# -- by the API


@pytest.fixture(scope="module")
def machine(quiet_cloud: Handle) -> tuple[Clients, str]:
    clients = clients_of(quiet_cloud)
    instance_id = clients.order()
    instances = quiet_cloud.cloud.instances
    quiet_cloud.run_until(lambda: instances[instance_id].status is InstanceStatus.RUNNING)
    return clients, instance_id


@pytest.fixture(autouse=True)
def no_faults(quiet_cloud: Handle) -> Iterator[None]:
    yield
    quiet_cloud.faults.clear()


def command(instance_id: str, content: str, **more: Any) -> models.RunCommandRequest:
    return models.RunCommandRequest(
        region_id=REGION,
        type="RunShellScript",
        command_content=content,
        instance_id=[instance_id],
        **{"timeout": LONG_S, **more},
    )


def query(invoke_id: str) -> models.DescribeInvocationResultsRequest:
    return models.DescribeInvocationResultsRequest(
        region_id=REGION, invoke_id=invoke_id, content_encoding="PlainText"
    )


async def ended(clients: Clients, invoke_id: str) -> Any:
    """Return a result once it is final."""
    async with asyncio.timeout(WAITS_S):
        while True:
            body = (await clients.ecs.describe_invocation_results_async(query(invoke_id))).body
            (found,) = body.invocation.invocation_results.invocation_result
            if found.invocation_status not in ("Pending", "Running", "Stopping"):
                return found
            await asyncio.sleep(0.005)


async def blocking(clients: Clients, request: models.RunCommandRequest) -> str:
    return str(clients.ecs.run_command(request).body.invoke_id)


async def asynchronous(clients: Clients, request: models.RunCommandRequest) -> str:
    return str((await clients.ecs.run_command_async(request)).body.invoke_id)


@pytest.mark.parametrize("call", [blocking, asynchronous])
async def test_a_command_of_any_text_comes_back_whole(
    machine: tuple[Clients, str],
    call: Callable[[Clients, models.RunCommandRequest], Awaitable[str]],
) -> None:
    clients, instance_id = machine
    text = "é+%2B&=? \t\\'\"`$HOME`"
    invoke_id = await call(clients, command(instance_id, f"cat <<'END'\n{text}\nEND\nexit 3"))
    found = await ended(clients, invoke_id)
    assert (found.output, found.exit_code, found.error_code) == (f"{text}\n", 3, "ExitCodeNonzero")
    assert re.fullmatch(r"\d{4}(-\d\d){2}T\d\d:\d\d:\d\dZ", found.finished_time)


async def test_the_longest_command_arrives(machine: tuple[Clients, str]) -> None:
    clients, instance_id = machine
    content = "echo here # " + "\n" * (18 * 1024 - 12)
    invoke_id = await blocking(clients, command(instance_id, content))
    assert (await ended(clients, invoke_id)).output == "here\n"


async def test_a_time_limit_really_ends_a_script(machine: tuple[Clients, str]) -> None:
    clients, instance_id = machine
    request = command(
        instance_id, "echo on; sleep 1000", timeout=10, termination_mode="ProcessTree"
    )
    invoke_id = await blocking(clients, request)
    await until(lambda: said(clients, invoke_id) == b"on\n")
    clients.handle.advance(10)
    found = await ended(clients, invoke_id)
    assert (found.invocation_status, found.exit_code, found.output) == ("Timeout", 1, "on\n")
    script = script_of(clients, invoke_id)
    await until(lambda: script is not None and script.has_ended)


async def test_a_stop_really_ends_a_script(machine: tuple[Clients, str]) -> None:
    clients, instance_id = machine
    invoke_id = await blocking(clients, command(instance_id, "echo on; exec sleep 1000"))
    await until(lambda: said(clients, invoke_id) == b"on\n")
    stop = models.StopInvocationRequest(region_id=REGION, invoke_id=invoke_id)
    await clients.ecs.stop_invocation_async(stop)
    found = await ended(clients, invoke_id)
    assert (found.invocation_status, found.output) == ("Terminated", "on\n")


def script_of(clients: Clients, invoke_id: str) -> ScriptProcess | None:
    (run,) = clients.handle.cloud.invocations[invoke_id].runs.values()
    assert isinstance(run.script, ScriptProcess | None)
    return run.script


def said(clients: Clients, invoke_id: str) -> bytes:
    script = script_of(clients, invoke_id)
    return b"" if script is None else script.output


@pytest.mark.parametrize(
    ("fault", "had_effect"),
    [(ResetAfter, True), (ServerError, False), (Throttle, False)],
    ids=["reset after", "error", "throttled"],
)
async def test_a_command_whose_answer_is_lost_runs_once(
    machine: tuple[Clients, str], tmp_path: Path, fault: type[Any], had_effect: bool
) -> None:
    clients, instance_id = machine
    token = f"lost-{fault.__name__}"
    request = command(instance_id, f"echo x >>~/{token}", client_token=token)
    known = len(clients.handle.cloud.invocations)
    clients.handle.faults.add(fault(target="RunCommand"))
    with pytest.raises(Exception):  # noqa: B017,PT011  # of one of two packages
        clients.ecs.run_command(request)
    assert len(clients.handle.cloud.invocations) == known + had_effect
    invoke_id = await blocking(clients, request)
    assert (await ended(clients, invoke_id)).exit_code == 0
    assert len(clients.handle.cloud.invocations) == known + 1
    found = await ended(clients, await blocking(clients, command(instance_id, f"cat ~/{token}")))
    assert found.output == "x\n"
    request.command_content = "false"
    with answered("IdempotentParameterMismatch", 403):
        clients.ecs.run_command(request)
