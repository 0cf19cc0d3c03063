"""A wait that ends its task in the triggerer, without another process for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from ack_preload.domain.waits import Verdict
from ack_preload.triggers.state import StateTrigger


class EndingTrigger(StateTrigger):
    """The product's trigger; only who hears of its verdict differs."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async for event in super().run():
            good = event.payload["verdict"] == Verdict.DONE
            yield TaskSuccessEvent() if good else TaskFailedEvent()
