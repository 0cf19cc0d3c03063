"""The progress of remote work where Airflow's UI shows it while the task is deferred: an XCom."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

KEY = "progress"
EVERY_S = 5.0
WITHIN_S = 5.0


class Progress:
    """What is known of one task's work, pushed when it is news, and not too often."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._shown: Any = None
        self._pushed_at = float("-inf")

    async def show(self, subject: Mapping[str, Any], progress: Any, *, is_last: bool) -> None:
        """Push ``progress``; a UI that cannot be told is no reason to stop waiting."""
        now = time.monotonic()
        if progress == self._shown or (now - self._pushed_at < self._every_s and not is_last):
            return
        self._shown, self._pushed_at = progress, now
        try:
            async with asyncio.timeout(WITHIN_S):
                await _push(subject, progress)
        except Exception as exc:  # whatever it is: the wait goes on
            log.debug("Progress was not shown in the UI: %r", exc)


async def _push(subject: Mapping[str, Any], progress: Any) -> None:
    """Set the XCom as the task itself would. Only a triggerer can; elsewhere it raises."""
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415  # makes the XCom backend

    await XCom.aset(
        KEY,
        progress,
        dag_id=subject["dag_id"],
        run_id=subject["run_id"],
        task_id=subject["task_id"],
        map_index=int(subject["map_index"]),
    )
