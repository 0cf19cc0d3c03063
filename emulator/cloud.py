"""The state of one account: every resource, and the work that goes on behind the calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any

from emulator.account import Account
from emulator.clock import Clock
from emulator.faults import Faults
from emulator.ids import Ids
from emulator.metering.meter import Meter
from emulator.metering.watched import MeteredShelf
from emulator.shelf import Shelf
from emulator.tokens import ClientTokens

if TYPE_CHECKING:
    from emulator.ack.resources import Cluster, NodePool, Task
    from emulator.ecs.invocations import Invocation
    from emulator.ecs.resources import Disk, Instance, KeyPair, Snapshot
    from emulator.faults import Stuck
    from emulator.machines.base import Machines
    from emulator.settings import Settings

log = logging.getLogger(__name__)


class Cloud:
    """All that one account owns. Lives on one event loop; handlers run there too."""

    def __init__(
        self, settings: Settings, clock: Clock, machines: Machines, faults: Faults | None = None
    ) -> None:
        self.settings = settings
        self.faults = faults or Faults()
        self.clock = clock
        self.machines = machines
        self.account = Account()
        self.ids = Ids()
        self.tokens = ClientTokens(clock, settings.token_processing_s)
        delay = settings.read_delay_s
        meter = self.meter = Meter(clock)
        self.instances: Shelf[Instance] = MeteredShelf("instance", meter, clock, delay)
        self.disks: Shelf[Disk] = MeteredShelf("disk", meter, clock, delay)
        self.snapshots: Shelf[Snapshot] = MeteredShelf("snapshot", meter, clock, delay)
        self.key_pairs: Shelf[KeyPair] = MeteredShelf("key_pair", meter, clock, delay)
        self.clusters: dict[str, Cluster] = {}
        self.node_pools: Shelf[NodePool] = MeteredShelf("node_pool", meter, clock, delay)
        self.tasks: Shelf[Task] = Shelf(clock, delay)
        self.invocations: Shelf[Invocation] = Shelf(clock, delay)
        self.stuck: dict[str, Stuck] = {}  # by the id of what the fault keeps in its state
        self.failures: list[dict[str, str]] = []  # what machines could not do
        self.on_release: list[Callable[[Cloud, Instance], None]] = []
        self._jobs: set[asyncio.Task[None]] = set()

    def now(self) -> datetime:
        return self.clock.now()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do work behind a call that has been answered."""
        job = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._finished)
        return job

    def _finished(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            log.error("background work failed: %s", error, exc_info=error)

    def failed(self, resource_id: str, reason: str) -> None:
        """Remember what a machine could not do; ``/_control/state`` shows it."""
        moment = f"{self.now():%Y-%m-%dT%H:%M:%SZ}"
        self.failures.append({"time": moment, "id": resource_id, "reason": reason})
        log.warning("%s: %s", resource_id, reason)

    def failure_of(self, resource_id: str) -> str:
        """Return the last failure of a resource, or nothing."""
        reasons = [each["reason"] for each in self.failures if each["id"] == resource_id]
        return reasons[-1] if reasons else ""

    async def open(self) -> None:
        await self.machines.open()

    def show_all(self) -> None:
        """Show all that there is by now, whatever ``read_delay_s`` says: it is the seed."""
        for shelf in (self.instances, self.disks, self.snapshots, self.key_pairs):
            shelf.show_all()
        self.node_pools.show_all()
        self.tasks.show_all()

    async def close(self) -> None:
        """Stop all work, cut off every machine, and close what they ran on."""
        self.meter.stop()
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        machines = [i.machine for i in self.instances.values() if i.machine is not None]
        results = await asyncio.gather(
            *(machine.destroy() for machine in machines), return_exceptions=True
        )
        for error in results:
            if isinstance(error, BaseException):
                log.error("a machine was not destroyed: %s", error)
        await self.machines.close()
