"""Write events in the background, in order, without losing any to a short outage."""

from __future__ import annotations

import queue
import threading
from datetime import UTC, datetime

from .agent_api import ApiError, ApiUnreachableError, KubeApi
from .log import log
from .objects import Obj, event_object, time_text

FLUSH_S = 3.0
_RETRIES = 5
_RETRY_S = 1.0


class Recorder:
    """Posts events from one thread; the same event again only counts up, as a kubelet's does."""

    def __init__(self, api: KubeApi, host: str) -> None:
        self._api = api
        self._host = host
        self._waiting: queue.Queue[Obj] = queue.Queue()
        self._known: dict[tuple[str, ...], tuple[str, int]] = {}  # -> path, count
        self._stopping = threading.Event()
        threading.Thread(target=self._post_all, name="events", daemon=True).start()

    def tell(
        self,
        reference: Obj,
        reason: str,
        message: str,
        *,
        kind: str = "Normal",
        at: datetime | None = None,
    ) -> None:
        now = at or datetime.now(UTC)
        self.put(event_object(reference, kind, reason, message, now=now, host=self._host))

    def put(self, event: Obj) -> None:
        self._waiting.put(event)

    def flush(self) -> None:
        """Wait until what was told so far is written: a status must not overtake its events."""
        with self._waiting.all_tasks_done:
            self._waiting.all_tasks_done.wait_for(
                lambda: not self._waiting.unfinished_tasks, timeout=FLUSH_S
            )

    def stop(self) -> None:
        self._stopping.set()

    def _post_all(self) -> None:
        while True:
            event = self._waiting.get()
            for _ in range(_RETRIES):
                if self._posted(event) or self._stopping.wait(_RETRY_S):
                    break
            self._waiting.task_done()

    def _posted(self, event: Obj) -> bool:
        """Return whether the event needs no further try."""
        reference = event["involvedObject"]
        key = (
            reference.get("uid") or reference["name"],
            reference.get("fieldPath", ""),
            event["reason"],
            event["message"],
        )
        try:
            if key in self._known:
                path, count = self._known[key]
                count += 1
                now = time_text(datetime.now(UTC))
                self._api.merge(path, {"count": count, "lastTimestamp": now})
            else:
                metadata = event["metadata"]
                folder = f"/api/v1/namespaces/{metadata['namespace']}/events"
                path, count = f"{folder}/{metadata['name']}", 1
                self._api.create(folder, event)
            self._known[key] = path, count
        except ApiUnreachableError:
            return False
        except ApiError as error:
            self._known.pop(key, None)  # expired, perhaps: the next one is written anew
            log(f"event {event['reason']} of {reference['name']} was refused: {error}")
        return True
