"""A disk from a snapshot is slow where it is read for the first time, and nowhere else."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.clock import Clock
from emulator.machines.base import Machine, MachineError
from emulator.machines.real import RealMachines, lazy
from emulator.machines.real.disks import DiskStore
from emulator.machines.real.mounts import mounted_under, unmount
from emulator.machines.real.reap import reap
from emulator.settings import Settings
from tests.machine.lab import SETTINGS, Lab
from tests.machine.test_leftovers import left_behind, number_of

pytestmark = [pytest.mark.machine, pytest.mark.slow]

RATE = 40  # MB/s
LAZY = Settings(content_scale=SETTINGS.content_scale, lazy_disk_mb_per_s=RATE)
MIB_READ = 40
DUE_S = MIB_READ * 2**20 / 1e6 / RATE
LEAST_S = DUE_S * 0.75  # what a first read must take: never less than the rate allows
FASTER = 4  # times: what any other read must be, compared with the first on the same machine
FILL = "dd if=/dev/urandom of=/dev/vdb bs=1M count=100 oflag=direct status=none"


@pytest.fixture
def settings() -> Settings:
    return LAZY


async def seconds(lab: Lab, dd: str, name: str = "i-2") -> float:
    """Return how long a dd on the machine took, past all page caches of the machine."""
    timed = f"set -e; s=$(date +%s%N); dd {dd} status=none; echo $(($(date +%s%N) - s))"
    said = await lab.run(name, timed)
    return int(said) / 1e9


def read(skip_mib: int = 0, device: str = "/dev/vdb") -> str:
    """Return a dd that reads a part of a disk."""
    return f"if={device} of=/dev/null bs=1M count={MIB_READ} skip={skip_mib} iflag=direct"


async def restored(lab: Lab, prepare: str = FILL, *others: str) -> Machine:
    """Boot a machine whose first disk came from a snapshot of a disk that held 100 MiB."""
    builder = await lab.boot("i-1", "d-one")
    await lab.run("i-1", prepare)
    await builder.stop()
    await lab.machines.create_snapshot("s-1", "d-one")
    await lab.machines.create_disk("d-two", 10, snapshot_id="s-1")
    for disk_id in others:
        await lab.machines.create_disk(disk_id, 10)
    machine = lab.machines.machine(lab.spec("i-2", "d-two", *others))
    await machine.start()
    await lab.run("i-2", "true")
    return machine


async def test_a_block_is_slow_once_and_stays_fast_after_a_restart(lab: Lab) -> None:
    machine = await restored(lab)
    first = await seconds(lab, read())
    again = await seconds(lab, read())
    await machine.stop()
    await machine.start()
    after_restart = await seconds(lab, read())
    assert first > LEAST_S
    assert again * FASTER < first
    assert after_restart * FASTER < first
    assert await seconds(lab, read(skip_mib=50)) > LEAST_S, "what was never read is still slow"


async def test_what_was_written_a_hole_and_a_blank_disk_are_never_slow(lab: Lab) -> None:
    await restored(lab, FILL, "d-blank")
    await lab.run("i-2", "dd if=/dev/zero of=/dev/vdb bs=1M count=50 oflag=direct status=none")
    written = await seconds(lab, read())
    hole = await seconds(lab, read(skip_mib=500))
    await lab.run("i-2", "dd if=/dev/urandom of=/dev/vdc bs=1M count=50 oflag=direct status=none")
    blank = await seconds(lab, read(device="/dev/vdc"))
    first = await seconds(lab, read(skip_mib=52))
    assert first > LEAST_S
    assert max(written, hole, blank) * FASTER < first


async def test_reads_of_one_block_at_once_are_charged_once_and_other_reads_pass(lab: Lab) -> None:
    await restored(lab)
    warm = "dd if=/dev/vdb of=/dev/null bs=1M count=1 skip=90 iflag=direct status=none"
    await lab.run("i-2", warm)
    one = asyncio.create_task(seconds(lab, read()))
    other = asyncio.create_task(seconds(lab, read()))
    passing = await seconds(lab, "if=/dev/vdb of=/dev/null bs=1M count=1 skip=90 iflag=direct")
    took = await asyncio.gather(one, other)
    assert min(took) > LEAST_S / 2, "neither overtakes the blocks that the other waits for"
    assert max(took) < 1.7 * DUE_S, "not twice the time"
    assert passing * FASTER < max(took)


async def test_a_file_system_is_whole_after_a_restore_and_a_power_cut(lab: Lab) -> None:
    prepare = """set -e; mkfs.ext4 -q /dev/vdb; mount /dev/vdb /mnt
        dd if=/dev/urandom of=/mnt/kept bs=1M count=10 status=none; cd /mnt
        sha256sum kept >sum; sync; cd /; umount /mnt"""
    machine = await restored(lab, prepare)
    write = "set -e; mount /dev/vdb /mnt; cd /mnt; sha256sum -c sum; cp kept more; sync more"
    await lab.run("i-2", write)
    await machine.stop(force=True)
    await machine.start()
    check = "set -e; fsck.ext4 -p /dev/vdb >&2; mount /dev/vdb /mnt; cd /mnt; sha256sum -c sum"
    assert await lab.run("i-2", f"{check}; cmp kept more && fstrim /mnt") == "kept: OK\n"


async def test_nothing_serves_a_disk_once_its_machine_has_stopped(lab: Lab) -> None:
    machine = await restored(lab)
    point = lab.machines._ours.store.folder / "lazy/d-two"
    assert mounted_under(point) == [point]
    await machine.destroy()
    assert mounted_under(point) == []
    await lab.machines.delete_disk("d-two")
    assert list(point.parent.iterdir()) == []


@pytest.mark.parametrize("settings", [SETTINGS], ids=["off"])
async def test_by_default_no_disk_is_served(lab: Lab) -> None:
    await restored(lab)
    assert not (lab.machines._ours.store.folder / "lazy").exists()
    assert await seconds(lab, read()) < LEAST_S


@pytest.mark.parametrize(
    ("blocks", "ready_s"),
    [
        pytest.param(0, 60.0, id="the server fails after its mount"),
        pytest.param(1, 0.0, id="the server is not ready in time"),
    ],
)
def test_a_disk_that_cannot_be_served_leaves_no_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, ready_s: float
) -> None:
    monkeypatch.setattr(lazy, "READY_S", ready_s)
    disks = lazy.LazyDisks(tmp_path / "lazy", RATE)
    disks.open()
    (tmp_path / "lazy/d-1.map").write_bytes(bytes(blocks))
    disk = tmp_path / "d-1"
    disk.write_bytes(bytes(2**20))
    with pytest.raises(MachineError, match="d-1 is not served lazily"):
        disks.show("d-1", disk)
    assert mounted_under(tmp_path) == []


def test_hiding_a_disk_that_was_in_use_works_once_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy, "unmount", lambda point: unmount(point, patience_s=0.0))
    disks = lazy.LazyDisks(tmp_path / "lazy", RATE)
    disks.open()
    (tmp_path / "lazy/d-1.map").write_bytes(b"\0")
    disk = tmp_path / "d-1"
    disk.write_bytes(bytes(2**20))
    with disks.show("d-1", disk).open("rb"), pytest.raises(MachineError, match="busy"):
        disks.hide("d-1")
    disks.hide("d-1")
    assert mounted_under(tmp_path) == []


def test_a_host_without_fuse_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy, "FUSE", tmp_path / "no-fuse")
    store = DiskStore(tmp_path / "store", 20.0)
    try:
        with pytest.raises(MachineError, match=r"lazy_disk_mb_per_s is 20 .* modprobe"):
            store.open()
    finally:
        store.close()


# A machine on a lazy disk in a process of its own, to be killed.
VICTIM = """
import asyncio, sys
from pathlib import Path
from tests.machine import test_lazy_disks as here
from emulator.clock import Clock
from emulator.machines.real import RealMachines

async def main():
    machines = RealMachines(here.LAZY, Clock(), Path(sys.argv[1]))
    await machines.open()
    await here.restored(here.Lab(machines, Path(sys.argv[2])))
    print(machines.gateway_ip, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_opening_after_a_kill_ends_the_servers_too(tmp_path: Path, key: Path) -> None:
    state_dir = tmp_path / "cloud"
    command = [sys.executable, "-c", VICTIM, str(state_dir), str(key)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as victim:
        number = number_of(victim.stdout.readline()) if victim.stdout else -1
        victim.send_signal(signal.SIGKILL)
    assert mounted_under(state_dir / "store/xfs/lazy") != []
    reap(state_dir)
    assert left_behind(state_dir, number) == []
    machines = RealMachines(SETTINGS, Clock(), state_dir)
    await machines.open()
    await machines.close()
