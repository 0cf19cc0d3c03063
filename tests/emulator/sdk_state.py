"""A step of the official SDKs through all actions, and what each learns for those after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from emulator.app import Handle
from emulator.ecs.resources import InstanceStatus, SnapshotStatus


@dataclass
class State:
    """What earlier steps have learnt, for later ones."""

    handle: Handle
    known: SimpleNamespace = field(default_factory=SimpleNamespace)

    def fact(self, name: str) -> str:
        return str(self.handle.facts[name])

    def is_in(self, status: InstanceStatus) -> bool:
        return self.handle.cloud.instances[self.known.instance].status is status

    def is_accomplished(self) -> bool:
        snapshot = self.handle.cloud.snapshots[self.known.snapshot]
        return snapshot.status is SnapshotStatus.ACCOMPLISHED

    def has_no_instance(self) -> bool:
        return self.known.instance not in self.handle.cloud.instances

    def command_is_over(self) -> bool:
        runs = self.handle.cloud.invocations[self.known.invoke].runs.values()
        return all(run.is_over for run in runs)

    def task_is_over(self) -> bool:
        return str(self.handle.cloud.tasks[self.known.task].state) != "running"

    def keep(self, **values: Any) -> bool:
        vars(self.known).update(values)
        return True


@dataclass(frozen=True)
class Step:
    """A call, what must be so of its parsed answer, and what to wait for then."""

    action: str
    arguments: Callable[[State], tuple[Any, ...]]
    holds: Callable[[State, Any], bool]
    then: Callable[[State], bool] | None = None
