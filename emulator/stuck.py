"""Where a resource leaves a transient state, unless a fault keeps it there."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from emulator.faults import Stuck

if TYPE_CHECKING:
    from emulator.cloud import Cloud

LOOK_EVERY_S = 0.2  # no source; how soon a removed fault is noticed, on the cloud's clock


async def let_go(
    cloud: Cloud,
    resource: Literal["instance", "disk", "snapshot", "node_pool"],
    state: str,
    *names: str,
) -> None:
    """Return once no fault keeps a resource in the state that it is about to leave.

    :param names: the resource's id and then its name.
    """

    def is_meant(fault: Stuck) -> bool:
        return fault.resource == resource and fnmatchcase(state, fault.state)

    # One that is stuck already stays so, by whichever way else it would leave its state.
    fault = cloud.stuck.get(names[0]) or cloud.faults.strike(Stuck, *names, where=is_meant)
    if fault is None:
        return
    cloud.stuck[names[0]] = fault
    while cloud.faults.is_armed(fault):
        await cloud.clock.sleep(LOOK_EVERY_S)
    cloud.stuck.pop(names[0], None)
