"""The report of a demo, from a real history and a chain as Airflow tells it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ack_preload.domain.images import ImageLock, LockedImage
from ack_preload.store import (
    ComparisonRecord,
    RolloutRecord,
    Run,
    SampleRecord,
    SnapshotRecord,
    Store,
)
from emulator.settings import Settings
from local.chain import Chain, Stage, Task
from local.picture import draw
from local.report import History, ReportError, build_report, problems, simulated
from local.results import show_results

CHAIN = "manual__2026-11-25T02:33:02+00:00"
START = datetime(2026, 11, 25, 2, 33, tzinfo=UTC)
COST: dict[str, Any] = {
    "stages": [
        {
            "name": "build_preloaded_disk",
            "run": "build_preloaded_disk/nightly_demo_1",
            "instance_seconds": 41.2,
            "disk_gib_seconds": 3296.0,
            "snapshot_gib_seconds": 1.25,
            "peak": {"disk": 2, "instance": 1, "snapshot": 1},
        }
    ],
    "total": {"instance_seconds": 41.2, "disk_gib_seconds": 3296.0, "snapshot_gib_seconds": 1.25},
}
LOCK = ImageLock(
    (
        LockedImage("registry.local:5000/acs/pause:3.9", f"sha256:{'a' * 64}", 300_000),
        LockedImage("registry.local:5000/acs/coredns:v1", f"sha256:{'b' * 64}", 20_000_000),
    )
)


def task(task_id: str, *, seconds: float, state: str = "success", map_index: int = -1) -> Task:
    return Task(
        dag_id="build_preloaded_disk",
        run_id="nightly_demo_1",
        task_id=task_id,
        map_index=map_index,
        state=state,
        try_number=1,
        started=START,
        ended=START + timedelta(seconds=seconds),
        operator="Some",
    )


def chain(*tasks: Task, state: str = "success") -> Chain:
    stage = Stage("build_preloaded_disk", "nightly_demo_1", state, START, START, tasks)
    return Chain(CHAIN, state, START, START + timedelta(seconds=90), (), (stage,))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'history.db'}")


BASELINE = [
    {"ready_latency_s": 9.0, "pulled_bytes": 20_300_000, "workload_start_s": 6.0},
    {"ready_latency_s": 11.0, "pulled_bytes": 20_300_000, "workload_start_s": 8.0},
]


def put_samples(store: Store, common: dict[str, Any], preloaded: list[dict[str, Any]]) -> None:
    for arm, samples in (("baseline", BASELINE), ("preloaded", preloaded)):
        for number, figures in enumerate(samples):
            store.put_sample(
                SampleRecord(
                    dag_id="measure_ready_latency",
                    arm=arm,
                    number=number,
                    node_pool_id="np-2",
                    **common,
                    **figures,
                )
            )


def fill(store: Store, *, preloaded: list[dict[str, Any]]) -> None:
    def run(dag_id: str) -> Run:
        return Run(dag_id, "nightly_demo_1", CHAIN)

    common: dict[str, Any] = {"run_id": "nightly_demo_1", "chain": CHAIN, "target": "demo"}
    store.put_lock(LOCK, LOCK.image_list(), target="demo", run=run("export_image_list"))
    store.put_snapshot(
        SnapshotRecord(
            snapshot_id="s-1", dag_id="build_preloaded_disk", lock_digest=LOCK.digest, **common
        )
    )
    store.put_rollout(
        RolloutRecord(
            dag_id="roll_out_node_pool",
            snapshot_id="s-1",
            node_pool_id="np-1",
            images_verified=2,
            **common,
        )
    )
    put_samples(store, common, preloaded)
    store.put_comparison(
        ComparisonRecord(
            dag_id="measure_ready_latency", snapshot_id="s-1", speedup=10 / 3, **common
        )
    )


def good(store: Store) -> None:
    figures = {"ready_latency_s": 3.0, "pulled_bytes": 0, "workload_start_s": 0.5}
    fill(store, preloaded=[figures, figures])


def report(store: Store, *, machines: str = "real", left: tuple[str, ...] = ()) -> dict[str, Any]:
    return build_report(
        History.read(store, "demo", CHAIN),
        chain(task("pull_images", seconds=12.5), task("sample", seconds=3, map_index=1)),
        target="demo",
        machines=machines,
        settings={"instance_boot_s": 1.0},
        left=left,
        cost=COST,
    )


def test_a_report_holds_images_stages_arms_and_what_was_proven(store: Store) -> None:
    good(store)

    made = report(store)

    assert [image["reference"] for image in made["images"]] == [i.reference for i in LOCK.images]
    assert set(made["images"][0]) == {"reference", "digest", "bytes"}
    assert made["stages"] == [
        {"name": "build_preloaded_disk.pull_images", "seconds": 12.5},
        {"name": "build_preloaded_disk.sample[1]", "seconds": 3.0},
    ]
    assert made["arms"]["baseline"]["n"] == 2
    assert made["arms"]["baseline"]["ready_latency_s"] == [9.0, 11.0]
    assert made["arms"]["preloaded"]["pulled_bytes"] == [0, 0]
    assert made["speedup"] == 3.333
    assert made["workload_start_s"] == {"baseline": [6.0, 8.0], "preloaded": [0.5, 0.5]}
    assert made["images_verified"] == 2
    assert made["leftovers"] == 0
    assert made["cost"] == COST
    assert made["simulated"] == [
        {
            "what": "instance boot, before the machine starts",
            "setting": "instance_boot_s",
            "value": 1.0,
        }
    ]
    assert problems(made) == []


def test_a_report_of_paper_machines_says_that_nothing_was_measured(store: Store) -> None:
    good(store)
    assert report(store, machines="paper")["simulated"][-1]["setting"] == "--machines"


@pytest.mark.parametrize(
    ("figures", "problem"),
    [
        pytest.param(
            {"ready_latency_s": 3.0, "pulled_bytes": 5, "workload_start_s": 0.5},
            "preloaded nodes pulled images",
            id="pulled",
        ),
        pytest.param(
            {"ready_latency_s": 3.0, "pulled_bytes": None, "workload_start_s": 0.5},
            "preloaded nodes pulled images",
            id="did not say",
        ),
        pytest.param({"never_ready": True, "pulled_bytes": 0}, "never got Ready", id="never ready"),
    ],
)
def test_a_bad_sample_is_a_problem(store: Store, figures: dict[str, Any], problem: str) -> None:
    fill(store, preloaded=[figures])
    assert problem in "; ".join(problems(report(store)))


def test_a_leftover_is_a_problem_and_is_named(store: Store) -> None:
    good(store)
    found = problems(report(store, left=("disk d-1",)))
    assert found == ["paid resources are left: disk d-1"]


def test_a_second_build_instance_beside_the_first_is_a_problem(store: Store) -> None:
    good(store)
    made = report(store)
    second = COST["stages"][0] | {"peak": {"instance": 2}}
    found = problems(made | {"cost": COST | {"stages": [second]}})
    assert found == ["2 build instances were alive at once"]


def test_images_that_were_not_all_proven_are_a_problem(store: Store) -> None:
    good(store)
    made = report(store) | {"images_verified": 1}
    assert problems(made) == ["1 of 2 images were proven by digest on the new node"]


def test_a_history_without_the_chain_names_what_is_missing(store: Store) -> None:
    with pytest.raises(ReportError, match="no image lock, snapshot, rollout, comparison of demo"):
        History.read(store, "demo", CHAIN)


def test_the_snapshots_of_earlier_nights_are_kept_by_design(store: Store) -> None:
    good(store)
    store.put_snapshot(
        SnapshotRecord(
            snapshot_id="s-0",
            dag_id="build_preloaded_disk",
            run_id="nightly_demo_0",
            chain="manual__2026-11-24",
            target="demo",
            lock_digest=LOCK.digest,
        )
    )
    assert History.read(store, "demo", CHAIN).kept.snapshots == {"s-0", "s-1"}


def test_the_table_marks_figures_of_paper_machines_as_simulated(store: Store) -> None:
    good(store)
    console = Console(record=True, width=100)
    with console.capture() as shown:
        show_results(console, report(store, machines="paper"))
    assert "SIMULATED" in shown.get()


def test_the_table_shows_medians_and_what_was_proven(store: Store) -> None:
    good(store)
    console = Console(width=100)
    with console.capture() as shown:
        show_results(console, report(store))
    assert "10.0 s" in shown.get()
    assert "3.3x" in shown.get()
    assert "2 of 2 images" in shown.get()
    # Whole seconds: 7.0 against 0.5 says no more than this.
    assert "> 5x" in shown.get()
    assert "instance_boot_s = 1.0" in shown.get()
    words = " ".join(shown.get().split())
    assert "build instance ran 41 s, 1 at once; the chain used 41 instance-seconds" in words
    assert "3296 disk GiB-seconds, 1.25 snapshot GiB-seconds" in words


def test_the_table_says_so_when_preloaded_nodes_are_slower(store: Store) -> None:
    good(store)
    made = report(store)
    made["arms"]["preloaded"]["ready_latency_s"] = [40.0, 40.0]
    made["simulated"] = simulated(Settings(lazy_disk_mb_per_s=20).simulated(), "real")
    console = Console(width=160)
    with console.capture() as shown:
        show_results(console, made)
    assert "0.2x (slower)" in shown.get()
    assert "lazy_disk_mb_per_s = 20: first read of each block" in shown.get()


def test_the_picture_is_drawn_of_measured_figures_only(store: Store, tmp_path: Path) -> None:
    good(store)
    source, picture = tmp_path / "report.json", tmp_path / "images" / "demo.svg"
    source.write_text(json.dumps(report(store)))
    draw(source, picture)
    assert "3.3x" in picture.read_text()

    source.write_text(json.dumps(report(store, machines="paper")))
    with pytest.raises(ValueError, match="paper machines"):
        draw(source, picture)
