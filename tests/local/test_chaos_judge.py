"""What the judge of ``make chaos`` says of known scenes, and the shape of the catalogue."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ack_preload.domain.images import ImageLock, LockedImage
from ack_preload.domain.tags import RUN_KEY
from emulator.faults.kinds import KINDS
from local.chaos import report
from local.chaos.__main__ import Lanes, grouped, sample
from local.chaos.cases import ORDER, Case, Result, chosen
from local.chaos.catalogue import quick_cases
from local.chaos.catalogue_real import real_cases
from local.chaos.judge import Kept, Scene, altered, at_once, doubled, leaked, touched
from local.chaos.kill_plan import DEFERRED, STAGES, TEARDOWNS
from local.chaos.promises import changed_disks, on_paper
from local.chaos.untried import untried_calls, untried_stages
from local.chaos.world import retained

NOTHING = Scene([], {})


def line(kind: str, key: str, *, run: str = "build/1", **more: Any) -> dict[str, Any]:
    fields = {"kind": kind, "id": key, "name": key, "tags": {RUN_KEY: run}}
    return {**fields, "created": "2026-01-01T00:00:00+00:00", "ended": None, **more}


def test_what_is_alive_and_not_kept_is_leaked_whatever_its_tags() -> None:
    after = Scene([line("instance", "i-1"), line("disk", "d-1", tags={})], {})
    assert leaked(NOTHING, after, Kept()) == ["disk d-1 (d-1)", "instance i-1 (i-1)"]


def test_what_is_kept_or_was_there_before_or_went_is_not_leaked() -> None:
    lines = [
        line("snapshot", "s-1"),
        line("node_pool", "np-1"),
        line("instance", "i-1", node_pool_id="np-1"),
        line("disk", "d-1", instance_id="i-1"),
        line("instance", "i-2", ended="2026-01-01T00:00:01+00:00"),
        line("instance", "i-0"),
    ]
    before = Scene([line("instance", "i-0")], {})
    pool = {"node_pool np-1": {"id": "np-1", "desired_size": 1}}
    kept = Kept({"s-1"}, {"np-1"})
    assert leaked(before, Scene(lines, pool), kept) == []
    later = "2026-01-01T00:00:02+00:00"
    more = [*lines, line("instance", "i-3", node_pool_id="np-1", created=later)]
    assert leaked(before, Scene(more, pool), kept) == ["instance i-3 (i-3)"]


def test_two_instances_of_one_run_at_once_are_one_too_many() -> None:
    after = Scene([line("instance", "i-1"), line("instance", "i-2")], {})
    assert doubled(NOTHING, after) == ["2 of instance at once for build/1: i-1, i-2"]


def test_one_after_the_other_or_of_two_runs_is_not_doubled() -> None:
    ended = "2026-01-01T00:00:01+00:00"
    lines = [
        line("instance", "i-1", ended=ended),
        line("instance", "i-2", created=ended),
        line("instance", "i-3", run="build/2"),
    ]
    assert doubled(NOTHING, Scene(lines, {})) == []


def test_two_nodes_of_a_pool_and_two_pools_of_a_name_are_doubled() -> None:
    lines = [
        line("instance", "i-1", node_pool_id="np-1"),
        line("instance", "i-2", node_pool_id="np-1"),
        line("node_pool", "np-1", name="canary", cluster_id="c1"),
        line("node_pool", "np-2", name="canary", cluster_id="c1"),
    ]
    assert [each.split(":")[0] for each in doubled(NOTHING, Scene(lines, {}))] == [
        "2 of node at once for np-1",
        "2 of node_pool at once for c1/canary",
    ]


def test_what_comes_beside_what_was_there_is_doubled() -> None:
    pool = line("node_pool", "np-1", name="pool", cluster_id="c1", run="rollout/1")
    node = line("instance", "i-1", node_pool_id="np-1", run="rollout/1")
    before = Scene([pool, node], {})
    sizes = {"node_pool np-1": {"id": "np-1", "desired_size": 1}}
    twin = line("node_pool", "np-2", name="pool", cluster_id="c1", run="rollout/2")
    assert doubled(before, Scene([pool, node, twin], sizes)) == [
        "2 of node_pool at once for c1/pool: np-1, np-2"
    ]
    second = Scene([pool, node, line("instance", "i-2", node_pool_id="np-1")], sizes)
    assert doubled(before, second) == ["2 of node at once for np-1: i-1, i-2"]
    assert doubled(second, second) == []  # nothing came since
    wanted = {"node_pool np-1": {"id": "np-1", "desired_size": 2}}
    assert doubled(before, Scene(second.lines, wanted)) == []


def test_a_disk_of_a_machine_beside_its_system_disk_is_meant() -> None:
    disks = [line("disk", f"d-{number}") for number in range(3)]
    assert doubled(NOTHING, Scene(disks[:2], {})) == []
    assert doubled(NOTHING, Scene(disks, {}))


def test_at_once_counts_the_moment_with_the_most() -> None:
    spans = [(0, 5), (1, 2), (1, None), (5, None)]
    lines = [
        {"created": f"2026-01-01T00:00:0{a}", "ended": b and f"2026-01-01T00:00:0{b}"}
        for a, b in spans
    ]
    assert at_once(lines) == 3


def test_a_foreign_resource_that_changes_or_goes_is_touched() -> None:
    before = Scene([], {"disk d-1": {"id": "d-1", "tags": {}}, "disk d-2": {"id": "d-2"}})
    after = Scene([], {"disk d-1": {"id": "d-1", "tags": {"a": "b"}}})
    found = touched(before, after, ["disk d-1", "disk d-2"])
    assert [each.split()[2] for each in found] == ["changed", "is"]
    assert touched(before, before, ["disk d-1", "disk d-2"]) == []


def test_any_field_of_what_is_foreign_is_looked_at() -> None:
    before: dict[str, dict[str, Any]] = {
        "node_pool np-1": {"data_disks": [], "name": "a"},
        "disk d-1": {"size": 1},
    }
    after: dict[str, dict[str, Any]] = {
        "node_pool np-1": {"data_disks": [{"snapshot_id": "s-1"}], "name": "a"}
    }
    assert altered(before, before) == []
    assert altered(before, after) == [
        "disk d-1 is not shown any more",
        "node_pool np-1 has another data_disks",
    ]


def test_a_snapshot_without_an_image_or_with_a_damaged_blob_breaks_its_promise(
    tmp_path: Path,
) -> None:
    blob = b"layer"
    blobs = tmp_path / "blobs/sha256"
    blobs.mkdir(parents=True)
    (blobs / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
    (tmp_path / "paper-images.json").write_text("{}")
    manifest = {"config": {"digest": digest_of(b"config")}, "layers": [{"digest": digest_of(blob)}]}
    content = json.dumps(manifest).encode()
    lock_digest = digest_of(content)
    lock = ImageLock((LockedImage("registry.test/acs/pause:3.9", lock_digest, 1),), "linux/amd64")
    (tmp_path / "paper-images.json").write_text(json.dumps({"c": {"digest": lock_digest}}))
    lacks = "registry.test/acs/pause:3.9 lacks blob"
    assert on_paper(tmp_path, lock) == [f"{lacks} {lock_digest}"]
    (blobs / lock_digest.removeprefix("sha256:")).write_bytes(content)
    assert on_paper(tmp_path, lock) == [f"{lacks} {digest_of(b'config')}"]
    (blobs / hashlib.sha256(b"config").hexdigest()).write_bytes(b"config")
    assert on_paper(tmp_path, lock) == []
    (blobs / ("0" * 64)).write_bytes(blob)
    (tmp_path / "paper-images.json").write_text("{}")
    assert len(on_paper(tmp_path, lock)) == 2
    assert on_paper(tmp_path / "s-1", lock) == ["s-1 has no content"]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_pool_that_a_red_run_leaves_on_another_disk_or_takes_is_changed() -> None:
    before = {"np-1": "s-1", "np-2": "", "np-3": "s-1"}
    assert changed_disks(before, {**before, "np-new": "s-2"}) == []
    assert changed_disks(before, {"np-1": "s-2", "np-2": ""}) == [
        "pool np-1 was on s-1 and is on s-2",
        "pool np-3 was on s-1 and is gone",
    ]


def test_the_last_the_young_and_the_named_snapshots_stay() -> None:
    at = [datetime(2026, 1, day, tzinfo=UTC) for day in (4, 3, 2, 1)]
    recorded = [(f"s-{number}", moment) for number, moment in enumerate(at)]
    now = datetime(2026, 1, 5, tzinfo=UTC)
    assert retained(recorded, 1, now, {"s-3"}) == {"s-0", "s-3"}
    assert retained(recorded, 1, at[2], ()) == {"s-0", "s-1"}


def test_every_kind_of_fault_that_can_strike_has_a_case() -> None:
    kinds = {fault["kind"] for case in quick_cases() for fault in case.faults}
    every = {kind.model_fields["kind"].default for kind in KINDS}
    # No stage orders a spot instance, and nobody waits as long as a call may take.
    assert every - kinds == {"spot_reclaim", "slow"}


def test_there_are_as_many_combinations_as_asked_for_and_each_once() -> None:
    quick, real = quick_cases(), real_cases()
    names = Counter(case.name for case in [*quick, *real])
    assert len({(case.dag, case.stage, case.fault) for case in quick}) >= 120
    assert len(real) >= 15
    assert [name for name, count in names.items() if count > 1] == []
    assert {*DEFERRED, *TEARDOWNS} <= set(STAGES)
    assert {case.dag for case in quick} == set(ORDER)


def test_a_case_travels_as_json() -> None:
    for case in [*quick_cases(), *real_cases()]:
        assert Case.from_json(case.as_json()) == case


def test_groups_keep_every_case_and_a_sample_repeats_with_its_seed() -> None:
    cases = quick_cases()
    assert [case for group in grouped(cases) for case in group] == cases
    assert sample(cases, 6, seed=1) == sample(cases, 6, seed=1)
    assert sample(cases, 6, seed=1) != sample(cases, 6, seed=2)
    assert chosen(cases, "#3") == [cases[3]]


def test_a_case_that_never_came_is_bad_and_a_run_that_is_too_small_or_slow_is_said() -> None:
    first, second = quick_cases()[:2]
    came = Result.of(first, "r")
    (lacking,) = report.missing([first, second], [came], "r")
    assert (lacking.case, lacking.is_good) == (second.name, False)
    assert [each.split()[:2] for each in report.too_little([came], 1501)] == [
        ["the", "run"],
        ["0", "combinations"],
        ["0", "cases"],
    ]
    whole = [replace(Result.of(case, "r"), outcome="green") for case in every_case()]
    assert report.too_little(whole, 60) == []


def every_case() -> list[Case]:
    return [*quick_cases(), *real_cases()]


def lane(number: int) -> None:
    raise OSError(f"lane {number}")


def test_a_lane_that_dies_is_told(tmp_path: Path) -> None:
    lanes = Lanes(tmp_path)
    lanes._guarded(lane, 3)
    assert lanes.trouble == ["OSError: lane 3"]


def test_what_no_case_hits_is_listed() -> None:
    calls, places = untried_calls(every_case()), untried_stages(every_case())
    assert {"RunCommand", "DescribeInvocationResults"} <= set(calls)
    assert "RunInstances" not in calls
    assert "build_preloaded_disk.read_versions" in places
    assert "roll_out_node_pool.go_way_back" not in places


def test_the_report_counts_what_is_bad_and_the_page_shows_it(tmp_path: Path) -> None:
    good = Result("a", "build_preloaded_disk", "seal_disk", "slow", "paper", "r", "green", "green")
    bad = Result("b", "build_preloaded_disk", "seal_disk", "stuck", "real", "r", "red", "red")
    bad.leaked, bad.error = ["disk d-1"], "seal_disk: WaitTimeoutError: d-1 is there"
    content = report.report(
        [good, bad],
        options={"seed": 7},
        seconds=1.0,
        waits=None,
        planned=[],
        trouble=["a lane died"],
    )
    assert content["totals"]["failures of the harness"] == 1
    assert content["totals"]["cases"] == 2
    assert content["totals"]["leaked"] == 1
    page = tmp_path / "page.md"
    page.write_text(f"# Head\n{report.BEGIN}\nold\n{report.END}\ntail\n")
    report.write_page(content, page)
    text = page.read_text()
    assert "old" not in text
    assert "| `seal_disk` | stuck (real machines) | red, BAD: leaked |" in text
    assert "The harness failed: a lane died" in text
    assert "No fault strikes at these stages: `build_preloaded_disk.read_inputs`" in text
    assert text.startswith("# Head")
    assert text.endswith("tail\n")
