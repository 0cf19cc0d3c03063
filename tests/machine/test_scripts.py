"""Scripts of Cloud Assistant on a real machine: in its namespaces, without its sshd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.machines.base import Machine, MachineError, Script, ScriptRefusedError
from emulator.machines.real.scripts import MachineScript
from emulator.machines.script_process import ScriptProcess
from tests.machine.lab import Lab

pytestmark = [pytest.mark.machine, pytest.mark.slow]

WAITS_S = 20.0
NOBODY = 65534


async def start(
    machine: Machine, content: str, script_id: str = "t-1", **more: str
) -> ScriptProcess:
    process = await machine.run_script(Script(script_id, content.encode(), **more))
    assert isinstance(process, ScriptProcess)
    return process


async def run(machine: Machine, content: str, **more: str) -> tuple[int, str]:
    process = await start(machine, content, **more)
    code = await process.wait()
    process.close()
    return code, process.output.decode()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAITS_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_scripts_run_as_root_in_the_machine(lab: Lab) -> None:
    """One machine for all that leaves it as it is: a boot takes longer than the rest."""
    machine = await lab.boot("i-1")
    await runs_inside(machine, lab)
    await stays_on_the_machine(machine, lab)
    await refuses_what_is_not_there(machine)
    await runs_as_another_user(machine)
    for tree in (False, True):
        await is_killed(machine, tree)
    await ends_with_the_machine(machine)


async def runs_inside(machine: Machine, lab: Lab) -> None:
    facts = "hostname; id -un; pwd; echo $HOME; cat /proc/1/comm; hostname -i; cat; echo err >&2"
    code, output = await run(machine, f"{facts}; exit 7")
    address = lab.machines.reserve_ip("i-1")
    assert (code, output.split()) == (
        7,
        ["i-1", "root", "/root", "/root", "python", address, "err"],
    )
    groups = (await run(machine, "cat /proc/self/cgroup"))[1].splitlines()
    ssh = (await lab.run("i-1", "cat /proc/self/cgroup")).splitlines()
    assert groups == ssh  # so what a machine's end ends is the same


async def stays_on_the_machine(machine: Machine, lab: Lab) -> None:
    key = "cat /etc/ssh/ssh_host_ed25519_key.pub"
    assert (await run(machine, f"#!/bin/bash\n{key}"))[1] == await lab.run("i-1", key)
    kept = await lab.run("i-1", "cat /usr/local/share/aliyun-assist/work/script/t-1.sh")
    assert kept == f"#!/bin/bash\n{key}"
    assert not Path("/usr/local/share/aliyun-assist").exists()


async def refuses_what_is_not_there(machine: Machine) -> None:
    for more, code in (
        ({"working_dir": "/nowhere"}, "DirectoryNotExists"),
        ({"working_dir": "opt"}, "DirectoryNotExists"),
        ({"username": "--nobody-such"}, "AccountNotExists"),
    ):
        with pytest.raises(ScriptRefusedError) as caught:
            await start(machine, "true", **more)
        assert caught.value.code == code


async def runs_as_another_user(machine: Machine) -> None:
    code, output = await run(machine, "id -u; pwd", username="nobody", working_dir="/tmp")  # noqa: S108  # of the machine
    assert (code, output) == (0, f"{NOBODY}\n/tmp\n")


async def is_killed(machine: Machine, tree: bool) -> None:
    """With a child that the script waits for: it lives on unless its group is killed."""
    name = f"sleep {1000 + tree}"
    process = await start(machine, f"{name} & echo $!; wait; echo never")
    await until(lambda: bool(process.output))
    process.kill(tree=tree)
    async with asyncio.timeout(WAITS_S):
        assert await process.wait() == -1
    process.close()
    alive = f"pgrep -fx '{name}' >/dev/null && echo alive || echo dead"
    assert (await run(machine, alive))[1] == ("dead\n" if tree else "alive\n")


async def ends_with_the_machine(machine: Machine) -> None:
    """Also one that a shutdown's SIGTERM does not reach, and nothing of it is left."""
    sleep = f"sleep 1000.{os.getpid()}"
    deaf = f"trap '' TERM; nohup {sleep} & echo on; while :; do {sleep}; done"
    script = await start(machine, deaf)
    await until(lambda: script.output.endswith(b"on\n"))
    assert processes(sleep)
    await machine.stop()
    assert await script.wait() == -1
    script.close()
    assert not processes(sleep)
    with pytest.raises(MachineError):
        await start(machine, "true")
    await machine.start()
    cut = await start(machine, f"echo on; exec {sleep}", script_id="t-2")
    await until(lambda: bool(cut.output))
    assert isinstance(cut, MachineScript)
    assert cut.machine is not None
    os.kill(cut.machine.pid, signal.SIGKILL)  # as a machine dies that nobody told to
    with pytest.raises(MachineError):
        await cut.wait()
    cut.close()
    with pytest.raises(MachineError):
        await start(machine, "true")
    await machine.destroy()
    assert not processes(sleep)


def processes(command: str) -> list[str]:
    """Return the host's processes with this very command."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if file.read_bytes() == b"".join(word.encode() + b"\0" for word in command.split()):
                found.append(file.parent.name)
    return found
