"""The DAGs on a real Airflow, with real scheduler, triggerer and workers, on paper machines."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from ack_preload.domain.comparison import BASELINE, PRELOADED
from ack_preload.domain.tags import (
    EXPIRES_KEY,
    RUN_KEY,
    TARGET_KEY,
    is_of_installation,
    moment,
)
from ack_preload.store import Run
from tests.dags.airflow_world import AFTER_ONE_NIGHT, World
from tests.parity import golden

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

CREATES = {"RunInstances", "ImportKeyPair", "CreateSnapshot", "CreateClusterNodePool"}
MAKES = ("Run", "Create", "Import", "Copy")
NO_RESOURCE = {"RunCommand"}  # it is forgotten by itself
CHILDREN = (
    "export_image_list",
    "build_preloaded_disk",
    "roll_out_node_pool",
    "measure_ready_latency",
)


def children(world: World, night: str) -> dict[str, dict[str, Any]]:
    found = {}
    for dag_id in CHILDREN:
        listed = world.api.call("GET", f"/dags/{dag_id}/dagRuns", limit=50)["dag_runs"]
        (found[dag_id],) = [run for run in listed if run["conf"].get("chain") == night]
    return found


def test_the_night_proves_every_image_on_a_new_node(world: World, night: str) -> None:
    rollout = world.store.rollout_for_chain("demo", night)
    lock = world.store.lock_for_chain("demo", night)
    assert rollout is not None
    assert lock is not None
    assert rollout.images_verified == lock.images
    assert rollout.lock_digest == lock.digest


def test_a_preloaded_node_pulls_nothing_and_a_baseline_node_pulls_everything(
    world: World, night: str
) -> None:
    run = children(world, night)["measure_ready_latency"]
    samples = world.store.samples(Run("measure_ready_latency", run["dag_run_id"]))
    pulled = {sample.arm: sample.pulled_bytes for sample in samples}
    assert set(pulled) == {BASELINE, PRELOADED}
    assert pulled[PRELOADED] == 0
    assert pulled[BASELINE]
    comparison = world.store.comparison_for_chain("demo", night)
    assert comparison is not None
    assert comparison.speedup is not None
    assert all(sample.workload_start_s is not None for sample in samples)


def test_the_night_leaves_the_pool_of_the_target_and_a_snapshot(world: World, night: str) -> None:
    assert world.leftovers() == AFTER_ONE_NIGHT


def test_the_night_sends_the_golden_requests(world: World, night: str) -> None:
    changed = golden.compare(golden.requests_of(world.sent_by_night))
    assert not changed, f"the requests of the night changed:\n{changed}\n{golden.HOW_TO_ACCEPT}"


def tags_of(call: dict[str, Any]) -> dict[str, str]:
    """Return the tags that a create call gives, of either service."""
    if call["body"]:
        return {tag["key"]: tag["value"] for tag in call["body"]["scaling_group"]["tags"]}
    query: dict[str, str] = call["query"]
    keys = {name: value for name, value in query.items() if re.fullmatch(r"Tag\.\d+\.Key", name)}
    return {key: query[name.replace("Key", "Value")] for name, key in keys.items()}


def test_the_night_tags_all_that_it_makes_with_owner_run_and_expiry(
    world: World, night: str
) -> None:
    calls = [json.loads(line) for line in world.sent_by_night.splitlines()]
    made = [call for call in calls if call["action"] in CREATES]
    assert {call["action"] for call in made} == CREATES
    assert {call["action"] for call in calls if call["action"].startswith(MAKES)} <= {
        *CREATES,
        *NO_RESOURCE,
    }
    for call in made:
        tags = tags_of(call)
        assert is_of_installation(tags, world.installation), call
        assert tags.keys() >= {RUN_KEY, TARGET_KEY}, call
        name = ((call["body"] or {}).get("nodepool_info") or {}).get("name")
        if name != "preloaded":  # the pool of the target, which is kept on purpose
            assert moment(tags[EXPIRES_KEY]) > datetime.now(UTC), call
        if call["action"] == "RunInstances":
            assert call["query"]["AutoReleaseTime"] == tags[EXPIRES_KEY], "the dead man's switch"


def test_the_progress_of_the_pull_is_in_the_ui(world: World, night: str) -> None:
    run_id = children(world, night)["build_preloaded_disk"]["dag_run_id"]
    path = f"/dags/build_preloaded_disk/dagRuns/{quote(run_id, safe='')}/taskInstances/pull_images"
    entry = world.api.call("GET", f"{path}/xcomEntries/progress")
    shown = entry["value"] if isinstance(entry["value"], dict) else json.loads(entry["value"])
    lock = world.store.lock_for_chain("demo", night)
    assert lock is not None
    assert (shown["done"], shown["of"]) == (lock.images, lock.images)
    assert shown["bytes"] > 0


def test_clearing_the_night_starts_no_second_child(world: World, night: str) -> None:
    before = {dag_id: run["start_date"] for dag_id, run in children(world, night).items()}
    world.clear("nightly_preload", night, "preload.export_image_list")
    world.until(lambda: world.api.run("nightly_preload", night)["state"] != "success")
    assert world.finish("nightly_preload", night) == "success"
    assert {dag_id: run["start_date"] for dag_id, run in children(world, night).items()} == before


def test_the_console_links_name_the_resource_and_the_region(world: World, night: str) -> None:
    run = children(world, night)["build_preloaded_disk"]["dag_run_id"]
    path = f"/dags/build_preloaded_disk/dagRuns/{quote(run, safe='')}/taskInstances"
    made = world.api.call("GET", f"{path}/run_build_instance/links")["extra_links"]
    kept = world.api.call("GET", f"{path}/create_snapshot/links")["extra_links"]
    assert made["Instance in the ECS console"].startswith(
        "https://ecs.console.aliyun.com/server/i-"
    )
    assert made["Data disk in the ECS console"].endswith("/detail?regionId=cn-hangzhou")
    assert "snapshotIds=s-" in kept["Snapshot in the ECS console"]
    rollout = children(world, night)["roll_out_node_pool"]["dag_run_id"]
    path = f"/dags/roll_out_node_pool/dagRuns/{quote(rollout, safe='')}/taskInstances"
    pool = world.api.call("GET", f"{path}/promote_snapshot/links")["extra_links"]
    cluster = world.facts["cluster_id"]
    assert f"/cluster/{cluster}/v2/nodepool/np" in pool["Node pool in the ACK console"]


def test_an_unknown_target_is_refused_before_the_first_cloud_call(world: World, night: str) -> None:
    before = world.requests().count("\n")
    run_id = world.api.trigger("build_preloaded_disk", {"target": "nowhere"})
    assert world.finish("build_preloaded_disk", run_id) == "failed"
    states = world.states("build_preloaded_disk", run_id)
    assert states["read_inputs"] == "failed"
    assert states["delete_instance"] == "upstream_failed"  # nothing was made
    assert world.requests().count("\n") == before


def test_a_sweep_takes_nothing_that_is_in_use(world: World, night: str) -> None:
    before = world.leftovers()
    run_id = world.api.trigger("sweep_leftovers", {"dry_run": False, "grace_min": 0})
    assert world.finish("sweep_leftovers", run_id) == "success"
    assert world.leftovers() == before
