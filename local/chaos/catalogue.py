"""Every case that runs in one process: stage x fault, and what has to come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from local.chaos.cases import (
    BUILD,
    EXPORT,
    MEASURE,
    PATIENCE_S,
    ROLLOUT,
    SWEEP,
    TEARDOWNS,
    Case,
)

FOR_BUILD, FOR_ROLLOUT = (EXPORT,), (EXPORT, BUILD)
FOR_CHANGE = (EXPORT, BUILD, ROLLOUT, BUILD)  # the pool is there, and a newer snapshot
OUTAGE_S = 1.5
LONG_PATIENCE_S = 15.0

ANSWERS: dict[str, Mapping[str, Any]] = {
    "throttle": {"kind": "throttle", "times": 2},
    "throttle, Retry-After": {"kind": "throttle", "status": 429, "retry_after_s": 1},
    "server_error, before": {"kind": "server_error", "status": 503},
    "server_error, after": {"kind": "server_error", "status": 500, "after": True},
    "reset_before": {"kind": "reset_before"},
    "reset_after": {"kind": "reset_after"},
    "empty_body": {"kind": "empty_body"},
}
"""Faults of an answer. A single call of a stage is lost, late or refused: all recover."""

# DAG, stage, what ran before, and the call of the stage that is hit.
CALLS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (EXPORT, "export_image_list", FOR_BUILD, "DescribeClusterNodes"),
    (BUILD, "import_key_pair", FOR_BUILD, "ImportKeyPair"),
    (BUILD, "run_build_instance", FOR_BUILD, "RunInstances"),
    (BUILD, "stop_instance", FOR_BUILD, "StopInstance"),
    (BUILD, "create_snapshot", FOR_BUILD, "CreateSnapshot"),
    (BUILD, "record_snapshot", FOR_BUILD, "TagResources"),
    (BUILD, "delete_instance", FOR_BUILD, "DeleteInstance"),
    (BUILD, "delete_key_pair", FOR_BUILD, "DeleteKeyPairs"),
    (ROLLOUT, "create_canary_pool", FOR_ROLLOUT, "CreateClusterNodePool"),
    (ROLLOUT, "add_canary_node", FOR_ROLLOUT, "ModifyClusterNodePool"),
    (ROLLOUT, "promote_snapshot", FOR_CHANGE, "ModifyClusterNodePool"),
    (ROLLOUT, "delete_canary_pool", FOR_ROLLOUT, "DeleteClusterNodepool"),
    (MEASURE, "create_baseline_pool", FOR_ROLLOUT, "CreateClusterNodePool"),
    (MEASURE, "measure_sample", FOR_ROLLOUT, "ModifyClusterNodePool"),
    (MEASURE, "delete_pools", FOR_ROLLOUT, "DeleteClusterNodepool"),
)
# Looks at a state, many of them: an outage of all looks for a while.
LOOKS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (BUILD, "run_build_instance", FOR_BUILD, "DescribeInstances"),
    (BUILD, "create_snapshot", FOR_BUILD, "DescribeSnapshots"),
    (ROLLOUT, "add_canary_node", FOR_ROLLOUT, "DescribeClusterNodes"),
    (ROLLOUT, "create_canary_pool", FOR_ROLLOUT, "DescribeTaskInfo"),
)


def answer_faults() -> Iterator[Case]:
    for dag, stage, after, action in CALLS:
        for fault, fields in ANSWERS.items():
            armed = {**fields, "target": action}
            yield Case(dag, stage, f"{fault}: {action}", (armed,), after=after)
    for dag, stage, after, action in LOOKS:
        for kind, more in (("server_error", {"status": 503}), ("reset_before", {})):
            armed = {"kind": kind, "target": action, "times": 0, **more}
            fault = f"{kind}, {OUTAGE_S} s long: {action}"
            yield Case(dag, stage, fault, (armed,), after=after, relief_s=OUTAGE_S)


def stuck(resource: str, state: str, target: str = "*") -> dict[str, Any]:
    return {"kind": "stuck", "resource": resource, "state": state, "target": target, "times": 0}


# DAG, stage, what ran before, resource, state in which it stays.
STUCK: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    (BUILD, "run_build_instance", FOR_BUILD, "instance", "Pending"),
    (BUILD, "run_build_instance", FOR_BUILD, "instance", "Starting"),
    (BUILD, "stop_instance", FOR_BUILD, "instance", "Stopping"),
    (BUILD, "create_snapshot", FOR_BUILD, "snapshot", "progressing"),
    (ROLLOUT, "create_canary_pool", FOR_ROLLOUT, "node_pool", "initial"),
    (ROLLOUT, "add_canary_node", FOR_ROLLOUT, "node_pool", "scaling"),
    (ROLLOUT, "delete_canary_pool", FOR_ROLLOUT, "node_pool", "deleting"),
    (ROLLOUT, "promote_snapshot", FOR_CHANGE, "node_pool", "updating"),
    (MEASURE, "delete_pools", FOR_ROLLOUT, "node_pool", "deleting"),
)
WITH_A_POOL = ("node_pool", "instance", "disk")  # what a pool that does not go leaves
TIMED_OUT = "WaitTimeoutError"


def stuck_cases() -> Iterator[Case]:
    for dag, stage, after, resource, state in STUCK:
        fault = (stuck(resource, state),)
        what = f"stuck: {resource} {state}"
        yield Case(dag, stage, f"{what}, let go", fault, after=after, relief_s=OUTAGE_S)
        yield Case(
            dag, stage, what, fault, "red", TIMED_OUT, after=after, patience_s=PATIENCE_S,
            relieved_at=() if stage in TEARDOWNS else TEARDOWNS,
            leaves=WITH_A_POOL if stage in TEARDOWNS else (),
        )  # fmt: skip


def ways_back() -> Iterator[Case]:
    """Yield those where the way back itself is hit: a pool that was there, and one that was not."""
    stuck_pool = (stuck("node_pool", "updating"),)
    never = ({"kind": "node_error", "message": "node initialization failed", "times": 0},)
    for fault in ("throttle", "server_error, after", "reset_before", "reset_after"):
        for action, after, because in (
            ("ModifyClusterNodePool", FOR_CHANGE, stuck_pool),
            ("DeleteClusterNodepool", FOR_ROLLOUT, never),
        ):
            yield Case(
                ROLLOUT, "go_way_back", f"{fault}: {action}",
                ({**ANSWERS[fault], "target": action},), "red",
                f"({TIMED_OUT}|ResourceFailedError)", "promote_snapshot", after=after,
                because=because, because_at="promote_snapshot", patience_s=PATIENCE_S,
            )  # fmt: skip


NEVER_READY = "ResourceFailedError: .*(never|Ready)"  # of the comparison, which keeps its samples


def resource_faults() -> Iterator[Case]:
    failed = {"kind": "snapshot_failed", "at_percent": 50}
    yield Case(
        BUILD, "create_snapshot", "snapshot_failed", (failed,), "red",
        r"ResourceFailedError: s-\S+ is failed", after=FOR_BUILD,
    )  # fmt: skip
    for code in ("OperationDenied.NoStock", "Zone.NotOnSale"):
        sold_out = {"kind": "no_stock", "code": code, "times": 0}
        yield Case(
            BUILD, "run_build_instance", f"no_stock: {code}", (sold_out,), "red",
            f"CloudError: {code}", after=FOR_BUILD,
        )  # fmt: skip
        yield Case(
            ROLLOUT, "add_canary_node", f"no_stock: {code}", (sold_out,), "red",
            f"ResourceFailedError: .*{code}", after=FOR_ROLLOUT,
        )  # fmt: skip
    sold_out = {"kind": "no_stock", "times": 0}
    yield Case(
        MEASURE, "measure_sample", "no_stock", (sold_out,), "red",
        NEVER_READY, "compare", after=FOR_ROLLOUT, patience_s=PATIENCE_S,
    )  # fmt: skip
    broken: dict[str, Any] = {"kind": "node_error", "message": "node initialization failed"}
    for stage in ("add_canary_node", "promote_snapshot"):
        yield Case(
            ROLLOUT, stage, "node_error", ({**broken, "times": 0},), "red",
            "ResourceFailedError: .*node initialization failed", after=FOR_ROLLOUT,
        )  # fmt: skip
    yield Case(
        MEASURE, "measure_sample", "node_error", ({**broken, "times": 0},), "red",
        NEVER_READY, "compare", after=FOR_ROLLOUT, patience_s=PATIENCE_S,
    )  # fmt: skip


REMOTE = ("prepare_disk", "install_runtime", "pull_images", "add_kubelet_package", "seal_disk")
SSH = {"export_image_list": (EXPORT, FOR_BUILD), "prove_images": (ROLLOUT, FOR_ROLLOUT)}
OURS = "ack-preload-*"  # the build instance, by its name


def ssh_faults() -> Iterator[Case]:
    for kind in ("ssh_refused", "ssh_dropped"):
        for stage, (dag, after) in SSH.items():
            yield Case(dag, stage, kind, ({"kind": kind, "target": "*"},), after=after)
        for stage in REMOTE:
            armed = {"kind": kind, "target": OURS}
            yield Case(BUILD, stage, kind, (armed,), after=FOR_BUILD)
    new_key = {"kind": "host_key_changed", "target": OURS}
    for stage in REMOTE[1:]:
        yield Case(
            BUILD, stage, "host_key_changed", (new_key,), "red",
            "NodeUnreachableError: .*[Hh]ost key", after=FOR_BUILD,
        )  # fmt: skip


def machine_faults() -> Iterator[Case]:
    pull: str = "pull_images"
    blobs: dict[str, Any] = {"kind": "registry_error", "target": "*"}
    for status in (429, 500, 503):
        once = {**blobs, "status": status}
        yield Case(BUILD, pull, f"registry_error {status}", (once,), after=FOR_BUILD)
    manifests = {**blobs, "part": "manifests"}
    yield Case(BUILD, pull, "registry_error 500, manifests", (manifests,), after=FOR_BUILD)
    unknown = {**blobs, "status": 401, "times": 0}
    yield Case(
        BUILD, pull, "registry_error 401, lasting", (unknown,), "red",
        "InvalidInputError: .*wants a login", after=FOR_BUILD,
    )  # fmt: skip
    for status in (404, 500):
        lasting = {**blobs, "status": status, "times": 0}
        yield Case(
            BUILD, pull, f"registry_error {status}, lasting", (lasting,), "red",
            "(RemoteJobError|ResourceFailedError): pull_images.sh", after=FOR_BUILD,
        )  # fmt: skip
    cut = {"kind": "registry_truncated", "percent": 50}
    yield Case(BUILD, pull, "registry_truncated", (cut,), after=FOR_BUILD)
    yield Case(
        BUILD, pull, "registry_truncated, lasting", ({**cut, "times": 0},), "red",
        "(RemoteJobError|ResourceFailedError): pull_images.sh", after=FOR_BUILD,
    )  # fmt: skip
    yield from package_faults()
    absent = {"kind": "assistant_absent", "target": OURS}
    yield Case(
        BUILD, "prepare_disk", "assistant_absent", (absent,), "red", "Cloud Assistant",
        after=FOR_BUILD, armed_at="import_key_pair", patience_s=PATIENCE_S,
    )  # fmt: skip
    full = {"kind": "disk_full", "target": OURS}
    for stage in (pull, "add_kubelet_package"):
        yield Case(BUILD, stage, "disk_full", (full,), "red", NO_SPACE, after=FOR_BUILD)


def package_faults() -> Iterator[Case]:
    stage: str = "add_kubelet_package"
    missing: dict[str, Any] = {"kind": "package_missing", "target": "*"}
    yield Case(
        BUILD, stage, "package_missing 404", ({**missing, "times": 0},), "red",
        "(RemoteJobError|ResourceFailedError): kubelet_package.sh", after=FOR_BUILD,
    )  # fmt: skip
    for status in (500, 503):
        once = ({**missing, "status": status},)
        yield Case(BUILD, stage, f"package_missing {status}", once, after=FOR_BUILD)
    yield Case(
        MEASURE, "measure_sample", "package_missing 404", ({**missing, "times": 0},), "red",
        NEVER_READY, "compare", after=FOR_ROLLOUT, patience_s=PATIENCE_S,
    )  # fmt: skip


def lagging() -> Iterator[Case]:
    """Yield those where reads come late, and a token is at work when its call is repeated."""
    late = {"read_delay_s": 1.0}
    for dag in (BUILD, ROLLOUT, MEASURE):
        before = FOR_BUILD if dag == BUILD else FOR_ROLLOUT
        yield Case(dag, "all", "reads lag by 1 s", after=before, settings=late)
    for dag, stage, after, action in CALLS:
        if action in ("RunInstances", "CreateSnapshot", "CreateClusterNodePool"):
            lost = {"kind": "reset_after", "target": action}
            settings = {"read_delay_s": 1.0, "token_processing_s": 1.0}
            fault = f"reset_after: {action}, reads lag, tokens at work"
            yield Case(dag, stage, fault, (lost,), after=after, settings=settings)


SWEPT = ("DeleteInstance", "DeleteSnapshot", "DeleteKeyPairs")
LISTED = ("DescribeInstances", "DescribeSnapshots", "DescribeKeyPairs", "DescribeClustersV1")


def sweeps() -> Iterator[Case]:
    """Yield those where a build ran without its end before, so that there is what has to go."""
    hits = [(action, fault) for action in SWEPT for fault in ("throttle", "reset_after")]
    hits += [(action, fault) for action in LISTED for fault in ("server_error, before",)]
    for action, fault in hits:
        armed = ({**ANSWERS[fault], "target": action},)
        yield Case(SWEEP, "sweep", f"{fault}: {action}", armed, after=FOR_BUILD)
    out: dict[str, Any] = {"kind": "server_error", "status": 503, "times": 0}
    everything = ("instance", "disk", "snapshot", "key_pair")
    yield Case(
        SWEEP, "sweep", "server_error, lasting: DescribeClusterNodePools",
        ({**out, "target": "DescribeClusterNodePools"},), "red", "503", leaves=everything,
        after=FOR_BUILD,
    )  # fmt: skip


NO_SPACE = r"Error: \w+\.sh.*([Nn]o space left on device|Failure writing output)"  # the tools'
LOST = "(WaitTimeoutError: .*no look succ|NodeUnreachableError: .*cannot be used over SSH)"


def taken_away() -> Iterator[Case]:
    """Yield those where the build instance goes while it pulls: the first error marks the pull.

    Each further try waits three minutes for a machine that may only be booting.
    """
    pulling = ({"kind": "registry_error", "target": "*", "status": 500},)
    for mishap, what in (("released", "instance released"), ("power", "machine without power")):
        yield Case(
            BUILD, "pull_images", what, pulling, "red", LOST, after=FOR_BUILD, happens=mishap,
            patience_s=LONG_PATIENCE_S,
        )  # fmt: skip


def quick_cases() -> list[Case]:
    """Return all of them, those of one local cloud next to each other."""
    found = [
        *answer_faults(),
        *stuck_cases(),
        *ways_back(),
        *sweeps(),
        *resource_faults(),
        *ssh_faults(),
        *machine_faults(),
        *lagging(),
    ]
    # What mostly waits comes first: it takes minutes, and no core.
    return [*taken_away(), *sorted(found, key=lambda case: case.world)]
