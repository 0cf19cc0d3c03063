"""The agent of Cloud Assistant on an instance: when it runs, and when it was last heard of.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describecloudassistantstatus
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from emulator.ecs.resources import InstanceStatus
from emulator.faults import AssistantAbsent

if TYPE_CHECKING:
    from emulator.cloud import Cloud
    from emulator.ecs.resources import Instance

# One at least of those that the page names: whatever of it is emulated works with it.
VERSION = "2.2.3.857"
HEARTBEAT = timedelta(seconds=60)  # the page: a minute on average
HEARD_WITHIN = timedelta(minutes=2)  # the page: what CloudAssistantStatus tells


def absence(cloud: Cloud, instance: Instance) -> AssistantAbsent | None:
    """Return the fault by which an instance has no agent."""
    return cloud.faults.holds(AssistantAbsent, instance.instance_id, instance.name)


def is_up(cloud: Cloud, instance: Instance) -> bool:
    """Tell whether an agent takes commands now."""
    since = up_since(cloud, instance)
    return since is not None and since <= cloud.now()


def up_since(cloud: Cloud, instance: Instance) -> datetime | None:
    """Return from when on the agent runs, or will; None where it does not."""
    is_running = instance.status in (InstanceStatus.RUNNING, InstanceStatus.STOPPING)
    if not is_running or instance.started is None or instance.is_silent:
        return None
    if absence(cloud, instance) is not None:
        return None
    return instance.started + timedelta(seconds=cloud.settings.agent_boot_s)


def last_heartbeat(cloud: Cloud, instance: Instance) -> datetime | None:
    """Return when the agent last told that it is there; it does so every minute."""
    if absence(cloud, instance) is not None:
        return None
    if (since := up_since(cloud, instance)) is None or since > cloud.now():
        return instance.last_heard
    return since + (cloud.now() - since) // HEARTBEAT * HEARTBEAT


def is_heard(cloud: Cloud, instance: Instance) -> bool:
    """Tell what CloudAssistantStatus does, which outlasts the agent by up to two minutes."""
    heard = last_heartbeat(cloud, instance)
    return heard is not None and cloud.now() - heard < HEARD_WITHIN


def fall_silent(cloud: Cloud, instance: Instance) -> None:
    """End an agent with its machine, until that has started again."""
    instance.last_heard = last_heartbeat(cloud, instance)
    instance.is_silent = True
