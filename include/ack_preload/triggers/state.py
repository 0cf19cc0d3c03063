"""The one trigger of this project: look at a state until its ``Wait`` gives a verdict.

When is the wait's own matter, how is not: waits of one triggerer look together, in the pace of
their account; see :mod:`ack_preload.triggers.polling`.

It has no ``on_kill`` on purpose. Airflow may call that for a triggerer that only stalled, and
after a clear calls it when the new try already runs. What costs money is deleted by the
teardown tasks of the DAG, which find it by its tags; a wait itself has nothing to stop.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    PreloadError,
    ThrottledError,
    UnclearReplyError,
)
from ack_preload.domain.waits import ABSENT, WAITS, Verdict
from ack_preload.hooks.account import VISIBLE_WITHIN_S
from ack_preload.hooks.calls import OF_ALL
from ack_preload.hooks.pace import LONGEST_ASKED_S
from ack_preload.triggers.polling import FRESH_S
from ack_preload.triggers.probes import PROBES, Observation, Watch, open_watch

LONGEST_PAUSE = timedelta(seconds=60)
"""After looks that failed the pause doubles, up to here or to the wait's own, if longer."""
JITTER = 0.2
"""Up to this share is added to each pause, so that mapped tasks do not poll in step."""

LAST_LOOK_S = 60.0
"""A look that has no answer so long after the deadline, because the account rests or the line is
dead, is given up."""

SETTLING_S = 3.0
"""An event is held back until the wait is so old. The task that deferred has a process that still
ends; when the resumed one overtakes it, the scheduler takes that end for its own and fails a task
that runs (apache/airflow#72716, open in Airflow 3.3.2). On a busy machine 1 in 7 waits met it."""
SETTLING_LOOKS = 2
"""But not longer than so many looks: a cloud that is polled fast, as a local one, is in a hurry."""


class StateTrigger(BaseTrigger):
    """Wait for ``subject`` to satisfy the wait called ``wait``.

    :param subject: what the wait's probe needs to find the resource; plain values only.
    :param deadline: ISO 8601, in UTC. A moment, not a duration: it survives a triggerer
        restart, where a count of attempts would start again from zero.
    :param every_s: pause between two looks; ``None`` takes the wait's own.
    :param visible_within_s: how late the cloud may list what there is: a resource that was seen
        has to be absent for so long before it counts as gone.
    """

    def __init__(
        self,
        *,
        wait: str,
        subject: dict[str, Any],
        conn_id: str,
        deadline: str,
        every_s: float | None = None,
        visible_within_s: float = VISIBLE_WITHIN_S,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own lacks annotations
        self.wait = wait
        self.subject = subject
        self.conn_id = conn_id
        self.deadline = deadline
        self.every_s = every_s
        self.visible_within_s = visible_within_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "wait": self.wait,
                "subject": self.subject,
                "conn_id": self.conn_id,
                "deadline": self.deadline,
                "every_s": self.every_s,
                "visible_within_s": self.visible_within_s,
            },
        )

    @property
    def resource(self) -> str:
        """The name of what is waited for, as logs and errors say it."""
        return str(self.subject.get(PROBES[self.wait].names, self.wait))

    async def run(self) -> AsyncIterator[TriggerEvent]:
        started = time.monotonic()
        event = await self._outcome()
        await asyncio.sleep(max(0.0, self._settling_s() - (time.monotonic() - started)))
        yield event

    async def _outcome(self) -> TriggerEvent:
        while True:
            opened = time.monotonic()
            try:
                async with open_watch(self.wait, self.conn_id) as watch:
                    return await self._verdict(watch)
            except CloudError as exc:
                if exc.code.startswith(OF_ALL) and time.monotonic() - opened > FRESH_S:
                    # The keys were good once: there may be new ones in the connection by now.
                    self.log.warning("Reading the connection %s again: %s", self.conn_id, exc)
                    continue
                detail = {"code": exc.code, "message": exc.message, "request_id": exc.request_id}
                return self._event(Verdict.REFUSED, Observation(exc.code, detail))
            except PreloadError as exc:
                return self._event(Verdict.FAILED, Observation("unwatchable", {"error": str(exc)}))

    async def _verdict(self, watch: Watch) -> TriggerEvent:
        wait, deadline = WAITS[self.wait], datetime.fromisoformat(self.deadline)
        seen, missed, shown, pause = False, 0, "", timedelta()
        absent_since: float | None = None
        while True:  # one look at least, even if the triggerer was down past the deadline
            found, retry_after_s = await self._look(watch, pause, deadline)
            if found is None:
                missed += 1
                verdict, latest = Verdict.PENDING, Observation("unknown: no look succeeded")
            else:
                missed, latest = 0, found
                now = time.monotonic()
                absent_since = (absent_since or now) if found.state == ABSENT else None
                lasting = now - (absent_since or now) >= self.visible_within_s
                verdict = wait.judge(found.state, seen=seen, lasting=lasting)
                seen = seen or found.state != ABSENT
                shown = self._show(found, shown)
            left = deadline - datetime.now(UTC)
            if verdict is not Verdict.PENDING or left <= timedelta():
                return self._event(verdict, latest)
            pause = min(self._pause(missed, retry_after_s), left)

    async def _look(
        self, watch: Watch, pause: timedelta, deadline: datetime
    ) -> tuple[Observation | None, float]:
        """Return what is seen after a pause, or ``None`` with what the cloud asks to wait for."""
        left_s = max(0.0, (deadline - datetime.now(UTC)).total_seconds())
        try:
            async with asyncio.timeout(left_s + LAST_LOOK_S):
                return await watch(self.subject, pause.total_seconds()), 0.0
        except (ThrottledError, CloudUnavailableError) as exc:
            self.log.warning("Could not look at %s, waiting on: %s", self.resource, exc)
            return None, exc.retry_after_s or 0.0
        except UnclearReplyError as exc:
            self.log.warning("Could not look at %s, waiting on: %s", self.resource, exc)
        except TimeoutError:
            self.log.warning("Could not look at %s: no answer by the deadline", self.resource)
        return None, 0.0

    def _show(self, found: Observation, shown: str) -> str:
        """Log the state, or the progress, when it is news."""
        match found.detail.get("progress"):
            case {"done": done, "of": of, "bytes": size}:
                line = f"progress: {done} of {of} images, {size} bytes"
            case _:
                line = f"{self.resource} is {found.state}"
        if line != shown:
            self.log.info("%s", line)
        return line

    def _settling_s(self) -> float:
        return min(SETTLING_S, SETTLING_LOOKS * self._own_pause().total_seconds())

    def _own_pause(self) -> timedelta:
        return WAITS[self.wait].every if self.every_s is None else timedelta(seconds=self.every_s)

    def _pause(self, missed: int, retry_after_s: float) -> timedelta:
        own = self._own_pause()
        grown = min(own * 2 ** min(missed, 10), max(own, LONGEST_PAUSE))
        pause = max(grown, timedelta(seconds=min(retry_after_s, LONGEST_ASKED_S)))
        spread = random.uniform(1, 1 + JITTER)  # noqa: S311  # spreads load, hides nothing
        return timedelta(seconds=pause.total_seconds() * spread)

    def _event(self, verdict: Verdict, seen: Observation) -> TriggerEvent:
        return TriggerEvent(
            {
                "verdict": verdict.value,
                "state": seen.state,
                "id": self.resource,
                "detail": seen.detail,
                "subject": self.subject,
            }
        )
