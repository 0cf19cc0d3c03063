"""What goes on beside a run: faults armed and relieved, and what the harness does itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ack_preload.domain.tags import PURPOSE_KEY
from local.chaos.cases import Case
from local.chaos.neighbours import Account, release

LOOK_EVERY_S = 0.05


class Beside:
    """A thread that waits for the first fault to strike and then does what the case says.

    A context; leaving it ends the thread, and raises what went wrong in it.
    """

    def __init__(self, account: Account, case: Case) -> None:
        self._account = account
        self._case = case
        self._fault_ids: list[str] = []
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=case.name, daemon=True)
        self.done = ""  # what was done, as the report says it
        self._struck = 0

    def __enter__(self) -> Beside:
        return self

    def before(self, task_id: str) -> None:
        """Arm the faults when their stage begins, and start to wait for the first to strike."""
        if self._fault_ids or task_id != (self._case.armed_at or self._case.stage):
            return
        self._fault_ids = [self._account.arm(fault) for fault in self._case.faults]
        if self._case.relief_s is not None or self._case.happens:
            self._thread.start()

    def struck(self) -> int:
        return self._struck or sum(map(self._account.struck, self._fault_ids))

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._account.struck(self._fault_ids[0]):
                if self._over.wait(LOOK_EVERY_S):
                    return
            if self._case.happens:
                self.done = MISHAPS[self._case.happens](self._account)
            if self._case.relief_s is not None and not self._over.wait(self._case.relief_s):
                self._struck = self.struck()
                for fault_id in self._fault_ids:
                    self._account.disarm(fault_id)
        except Exception as exc:  # raised again where it is waited for
            self._failure = exc


def _release_build_instance(account: Account) -> str:
    """Take the build instance away, as a person in the console or a reclaim does."""
    for line in account.scene().alive:
        if _is_of_build(line):
            release(account, str(line["id"]))
            return f"{line['id']} released"
    raise RuntimeError("there is no build instance to release")


def _is_of_build(line: Any) -> bool:
    ours = line["tags"].get(PURPOSE_KEY) == "build"
    return bool(line["kind"] == "instance" and ours and not line["name"].startswith("foreign-"))


MISHAPS: dict[str, Callable[[Account], str]] = {"instance_released": _release_build_instance}
