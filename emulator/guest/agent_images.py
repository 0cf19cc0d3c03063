"""The system images of a node: pulled one after the other where absent, as ACK's script does."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .agent_events import Recorder
from .cri import Cri, CriError
from .log import log
from .node_objects import node_image
from .objects import Obj, present_text, pulled_text, pulling_text, system_pod_reference

TRIES = 5
PAUSE_S = 1.0  # before the second try; it doubles


class ImagePullError(Exception):
    """A system image could not be pulled; the node cannot join."""


@dataclass(frozen=True, slots=True)
class Had:
    """How an image came to be there; ``took_s`` is nothing for one that was there already."""

    reference: str
    size_bytes: int
    began: datetime
    ended: datetime
    took_s: float | None


class SystemImages:
    def __init__(self, cri: Cri, references: Sequence[str]) -> None:
        self._cri = cri
        self._references = tuple(references)
        self._had: list[Had] = []

    def ensure(self, stop: threading.Event) -> None:
        """Have every image, pulling those that are not there.

        :raises ImagePullError: naming the image, after several tries.
        """
        for reference in self._references:
            if stop.is_set():
                return
            self._had.append(self._have(reference, stop))

    def missing(self) -> str:
        """Return why the node cannot be Ready for want of an image, or nothing."""
        gone = [each for each in self._references if self._cri.image(each) is None]
        return f"system images are not present: {', '.join(gone)}" if gone else ""

    def tell(self, recorder: Recorder, node: str) -> None:
        """Write the events that a kubelet would have written for these images."""
        for had in self._had:
            reference = system_pod_reference(had.reference, node)
            if had.took_s is None:
                text = present_text(had.reference)
                recorder.tell(reference, "Pulled", text, at=had.ended)
                continue
            recorder.tell(reference, "Pulling", pulling_text(had.reference), at=had.began)
            text = pulled_text(had.reference, had.took_s, had.size_bytes)
            recorder.tell(reference, "Pulled", text, at=had.ended)

    def shown(self) -> list[Obj]:
        """Return all images of the runtime as a Node's status lists them, the largest first."""
        images = sorted(self._cri.images(), key=lambda image: -image.size_bytes)
        return [node_image([*image.digests, *image.tags], image.size_bytes) for image in images]

    def _have(self, reference: str, stop: threading.Event) -> Had:
        began = datetime.now(UTC)
        if found := self._cri.image(reference):
            return Had(reference, found.size_bytes, began, datetime.now(UTC), None)
        pause_s, problem = PAUSE_S, "told to stop"
        for attempt in range(1, TRIES + 1):
            clock = time.monotonic()
            try:
                self._cri.pull(reference, stop)
                took_s = time.monotonic() - clock
                pulled = self._cri.image(reference)
            except CriError as error:
                if stop.is_set():
                    break
                log(f"pull of {reference} failed, try {attempt} of {TRIES}: {error}")
                problem = str(error)
                stop.wait(pause_s)
                pause_s *= 2
            else:
                size = pulled.size_bytes if pulled else 0
                log(f"pulled {reference}, {size} bytes in {took_s:.3f} s")
                return Had(reference, size, began, datetime.now(UTC), took_s)
        raise ImagePullError(f"{reference} cannot be pulled: {problem}")
