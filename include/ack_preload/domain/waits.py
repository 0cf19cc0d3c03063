"""What each resource is waited for, as data.

States are quoted from the API references, so that a reader can compare line by line:
https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describeinstances
https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describesnapshots
https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/developer-reference/api-cs-2015-12-15-describetaskinfo
https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/developer-reference/api-cs-2015-12-15-describeclusternodepooldetail
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

ABSENT = "absent"
"""The state of a resource that the cloud does not list."""


class Verdict(StrEnum):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    """The cloud refused the question itself: the resource was never judged."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How to judge one polled state.

    A state in neither set is *pending*: a new state that the cloud adds later makes the
    wait run into its deadline, never succeed by mistake.

    :param every: pause between two looks; an extra of the connection overrides it.
    :param within: from the start of the wait to its deadline.
    """

    done: frozenset[str]
    failed: frozenset[str]
    every: timedelta
    within: timedelta

    def judge(self, state: str, *, seen: bool = False, lasting: bool = True) -> Verdict:
        """Return the verdict on ``state``.

        :param seen: whether this wait saw the resource before. The cloud may list a new
            resource late, so ``absent`` alone is pending; one that was there and is gone
            will not come back.
        :param lasting: whether it is ``absent`` for longer than the cloud's answers lag. A single
            one may come from a replica that does not know of the resource yet.
        """
        if state in self.done:
            return Verdict.DONE
        if state == ABSENT:
            is_gone = lasting and (seen or ABSENT in self.failed)
            return Verdict.FAILED if is_gone else Verdict.PENDING
        return Verdict.FAILED if state in self.failed else Verdict.PENDING


def _wait(done: str, failed: str = "", *, every_s: float, within_m: float) -> Wait:
    return Wait(
        done=frozenset(done.split()),
        failed=frozenset(failed.split()),
        every=timedelta(seconds=every_s),
        within=timedelta(minutes=within_m),
    )


# Pauses are those of the cloud's own Terraform provider: 5 s, 10 s for removals, 15 s for what
# takes minutes anyway. No rate limit is published; a throttled look only waits longer.
WAITS: dict[str, Wait] = {
    # ECS: Pending -> (Starting ->) Running. Stopping on the way up means somebody stopped it.
    "instance_running": _wait("Running", "Stopping", every_s=5, within_m=15),
    "instance_stopped": _wait("Stopped", ABSENT, every_s=5, within_m=15),
    "instance_gone": _wait(ABSENT, every_s=10, within_m=20),
    # Cloud Assistant's agent, which starts late in the boot: `true` when it reports.
    "assistant_ready": _wait("true", every_s=5, within_m=10),
    # A full first snapshot of 100 GiB takes long; an incremental one does not.
    "snapshot_accomplished": _wait("accomplished", "failed", every_s=15, within_m=120),
    "snapshot_gone": _wait(ABSENT, every_s=10, within_m=20),
    # ACK: `fail` is documented, `failed` is what Terraform also guards against.
    "ack_task_succeeded": _wait("success", "fail failed canceled", every_s=5, within_m=90),
    "node_pool_active": _wait("active", "failed", every_s=5, within_m=90),
    # Before the next change: ACK refuses one while another is going on. Gone is settled too, and
    # so is failed: what is asked of it then is refused, or mends it.
    "node_pool_settled": _wait(f"active failed {ABSENT}", every_s=5, within_m=90),
    # `listed` is this project's word. How long is the connection's `visible_within_s`.
    "node_pool_listed": _wait("listed", every_s=5, within_m=1),
    "node_pool_gone": _wait(ABSENT, every_s=10, within_m=60),
    # `ready`, `joining` and `failed` are this project's words: see triggers/probes.py.
    "nodes_ready": _wait("ready", "failed", every_s=5, within_m=45),
    "nodes_gone": _wait(ABSENT, every_s=10, within_m=45),
    # A detached script on a machine; `lost` is a script that died without an exit code.
    "remote_job": _wait("succeeded", "failed lost", every_s=5, within_m=180),
    # Kubernetes' own words.
    "node_ready": _wait("Ready", "failed", every_s=2, within_m=45),
    "pod_running": _wait("Running Succeeded", "Failed", every_s=1, within_m=45),
}
