"""Lazy disks on paper: a snapshot's images take time at their first use, and so may lose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from emulator.app import running
from emulator.clock import Clock
from emulator.kube.scheduler import Scheduler
from emulator.kube.store import KubeStore
from emulator.machines.base import DiskAttachment, MachineSpec, NodeJoin
from emulator.machines.paper import PaperMachines
from emulator.machines.paper_lazy import KUBELET_PACKAGE
from emulator.machines.paper_machine import PaperMachine
from emulator.machines.paper_tools.machine import PaperDisk
from emulator.settings import Settings
from tests.conftest import INSTANT
from tests.emulator.kube_world import VERSION, pod

STEP_S = 0.25
SETTLE = 50  # turns of the loop: what a step of the clock woke up has run by then


@dataclass
class Lab:
    """Paper machines, the cluster that they join, and a snapshot of a node that pulled."""

    machines: PaperMachines
    store: KubeStore

    async def join(self, name: str, disk_id: str) -> PaperMachine:
        """Start a node that is not Ready yet."""
        machines = self.machines
        images = machines.system_images()
        node_name = self.node_name(name)
        node = NodeJoin("c1", "np1", name, node_name, VERSION, "", "", "", "", images, "", 0.0)
        disks = (DiskAttachment(disk_id, "/dev/vdb", "bp1c0ffee00000000001", 40),)
        spec = MachineSpec(name, name, machines.reserve_ip(name), (), disks, node=node)
        machine = machines.machine(spec)
        await machine.start()
        return machine

    def node_name(self, name: str) -> str:
        """Return a node's name, which on ACK holds its address."""
        return f"cn-hangzhou.{self.machines.reserve_ip(name)}"

    async def seconds_until_ready(self, name: str) -> float:
        return await self.seconds_until("nodes", f"metadata.name={self.node_name(name)}")

    async def stop(self, machine: PaperMachine) -> None:
        """Stop a node and let the cluster forget it."""
        await machine.stop()
        self.store.delete("nodes", None, self.node_name(machine.spec.machine_id))

    async def seconds_until(self, kind: str, fields: str) -> float:
        """Move the clock until there is such an object; return how far."""
        passed = 0.0
        while not self.store.list(kind, fields=fields):
            self.store.clock.advance(timedelta(seconds=STEP_S))
            passed += STEP_S
            for _ in range(SETTLE):
                await asyncio.sleep(0)
            assert passed < 300
        return passed

    async def preloaded(self, name: str) -> PaperMachine:
        await self.machines.create_disk(f"d-{name}", 40, snapshot_id="s-1")
        return await self.join(name, f"d-{name}")

    def unread(self, disk_id: str) -> dict[str, int]:
        found: dict[str, int] = PaperDisk(self.machines._ground.disk(disk_id)).facts()["unread"]
        return found


@pytest.fixture
async def lab(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    """Return a lab whose disks are lazy at the rate that a test gives."""
    clock = Clock()
    store = KubeStore(clock)
    settings = Settings(lazy_disk_mb_per_s=request.param)
    machines = PaperMachines(settings, clock, store, tmp_path / "state")
    await machines.open()
    scheduler = asyncio.create_task(Scheduler(store).run())
    lab = Lab(machines, store)
    await machines.create_disk("d-1", 40)
    baseline = await lab.join("baseline", "d-1")
    await lab.seconds_until_ready("baseline")
    (PaperDisk(machines._ground.disk("d-1")).files / KUBELET_PACKAGE).mkdir(parents=True)
    await lab.stop(baseline)
    await machines.create_snapshot("s-1", "d-1")
    yield lab
    scheduler.cancel()
    await asyncio.gather(scheduler, return_exceptions=True)
    await machines.close()


def at(rate: float) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("lab", [rate], indirect=True, ids=[f"{rate:g}MBps"])


@at(20.0)
async def test_a_cached_node_loses_to_one_that_pulls_on_a_slow_lazy_disk(lab: Lab) -> None:
    await lab.machines.create_disk("d-blank", 40)
    await lab.join("pulling", "d-blank")
    pulled_s = await lab.seconds_until_ready("pulling")
    await lab.preloaded("cached")
    unread = lab.unread("d-cached")
    cached_s = await lab.seconds_until_ready("cached")
    due_s = sum(unread.values()) / 20e6
    assert due_s <= cached_s < due_s + len(unread) * STEP_S  # each wait ends with a step
    assert cached_s > 2 * pulled_s


@at(0.0)
async def test_a_cached_node_wins_while_disks_are_not_lazy(lab: Lab) -> None:
    await lab.preloaded("cached")
    assert lab.unread("d-cached") == {}
    assert await lab.seconds_until_ready("cached") <= STEP_S


@at(20.0)
async def test_what_was_read_once_is_fast_after_a_restart(lab: Lab) -> None:
    machine = await lab.preloaded("cached")
    first_s = await lab.seconds_until_ready("cached")
    assert lab.unread("d-cached") == {}
    await lab.stop(machine)
    await machine.start()
    assert first_s > 10 * STEP_S
    assert await lab.seconds_until_ready("cached") <= STEP_S


@at(20.0)
async def test_a_machine_that_is_stopped_while_it_reads_reads_again(lab: Lab) -> None:
    machine = await lab.preloaded("cached")
    whole = lab.unread("d-cached")
    lab.store.clock.advance(timedelta(seconds=STEP_S))
    await machine.stop()
    assert lab.unread("d-cached") == whole


@at(50.0)
async def test_a_pod_starts_once_its_image_was_read_and_at_once_when_it_was_written(
    lab: Lab,
) -> None:
    image = lab.machines.workload_image()
    first = await lab.preloaded("first")
    await lab.seconds_until_ready("first")
    container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent"}
    lab.store.create("pods", pod(name="pulls", containers=[container]))
    await lab.seconds_until("pods", "metadata.name=pulls,status.phase=Running")
    lab.store.create("pods", pod(name="written", containers=[container]))
    written = "metadata.name=written,status.phase=Running"
    assert await lab.seconds_until("pods", written) <= STEP_S
    await lab.stop(first)
    await lab.machines.create_snapshot("s-1b", "d-first")

    await lab.machines.create_disk("d-second", 40, snapshot_id="s-1b")
    size = max(lab.unread("d-second").values())  # the workload's image is the largest
    await lab.join("second", "d-second")
    await lab.seconds_until_ready("second")
    lab.store.create("pods", pod(name="reads", containers=[container]))
    took_s = await lab.seconds_until("pods", "metadata.name=reads,status.phase=Running")
    assert took_s == pytest.approx(size / 50e6, abs=2 * STEP_S)
    messages = [
        event["message"]
        for event in lab.store.list("events", fields="involvedObject.name=reads")
        if event["reason"] == "Pulled"
    ]
    assert messages == [f'Container image "{image}" already present on machine']


def test_lazy_disks_are_shown_where_they_are_on_and_only_there(tmp_path: Path) -> None:
    settings = replace(INSTANT, lazy_disk_mb_per_s=20.0)
    with running(tmp_path, settings=settings, seed="empty") as handle:
        shown = requests.get(f"{handle.facts['control_url']}/simulated", timeout=5).json()
        assert shown["lazy_disk_mb_per_s"] == 20.0
        assert handle.facts["simulated"] == shown
    assert "lazy_disk_mb_per_s" not in INSTANT.simulated()


@pytest.mark.parametrize("value", ["-1", "fast"])
def test_a_rate_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=f"lazy_disk_mb_per_s={value}: lazy_disk_mb_per_s "):
        Settings().changed([f"lazy_disk_mb_per_s={value}"])
