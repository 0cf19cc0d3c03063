"""Spot instances that are taken back.

https://www.alibabacloud.com/help/en/ecs/user-guide/query-the-interruption-events-of-preemptible-instances
Simulated: there is no market; a ``SpotReclaim`` fault is the only reason.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from emulator.ecs import releasing
from emulator.ecs.resources import InstanceStatus
from emulator.faults import SpotReclaim

if TYPE_CHECKING:
    from emulator.cloud import Cloud
    from emulator.ecs.resources import Instance

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0  # no source; how soon a new fault is noticed, on the cloud's clock


async def watch(cloud: Cloud, instance: Instance) -> None:
    """Wait for a fault that takes a spot instance back, for as long as the instance is there."""
    met: list[SpotReclaim] = []

    def is_new(fault: SpotReclaim) -> bool:
        if any(each is fault for each in met):
            return False
        met.append(fault)
        return True

    while not releasing.is_leaving(cloud, instance):
        if instance.status is InstanceStatus.RUNNING:
            names = (instance.instance_id, instance.name)
            fault = cloud.faults.strike(SpotReclaim, *names, where=is_new)
            if fault is not None:
                await take_back(cloud, instance, fault)
                continue
        await cloud.clock.sleep(LOOK_EVERY_S)


async def take_back(cloud: Cloud, instance: Instance, fault: SpotReclaim) -> None:
    """Announce it and do it, also when the instance was stopped meanwhile.

    Called off, notice and all, when the fault is removed before the end.
    """
    end = (instance.started or cloud.now()) + timedelta(seconds=fault.after_s)
    if not await is_on_at(cloud, instance, fault, end - timedelta(seconds=fault.notice_s)):
        return
    instance.is_recycling = True
    if await is_on_at(cloud, instance, fault, end):
        log.info("%s is taken back", instance.instance_id)
        await releasing.release(cloud, instance)
    else:
        instance.is_recycling = False
        log.info("%s is not taken back after all", instance.instance_id)


async def is_on_at(cloud: Cloud, instance: Instance, fault: SpotReclaim, moment: datetime) -> bool:
    """Wait for a moment; return early, with False, when it is called off or the instance goes."""
    while cloud.faults.is_armed(fault) and not releasing.is_leaving(cloud, instance):
        left = (moment - cloud.now()).total_seconds()
        if left <= 0:
            return True
        await cloud.clock.sleep(min(left, LOOK_EVERY_S))
    return False
