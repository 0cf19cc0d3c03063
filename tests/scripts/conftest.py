"""A paper machine for each test of a script: bash and the stand-ins, without SSH."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ack_preload.hooks.registry_login import RegistryLogin, for_machine
from emulator.clock import Clock
from emulator.kube.store import KubeStore
from emulator.machines.base import DiskAttachment, MachineSpec
from emulator.machines.paper import PaperMachines
from emulator.machines.paper_machine import PaperMachine
from emulator.settings import Settings

HERE = Path(__file__).parent
REMOTE = HERE.parents[1] / "include/ack_preload/remote"
SERIAL = "bp1c0ffee00000000001"


@dataclass
class Lab:
    """One machine with one blank data disk, and what a script is told about the world."""

    machines: PaperMachines
    machine: PaperMachine

    @property
    def catalogue(self) -> dict[str, dict[str, Any]]:
        """The images of the registry, by name without host."""
        entries = json.loads((self.machine.root.folder.parents[1] / "catalog.json").read_text())
        return {e["reference"].partition("/")[2]: e for e in entries["images"]}

    def lock(self, *names: str) -> str:
        """Return the lines of an image lock."""
        found = (self.catalogue[name] for name in names)
        return "".join(f"{e['digest']} {e['size']} {e['reference']}\n" for e in found)

    async def run(self, command: str, stdin: bytes = b"") -> tuple[int, str]:
        """Run a command line; return exit code, and stdout and stderr as one text."""
        process = await self.machine.shell.run(f"{{ {command}\n}} 2>&1")
        output, _ = await process.communicate(stdin)
        return process.returncode or 0, self.plain(output.decode(errors="replace"))

    def plain(self, text: str) -> str:
        """Take out of a text what differs from run to run."""
        text = text.replace(str(self.machine.root.path), "")
        text = text.replace(self.machines.private_registry, "PRIVATE")
        return text.replace(self.machines.registry, "REGISTRY")

    def login(self, password: str) -> str:
        """Return what ``pull_images.sh`` reads of the private registry from descriptor 3."""
        host, username = self.machines.private_registry, self.machines.registry_login.username
        return for_machine([RegistryLogin("private", host, username, password)]).decode()

    def told(self) -> str:
        """Return assignments that tell a case about the world."""
        facts = {
            "SCRIPTS": str(REMOTE),
            "SERIAL": SERIAL,
            "REGISTRY": self.machines.registry,
            "PRIVATE_LOCK": self.lock("team/reranker:2.1.0"),
            "LOGIN": self.login(self.machines.registry_login.password),
            "WRONG_LOGIN": self.login("wrong-password"),
            "PASSWORD": self.machines.registry_login.password,
            "PACKAGES_URL": self.machines.packages_url,
            "LOCK": self.lock("acs/coredns:v1.11.3.5-5321daf-aliyun", "acs/pause:3.9"),
            "CATALOGUE": str(self.machine.root.folder.parents[1] / "catalog.json"),
        }
        return "; ".join(f"{name}={shlex.quote(value)}" for name, value in facts.items())


@pytest.fixture
def packages(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "yum"))


@pytest.fixture
async def lab(tmp_path: Path, packages: str) -> AsyncIterator[Lab]:
    clock = Clock()
    machines = PaperMachines(Settings(), clock, KubeStore(clock), tmp_path)
    await machines.open()
    await machines.create_disk("d-1", 40)
    machines._ground = dataclasses.replace(machines._ground, package_manager=packages)
    spec = MachineSpec(
        machine_id="i-1",
        hostname="builder",
        private_ip=machines.reserve_ip("i-1"),
        authorized_keys=(),
        disks=(DiskAttachment("d-1", "/dev/vdb", SERIAL, 40),),
    )
    machine = machines.machine(spec)
    await machine.start()
    try:
        yield Lab(machines, machine)
    finally:
        await machines.close()
