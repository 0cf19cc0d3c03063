"""What goes on beside a run: faults armed and relieved, and what the harness does itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from alibabacloud_ecs20140526 import models as ecs

from ack_preload.domain.tags import PURPOSE_KEY
from local.chaos.cases import Case
from local.chaos.neighbours import Account, order_instance

LOOK_EVERY_S = 0.05


class Beside:
    """A thread that waits for the first fault to strike and then does what the case says.

    A context; leaving it ends the thread, and raises what went wrong in it.
    """

    def __init__(self, account: Account, case: Case) -> None:
        self._account = account
        self._case = case
        self._fault_ids: list[str] = []
        self._causes: list[str] = []
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=case.name, daemon=True)
        self.done = ""  # what was done, as the report says it
        self._struck = 0

    def __enter__(self) -> Beside:
        return self

    def before(self, task_id: str) -> None:
        """Arm the faults when their stage begins, and start to wait for the first to strike."""
        if self._case.because and not self._causes and task_id == self._case.because_at:
            self._causes = [self._account.arm(fault) for fault in self._case.because]
        if self._causes and task_id == self._case.stage:
            while self._causes:
                self._account.disarm(self._causes.pop())
        if self._fault_ids and task_id in self._case.relieved_at:
            self._relieve()
        if self._fault_ids or self._struck or task_id != (self._case.armed_at or self._case.stage):
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
                self._relieve()
        except Exception as exc:  # raised again where it is waited for
            self._failure = exc

    def _relieve(self) -> None:
        """Remove the faults, once, and keep how often they struck."""
        self._struck = self.struck()
        fault_ids, self._fault_ids = self._fault_ids, []
        for fault_id in fault_ids:
            self._account.disarm(fault_id)


def _release(account: Account) -> str:
    """Take the build instance away, as a person in the console or a reclaim does."""
    instance_id = _build_instance(account)
    account.ecs.delete_instance(ecs.DeleteInstanceRequest(instance_id=instance_id, force=True))
    return f"{instance_id} released"


def _cut_power(account: Account) -> str:
    """Stop the build instance by force: what had not reached its disk is lost."""
    instance_id = _build_instance(account)
    account.ecs.stop_instance(ecs.StopInstanceRequest(instance_id=instance_id, force_stop=True))
    return f"{instance_id} without power"


def _harm(account: Account) -> str:
    """Do what must never happen, to prove that it would be seen: a twin, a retagged neighbour."""
    (ours,) = [line for line in account.scene().alive if line["id"] == _build_instance(account)]
    order_instance(account, str(ours["name"]), ours["tags"])
    (neighbour, *_) = [line for line in account.scene().alive if line["name"] == "foreign-0"]
    account.ecs.tag_resources(
        ecs.TagResourcesRequest(
            region_id=account.facts["region_id"],
            resource_type="keypair",
            resource_id=[neighbour["name"]],
            tag=[ecs.TagResourcesRequestTag(key="touched", value="yes")],
        )
    )
    return f"{ours['id']} has a twin"


def _build_instance(account: Account) -> str:
    for line in account.scene().alive:
        ours = line["tags"].get(PURPOSE_KEY) == "build"
        if line["kind"] == "instance" and ours and not line["name"].startswith("foreign-"):
            return str(line["id"])
    raise RuntimeError("there is no build instance")


MISHAPS: dict[str, Callable[[Account], str]] = {
    "released": _release,
    "power": _cut_power,
    "harm": _harm,
}
