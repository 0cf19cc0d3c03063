"""What is killed, at which stage, and when exactly, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from local.chaos.cases import BUILD, EXPORT, MEASURE, ROLLOUT

Victim = Literal["task process", "triggerer", "scheduler"]
NIGHTLY = "nightly_preload"

# Stage -> the call at which its process is held, so that the kill falls between the effect of the
# call and the reply; "" for a stage without one, whose process is killed while it runs its code.
STAGES: dict[tuple[str, str], str] = {
    (EXPORT, "export_image_list"): "DescribeClusterNodes",
    (BUILD, "import_key_pair"): "ImportKeyPair",
    (BUILD, "run_build_instance"): "RunInstances",
    (BUILD, "prepare_disk"): "",
    (BUILD, "install_runtime"): "",
    (BUILD, "pull_images"): "",
    (BUILD, "add_kubelet_package"): "",
    (BUILD, "seal_disk"): "",
    (BUILD, "stop_instance"): "StopInstance",
    (BUILD, "create_snapshot"): "CreateSnapshot",
    (BUILD, "record_snapshot"): "TagResources",
    (BUILD, "discard_snapshot"): "",
    (BUILD, "delete_instance"): "DeleteInstance",
    (BUILD, "delete_key_pair"): "DeleteKeyPairs",
    (ROLLOUT, "create_canary_pool"): "CreateClusterNodePool",
    (ROLLOUT, "add_canary_node"): "ModifyClusterNodePool",
    (ROLLOUT, "prove_images"): "",
    (ROLLOUT, "promote_snapshot"): "CreateClusterNodePool",
    (ROLLOUT, "await_new_nodes"): "DescribeClusterNodePoolDetail",
    (ROLLOUT, "record_rollout"): "",
    (ROLLOUT, "delete_canary_pool"): "DeleteClusterNodepool",
    (MEASURE, "create_baseline_pool"): "CreateClusterNodePool",
    (MEASURE, "create_preloaded_pool"): "CreateClusterNodePool",
    (MEASURE, "measure_sample"): "ModifyClusterNodePool",
    (MEASURE, "compare"): "",
    (MEASURE, "delete_pools"): "DeleteClusterNodepool",
}
# They write to the history and are done in less time than it takes to see that they began: their
# process is killed as it is seen, which is before.
QUICK = ((ROLLOUT, "record_rollout"), (MEASURE, "compare"))
# Those that wait without a process, where it is the triggerer that can be lost.
DEFERRED: tuple[tuple[str, str], ...] = (
    (BUILD, "run_build_instance"),
    (BUILD, "prepare_disk"),
    (BUILD, "install_runtime"),
    (BUILD, "pull_images"),
    (BUILD, "add_kubelet_package"),
    (BUILD, "seal_disk"),
    (BUILD, "stop_instance"),
    (BUILD, "create_snapshot"),
    (ROLLOUT, "create_canary_pool"),
    (ROLLOUT, "add_canary_node"),
    (ROLLOUT, "promote_snapshot"),
    (ROLLOUT, "await_new_nodes"),
    (MEASURE, "create_baseline_pool"),
    (MEASURE, "create_preloaded_pool"),
    (MEASURE, "measure_sample"),
)
TEARDOWNS: tuple[tuple[str, str], ...] = (
    (BUILD, "delete_instance"),
    (ROLLOUT, "delete_canary_pool"),
    (MEASURE, "delete_pools"),
)
"""These wait too, but not when an earlier try died after its call: then nothing is left to go."""


@dataclass(slots=True)
class Kill:
    """One planned kill, and what was seen of it."""

    victim: Victim
    dag: str
    stage: str
    hold: str = ""
    is_early: bool = False  # killed as its process is seen, before it runs any code of ours
    fault_id: str = ""
    pid: int = 0  # of what was killed; 0: not yet
    at_try: int = 0
    saw: str = ""  # how it is known that the kill fell into the stage

    @property
    def is_done(self) -> bool:
        return bool(self.pid)


@dataclass(frozen=True, slots=True)
class Plan:
    """The kills of one nightly run."""

    name: str
    kills: tuple[Kill, ...] = field(default_factory=tuple)


def task_and_triggerer(dags: tuple[str, ...] = (EXPORT, BUILD, ROLLOUT, MEASURE)) -> Plan:
    """Kill every task process once, at its first try, and the triggerer once in every wait."""
    tasks = [
        Kill("task process", *stage, hold=hold, is_early=stage in QUICK)
        for stage, hold in STAGES.items()
    ]
    waits = [Kill("triggerer", *stage) for stage in DEFERRED]
    return Plan("tasks and triggerer", tuple(k for k in (*tasks, *waits) if k.dag in dags))


def scheduler(dags: tuple[str, ...] = (EXPORT, BUILD, ROLLOUT, MEASURE)) -> Plan:
    """Kill the scheduler once at every stage, with all that runs under it, as by its cgroup."""
    # A teardown dies before its call, so that its next try has something to wait for, and loses the
    # triggerer in that wait.
    holds = {**STAGES, **dict.fromkeys(TEARDOWNS, "")}
    early = (*QUICK, *TEARDOWNS)
    runs = [
        Kill("scheduler", *stage, hold=hold, is_early=stage in early)
        for stage, hold in holds.items()
    ]
    waits = [Kill("triggerer", *stage) for stage in TEARDOWNS]
    return Plan("scheduler", tuple(k for k in (*runs, *waits) if k.dag in dags))


def on_real_machines() -> Plan:
    """Kill what can be lost while real machines pull, seal, join and are proven."""
    stages = (
        Kill("task process", BUILD, "run_build_instance", "RunInstances"),
        Kill("task process", BUILD, "pull_images"),
        Kill("triggerer", BUILD, "pull_images"),
        Kill("scheduler", BUILD, "seal_disk"),
        Kill("triggerer", BUILD, "create_snapshot"),
        Kill("task process", ROLLOUT, "add_canary_node", "ModifyClusterNodePool"),
        Kill("triggerer", ROLLOUT, "add_canary_node"),
        Kill("task process", ROLLOUT, "prove_images"),
        Kill("scheduler", MEASURE, "measure_sample", "ModifyClusterNodePool"),
    )
    return Plan("real machines", stages)
