"""Try the machine layer of this host from end to end and print the result as JSON.

``python -m emulator.machines.real.selftest --state DIR``: boot a machine, use it over SSH, fill a
disk with an image by its containerd, shut down in order, snapshot, restore on a second machine,
find the image whole there, take all away. Exit 0 only if every step did what it should.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emulator.clock import Clock
from emulator.machines.base import DiskAttachment, Machine, MachineError, MachineSpec
from emulator.machines.real import cgroups, loops, namespaces
from emulator.machines.real.commands import run
from emulator.machines.real.machines import CACHE, RealMachines
from emulator.machines.real.mounts import mounted_under
from emulator.settings import Settings

SCALE = 0.02  # of the content: a few megabytes
DISK_GIB = 20
SSH_WITHIN_S = 120.0  # under software emulation; a real host needs half a second
IMAGES = "ctr --namespace k8s.io images"

MOUNT_DISK = """set -e
disk=$(readlink -f /dev/disk/by-id/*{serial}*)
blkid -p "$disk" || mkfs.ext4 -q -i 8192 "$disk"
mkdir -p /mnt/data /var/lib/containerd
mount "$disk" /mnt/data
mkdir -p /mnt/data/containerd
mount --bind /mnt/data/containerd /var/lib/containerd
"""


class Selftest:
    def __init__(self, state_dir: Path, cache_dir: Path) -> None:
        settings = Settings(content_scale=SCALE)
        self._state_dir = state_dir.resolve()
        self._machines = RealMachines(settings, Clock(), self._state_dir / "cloud", cache_dir)
        self._key = self._state_dir / "selftest_key"
        self.seconds: dict[str, float] = {}

    async def run(self) -> None:
        """Try everything once.

        :raises MachineError: naming the step that failed.
        """
        self._key.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "selftest", "-f", self._key)
        try:
            with self._step("open"):
                await self._machines.open()
            prefix = self._machines.gateway_ip.split(".")[2]
            await self._build()
            await self._restore()
        finally:
            with self._step("close"):
                await self._machines.close()
        self._find_leftovers(f"ackp{prefix}")

    async def _build(self) -> None:
        image = self._machines.workload_image()
        await self._machines.create_disk("d-selftest1", DISK_GIB)
        builder = await self._boot("i-selftest1", "d-selftest1")
        with self._step("mkfs and mount"):
            await self._ssh("i-selftest1", MOUNT_DISK.format(serial=_serial("d-selftest1")))
        with self._step("containerd"):
            await self._ssh("i-selftest1", "systemctl start containerd")
        with self._step("pull"):
            pull = f"{IMAGES} pull --hosts-dir /etc/containerd/certs.d {image}"
            await self._ssh("i-selftest1", pull)
        with self._step("stop"):
            await builder.stop()
        with self._step("snapshot"):
            await self._machines.create_snapshot("s-selftest", "d-selftest1")
        await builder.destroy()

    async def _restore(self) -> None:
        image = self._machines.workload_image()
        with self._step("disk from snapshot"):
            await self._machines.create_disk("d-selftest2", DISK_GIB, snapshot_id="s-selftest")
        node = await self._boot("i-selftest2", "d-selftest2")
        with self._step("containerd on the restored disk"):
            await self._ssh("i-selftest2", MOUNT_DISK.format(serial=_serial("d-selftest2")))
            await self._ssh("i-selftest2", "systemctl start containerd")
        with self._step("container from the restored image"):
            said = await self._ssh("i-selftest2", f"{IMAGES} check name=={image}")
            if "complete" not in said or image not in said:
                raise MachineError(f"{image} is not whole on the restored disk:\n{said}")
            command = "run --rm --net-host"
            ran = f"ctr --namespace k8s.io {command} {image} probe /bin/sh -c 'echo restored'"
            if (await self._ssh("i-selftest2", ran)).strip() != "restored":
                raise MachineError(f"{image} does not run from the restored disk")
        with self._step("power cut"):
            await node.stop(force=True)
        await node.destroy()

    async def _boot(self, machine_id: str, disk_id: str) -> Machine:
        spec = MachineSpec(
            machine_id=machine_id,
            hostname=machine_id,
            private_ip=self._machines.reserve_ip(machine_id),
            authorized_keys=(self._key.with_suffix(".pub").read_text().strip(),),
            disks=(DiskAttachment(disk_id, "/dev/vdb", _serial(disk_id), DISK_GIB),),
        )
        machine = self._machines.machine(spec)
        with self._step(f"start {machine_id}"):
            await machine.start()
        with self._step(f"ssh {machine_id}"):
            await self._ssh(machine_id, "true")
        return machine

    async def _ssh(self, machine_id: str, script: str) -> str:
        address = f"root@{self._machines.reserve_ip(machine_id)}"
        options = "BatchMode=yes StrictHostKeyChecking=no UserKnownHostsFile=/dev/null"
        flags = [word for option in options.split() for word in ("-o", option)]
        command = ["ssh", *flags, "-o", "LogLevel=ERROR", "-i", str(self._key), address, "bash -s"]
        deadline = time.monotonic() + SSH_WITHIN_S
        while True:
            done = await asyncio.to_thread(
                subprocess.run, command, input=script, capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                return done.stdout
            not_up = done.returncode == 255 and time.monotonic() < deadline  # noqa: PLR2004
            if not not_up:
                raise MachineError(f"{script!r} on {machine_id}: {done.stderr or done.stdout}")
            await asyncio.sleep(0.02)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        except MachineError as error:
            raise MachineError(f"{name}: {error}") from error
        self.seconds[name] = round(time.monotonic() - started, 3)

    def _find_leftovers(self, prefix: str) -> None:
        left = [*loops.under(self._state_dir), *mounted_under(self._state_dir)]
        left += [*namespaces.FOLDER.glob(f"{prefix}-*"), *cgroups.existing(prefix)]
        if left:
            raise MachineError(f"left behind: {', '.join(map(str, left))}")


def _serial(disk_id: str) -> str:
    return disk_id.removeprefix("d-").ljust(20, "0")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True, metavar="DIR")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="of the images")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    test = Selftest(options.state, options.cache)
    error = None
    try:
        asyncio.run(test.run())
    except MachineError as failure:
        error = str(failure)
    result = {
        "ok": error is None,
        "error": error,
        "kernel": platform.release(),
        "cgroup_version": cgroups.version(),
        "seconds": test.seconds,
    }
    print(json.dumps(result, indent=2))  # noqa: T201  # its output
    return 0 if error is None else 1


if __name__ == "__main__":
    sys.exit(main())
