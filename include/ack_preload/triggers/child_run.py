"""Wait for a run of another DAG, for as long as there is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import TriggerEvent
from asgiref.sync import sync_to_async


class ChildRunTrigger(DagStateTrigger):
    """Tell how the one run of ``run_ids`` ended; ``None`` when somebody has deleted it.

    ``DagStateTrigger`` counts the runs that are in one of ``states``. A run that is deleted never
    is, so that one would count for ever.
    """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", super().serialize()[1]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        path, words = self.serialize()
        (run_id,) = self.run_ids or [""]
        while True:
            if not await self._count():
                yield TriggerEvent((path, words | {run_id: None}))
                return
            if await self._count(states=[str(each) for each in self.states]):
                state = await sync_to_async(RuntimeTaskInstance.get_dagrun_state)(
                    self.dag_id, run_id
                )
                yield TriggerEvent((path, words | {run_id: state}))
                return
            await asyncio.sleep(self.poll_interval)

    async def _count(self, states: list[str] | None = None) -> int:
        count = sync_to_async(RuntimeTaskInstance.get_dr_count)
        return await count(dag_id=self.dag_id, run_ids=self.run_ids, states=states)
