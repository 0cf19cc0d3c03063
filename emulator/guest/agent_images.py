"""The system images of a node: pulled one after the other where absent, as ACK's script does."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from .agent_events import Recorder
from .cri import Cri, CriError
from .log import log
from .node_objects import node_image
from .objects import Obj, present_text, pulled_text, pulling_text, system_pod_reference

TRIES = 5
PAUSE_S = 1.0


class ImagePullError(Exception):
    """A system image could not be pulled; the node cannot join."""


class SystemImages:
    """What a node needs to be Ready.

    :param pause_s: before the second try of a pull; it doubles with each.
    """

    def __init__(
        self,
        cri: Cri,
        recorder: Recorder,
        node: str,
        references: Sequence[str],
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._cri = cri
        self._recorder = recorder
        self._node = node
        self._references = tuple(references)
        self._pause_s = pause_s

    def ensure(self, stop: threading.Event) -> None:
        """Have every image, pulling those that are not there, and tell what was done.

        The events are written while the next pull runs, so that they cost the node no time.

        :raises ImagePullError: naming the image, after several tries.
        """
        for reference in self._references:
            if stop.is_set():
                return
            if self._cri.image(reference):
                self._tell(reference, "Pulled", present_text(reference))
            else:
                self._tell(reference, "Pulling", pulling_text(reference))
                took_s, size = self._pull(reference, stop)
                self._tell(reference, "Pulled", pulled_text(reference, took_s, size))

    def missing(self) -> str:
        """Return why the node cannot be Ready for want of an image, or nothing."""
        gone = [each for each in self._references if self._cri.image(each) is None]
        return f"system images are not present: {', '.join(gone)}" if gone else ""

    def shown(self) -> list[Obj]:
        """Return all images of the runtime as a Node's status lists them, the largest first."""
        images = sorted(self._cri.images(), key=lambda image: -image.size_bytes)
        return [node_image([*image.digests, *image.tags], image.size_bytes) for image in images]

    def _pull(self, reference: str, stop: threading.Event) -> tuple[float, int]:
        """Pull an image and return how long it took and how large it is."""
        pause_s, problem = self._pause_s, "told to stop"
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
                return took_s, size
        raise ImagePullError(f"{reference} cannot be pulled: {problem}")

    def _tell(self, reference: str, reason: str, message: str) -> None:
        self._recorder.tell(system_pod_reference(reference, self._node), reason, message)
