"""Nothing stays on the host: after an orderly end, and after a killed emulator."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from emulator.clock import Clock
from emulator.machines.base import MachineError
from emulator.machines.real import RealMachines, cgroups, loops, namespaces, slots
from emulator.machines.real.mounts import mounted_under
from emulator.machines.real.reap import reap
from tests.machine.lab import SETTINGS, Lab

pytestmark = [pytest.mark.machine, pytest.mark.slow]

# A whole emulator's machine layer in a process of its own, to be killed.
VICTIM = """
import asyncio, sys
from pathlib import Path
from tests.machine.lab import SETTINGS, Lab
from emulator.clock import Clock
from emulator.machines.real import RealMachines

async def main():
    machines = RealMachines(SETTINGS, Clock(), Path(sys.argv[1]))
    await machines.open()
    lab = Lab(machines, Path(sys.argv[2]))
    await lab.boot("i-1", "d-one")
    await lab.run("i-1", "mkfs.ext4 -q /dev/vdb; mount /dev/vdb /mnt; systemctl start containerd")
    print(machines.gateway_ip, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def left_behind(state_dir: Path, number: int) -> list[str]:
    prefix = slots.prefix(number)
    found = [*loops.under(state_dir), *mounted_under(state_dir), *cgroups.existing(prefix)]
    found += [*namespaces.FOLDER.glob(f"{prefix}-*"), *Path("/sys/class/net").glob(f"{prefix}-*")]
    found += [file for file in (slots.lock_file(number), state_dir / "store") if file.exists()]
    return [*map(str, found), *processes_naming(state_dir)]


def processes_naming(folder: Path) -> list[str]:
    commands = (file.parent for file in Path("/proc").glob("[0-9]*/cmdline"))
    return [process.name for process in commands if str(folder) in command_of(process)]


def command_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def number_of(gateway_ip: str) -> int:
    return int(gateway_ip.split(".")[2])


async def test_closing_leaves_nothing_even_of_running_machines(tmp_path: Path, key: Path) -> None:
    state_dir = tmp_path / "cloud"
    machines = RealMachines(SETTINGS, Clock(), state_dir)
    await machines.open()
    number = number_of(machines.gateway_ip)
    lab = Lab(machines, key)
    await asyncio.gather(lab.boot("i-1", "d-one"), lab.boot("i-2"))
    await machines.close()
    await machines.close()  # once more is no error
    assert left_behind(state_dir, number) == []


def test_reaping_after_a_kill_leaves_nothing_and_may_be_repeated(tmp_path: Path, key: Path) -> None:
    state_dir = tmp_path / "cloud"
    with killable(state_dir, key) as victim:
        number = number_of(victim.stdout.readline()) if victim.stdout else -1
        with pytest.raises(MachineError, match=f"still runs as process {victim.pid}"):
            reap(state_dir)
        victim.kill()
    assert left_behind(state_dir, number) != []
    removed = reap(state_dir)
    assert f"network namespace ackp{number}-infra" in removed
    assert left_behind(state_dir, number) == []
    assert reap(state_dir) == []


async def test_opening_again_after_a_kill_cleans_up_first(tmp_path: Path, key: Path) -> None:
    state_dir = tmp_path / "cloud"
    with killable(state_dir, key) as victim:
        number = number_of(victim.stdout.readline()) if victim.stdout else -1
        victim.send_signal(signal.SIGKILL)
    machines = RealMachines(SETTINGS, Clock(), state_dir)
    await machines.open()
    await machines.close()
    assert left_behind(state_dir, number) == []


def killable(state_dir: Path, key: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", VICTIM, str(state_dir), str(key)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)


async def test_a_number_that_another_emulator_took_meanwhile_is_left_alone(
    tmp_path: Path, lab: Lab
) -> None:
    number = number_of(lab.machines.gateway_ip)
    living = slots.recorded(slots.lock_file(number))
    assert living is not None
    old = tmp_path / "old"
    old.mkdir()
    killed = replace(living, state_dir=str(old), pid=2**22 - 1, started=1)
    (old / slots.RECORD).write_text(json.dumps(asdict(killed)))
    assert reap(old) == []
    await lab.boot("i-1")


async def test_two_emulators_on_one_host_keep_apart(tmp_path: Path, lab: Lab) -> None:
    other = RealMachines(SETTINGS, Clock(), tmp_path / "other")
    await other.open()
    try:
        assert other.gateway_ip != lab.machines.gateway_ip
        theirs = Lab(other, lab.key)
        await asyncio.gather(lab.boot("i-1", "d-one"), theirs.boot("i-1", "d-one"))
        await lab.run("i-1", "touch /root/mine")
        assert (await theirs.try_run("i-1", "ls /root/mine")).returncode != 0
    finally:
        await other.close()


async def test_a_state_folder_in_use_is_refused(lab: Lab) -> None:
    second = RealMachines(SETTINGS, Clock(), lab.machines._state_dir)
    with pytest.raises(MachineError, match="still runs as process"):
        await second.open()
