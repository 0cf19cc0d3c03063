"""The machines of one test, and a way into them."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from emulator.machines.base import DiskAttachment, Machine, MachineSpec
from emulator.machines.real import RealMachines
from emulator.settings import Settings

SETTINGS = Settings(content_scale=0.01)
REFUSED = 255  # exit code of ssh itself; of the command's it is any other


@dataclass
class Lab:
    """The machines of one test, with the key that opens them."""

    machines: RealMachines
    key: Path

    def spec(self, name: str, *disk_ids: str, **changes: object) -> MachineSpec:
        disks = tuple(
            DiskAttachment(disk_id, f"/dev/vd{letter}", serial(disk_id), 10)
            for disk_id, letter in zip(disk_ids, "bcdef", strict=False)
        )
        key = self.key.with_suffix(".pub").read_text().strip()
        spec = MachineSpec(name, name, self.machines.reserve_ip(name), (key,), disks)
        return replace(spec, **changes)  # type: ignore[arg-type]  # a test's own business

    async def boot(self, name: str, *disk_ids: str, **changes: object) -> Machine:
        """Start a machine with blank disks and wait until it answers."""
        for disk_id in disk_ids:
            await self.machines.create_disk(disk_id, 10)
        machine = self.machines.machine(self.spec(name, *disk_ids, **changes))
        await machine.start()
        await self.run(name, "true")
        return machine

    async def run(self, name: str, script: str) -> str:
        """Run a script as root and return its output; the test fails if the script does."""
        done = await self.try_run(name, script)
        assert done.returncode == 0, f"{script}\nexit {done.returncode}: {done.stderr}"
        return done.stdout

    async def try_run(self, name: str, script: str) -> subprocess.CompletedProcess[str]:
        address = f"root@{self.machines.reserve_ip(name)}"
        flags = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        command = ["ssh", "-i", str(self.key), *flags.split(), "-o", "LogLevel=ERROR"]
        while True:  # the test's own time limit ends it
            done = await asyncio.to_thread(
                subprocess.run,
                [*command, address, "bash -s"],
                input=script,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != REFUSED:
                return done
            await asyncio.sleep(0.02)  # no event tells from outside that sshd listens


def serial(disk_id: str) -> str:
    return disk_id.replace("-", "").ljust(20, "0")
