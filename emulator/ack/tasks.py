"""Tasks: the work that ACK does behind a call, and DescribeTaskInfo.

Not emulated: CancelTask, the list of a cluster's tasks, stages.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from emulator.ack.actions import action
from emulator.ack.resources import NodePool, PoolState, Task, TaskState
from emulator.errors import NOT_FOUND, ApiError
from emulator.machines.base import MachineError
from emulator.params import Params
from emulator.stuck import let_go

if TYPE_CHECKING:
    from emulator.cloud import Cloud

log = logging.getLogger(__name__)
BEIJING = timezone(timedelta(hours=8))


class TaskFailedError(Exception):
    """Work of ACK that did not come off; its text is what the task's ``error`` says."""


def beijing(moment: datetime) -> str:
    """Return a moment as ACK writes it, such as ``2020-08-25T11:25:35+08:00``."""
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")


def begin(
    cloud: Cloud,
    pool: NodePool,
    task_type: str,
    state: PoolState,
    work: Coroutine[Any, Any, None],
    *,
    is_new: bool = False,
) -> Task:
    """Put the pool into a transient state and do the work behind it.

    :param is_new: the pool is ``initial`` before.
    """
    now = cloud.now()
    task = Task(
        task_id=cloud.ids.task(),
        task_type=task_type,
        cluster_id=pool.cluster_id,
        target_id=pool.node_pool_id,
        created=now,
        updated=now,
    )
    cloud.tasks[task.task_id] = task
    pool.state = PoolState.INITIAL if is_new else state
    note(cloud, task, "start", f"{task_type} of {pool.node_pool_id} started")
    cloud.spawn(follow(cloud, pool, task, state, work))
    return task


async def follow(
    cloud: Cloud, pool: NodePool, task: Task, state: PoolState, work: Coroutine[Any, Any, None]
) -> None:
    """Await the work; whatever becomes of it, the task ends and the pool is active again."""
    try:
        await cloud.clock.sleep(cloud.settings.task_step_s)
        await let_go(cloud, "node_pool", pool.state, pool.node_pool_id, pool.name)
        if pool.state is not state:
            pool.state = state
            await let_go(cloud, "node_pool", pool.state, pool.node_pool_id, pool.name)
        await work
    except (TaskFailedError, MachineError) as exc:
        task.state = TaskState.FAIL
        task.error = str(exc)
        note(cloud, task, "fail", str(exc), level="error")
        log.warning("%s %s failed: %s", task.task_type, task.task_id, exc)
    except Exception:
        task.state = TaskState.FAIL
        task.error = "an internal error; see the emulator's log"
        raise
    else:
        task.state = TaskState.SUCCESS
        note(cloud, task, "finish", f"{task.task_type} of {pool.node_pool_id} finished")
    finally:
        work.close()  # never started when the emulator stops before
        task.updated = pool.updated = cloud.now()
        if pool.node_pool_id in cloud.node_pools:
            pool.state = PoolState.ACTIVE


def note(cloud: Cloud, task: Task, name: str, message: str, *, level: str = "info") -> None:
    task.events.append(
        {
            "action": name,
            "level": level,
            "message": message,
            "reason": task.task_type,
            "source": "nodepool",
            "timestamp": str(int(cloud.now().timestamp() * 1000)),
        }
    )


@action("DescribeTaskInfo")
def describe_task_info(cloud: Cloud, params: Params) -> dict[str, Any]:
    task = cloud.tasks.shown().get(params["task_id"])
    if task is None:
        raise ApiError(NOT_FOUND, "ErrorTaskNotFound", f"task {params['task_id']} is not found")
    results = {TaskState.RUNNING: "initial", TaskState.SUCCESS: "success"}
    status = results.get(task.state, "failed")
    body = {
        "task_id": task.task_id,
        "task_type": task.task_type,
        "state": task.state,
        "cluster_id": task.cluster_id,
        "target": {"id": task.target_id, "type": "nodepool"},
        "created": beijing(task.created),
        "updated": beijing(task.updated),
        "current_stage": "",
        "stages": [],
        "events": task.events,
        "task_result": [{"data": task.target_id, "status": status}],
    }
    if task.error:
        body["error"] = {"code": "TaskFailed", "message": task.error}
    return body
