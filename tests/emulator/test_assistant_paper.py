"""Commands of Cloud Assistant that really run, on a paper machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.faults import HostKeyChanged
from emulator.machines.base import MachineError, Script, ScriptRefusedError
from emulator.machines.paper_processes import running as processes
from emulator.machines.script_process import FIRST_BYTES, KEPT_BYTES, Output, ScriptProcess
from tests.emulator.paper_lab import Lab

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


async def test_what_a_script_leaves_running_cannot_speak_any_more(lab: Lab) -> None:
    left = "while ! test -e ~/go; do :; done; echo x; touch ~/survived"
    assert await run(lab, f"({left}) &") == (0, "")
    home = lab.machine.root.path / "root"
    (home / "go").touch()
    await until(lambda: not processes(lab.machine.root.path, set()))
    assert not (home / "survived").exists()


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


async def test_a_script_that_has_not_begun_is_killed_all_the_same() -> None:
    """What stands before it, as nsenter on a real machine, has no child yet."""
    shell = ("/bin/sh", "-c", "sleep 1000")
    process = await ScriptProcess.start(shell, cwd=Path("/"), env={}, own=lambda _: None)
    process.kill(tree=False)
    async with asyncio.timeout(WAITS_S):
        assert await process.wait() == -1
    process.kill(tree=False)  # once more has no effect
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
