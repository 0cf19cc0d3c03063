"""The history takes everything twice, and gives back what was put."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ack_preload.domain.images import ImageLock, LockedImage
from ack_preload.hooks.account import INSTALLATION
from ack_preload.store import (
    BuildRecord,
    ComparisonRecord,
    RolloutRecord,
    Run,
    SampleRecord,
    SnapshotRecord,
    Store,
)
from ack_preload.store.database import VERSION_TABLE
from ack_preload.store.tables import METADATA

RUN = Run("export_image_list", "manual__1")
NIGHT = Run("export_image_list", "nightly__1", chain="scheduled__1")
START = datetime(2026, 11, 24, 4, tzinfo=UTC)


def lock(*names: str) -> ImageLock:
    images = [
        LockedImage(f"registry.example.com/{name}:1", f"sha256:{name * 64}") for name in names
    ]
    return ImageLock(tuple(images))


def snapshot(number: int, **changes: object) -> SnapshotRecord:
    record = SnapshotRecord(
        snapshot_id=f"s-{number}",
        dag_id="build_preloaded_disk",
        run_id=f"run-{number}",
        target="demo",
        lock_digest=lock("a").digest,
        created_at=START + timedelta(hours=number),
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # a shorthand of this file


def sample(arm: str, number: int, **changes: object) -> SampleRecord:
    record = SampleRecord(
        dag_id=RUN.dag_id,
        run_id=RUN.run_id,
        target="demo",
        arm=arm,
        number=number,
        node_pool_id="np-1",
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # a shorthand of this file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/new/history.db")


def test_a_lock_comes_back_whole(store: Store) -> None:
    made = lock("a", "b")
    record = store.put_lock(made, "a:1\nb:1\n", target="demo", run=RUN)
    assert store.lock(made.digest) == made
    assert store.latest_lock("demo") == record
    assert json.loads(record.content)["images"]


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.lock("sha256:none") is None
    assert store.latest_snapshot("demo") is None
    assert store.samples(RUN) == []


def test_a_second_try_replaces_its_own_row(store: Store) -> None:
    store.put_lock(lock("a"), "a:1\n", target="demo", run=RUN)
    store.put_lock(lock("b"), "b:1\n", target="demo", run=RUN)
    assert store.lock(lock("a").digest) is None
    assert store.latest_lock("demo") is not None


def test_a_chain_finds_its_own_lock_although_a_newer_one_exists(store: Store) -> None:
    store.put_lock(lock("a"), "a:1\n", target="demo", run=NIGHT)
    store.put_lock(lock("b"), "b:1\n", target="demo", run=RUN)
    found = store.lock_for_chain("demo", NIGHT.chain)
    assert found is not None
    assert found.digest == lock("a").digest
    assert store.lock_for_chain("other", NIGHT.chain) is None


def test_an_empty_chain_is_refused_since_it_would_match_every_manual_run(store: Store) -> None:
    with pytest.raises(ValueError, match="chain is empty"):
        store.snapshot_for_chain("demo", "")


def test_one_lock_may_belong_to_two_targets(store: Store) -> None:
    other = replace(NIGHT, run_id="other")
    store.put_lock(lock("a"), "", target="demo", run=RUN)
    store.put_lock(lock("a"), "", target="other", run=other)
    found = store.lock_record(lock("a").digest, target="demo")
    assert found is not None
    assert found.target == "demo"


def test_the_latest_snapshot_is_the_newest_of_its_target(store: Store) -> None:
    for record in (snapshot(2), snapshot(1), snapshot(3, target="other")):
        store.put_snapshot(record)
    assert store.latest_snapshot("demo") == snapshot(2)
    assert [each.snapshot_id for each in store.snapshots("demo")] == ["s-2", "s-1"]
    assert store.snapshot_for_run(Run("build_preloaded_disk", "run-1")) == snapshot(1)


def test_moments_come_back_in_utc_from_a_database_that_forgets_zones(store: Store) -> None:
    china = START.astimezone(timezone(timedelta(hours=8)))
    store.put_snapshot(snapshot(1, created_at=china))
    found = store.snapshot("s-1")
    assert found is not None
    assert found.created_at == START
    assert found.created_at.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="no time zone"):
        store.put_snapshot(snapshot(1, created_at=datetime(2026, 11, 24)))  # noqa: DTZ001


def test_samples_come_back_interleaved(store: Store) -> None:
    for arm, number in (("preloaded", 1), ("baseline", 1), ("preloaded", 0), ("baseline", 0)):
        store.put_sample(sample(arm, number, ready_latency_s=1.5, moments={"span": ["", ""]}))
    order = [(each.number, each.arm) for each in store.samples(RUN)]
    assert order == [(0, "baseline"), (0, "preloaded"), (1, "baseline"), (1, "preloaded")]


def test_a_latency_that_was_not_reached_stays_none(store: Store) -> None:
    store.put_sample(sample("baseline", 0, never_ready=True))
    (found,) = store.samples(RUN)
    assert (found.never_ready, found.ready_latency_s, found.pulled_bytes) == (True, None, None)


def test_more_bytes_than_an_integer_of_32_bits_fit(store: Store) -> None:
    store.put_sample(sample("baseline", 0, pulled_bytes=2**40))
    assert store.samples(RUN)[0].pulled_bytes == 2**40


def test_builds_rollouts_and_comparisons_come_back(store: Store) -> None:
    who: dict[str, Any] = {"dag_id": "d", "run_id": "r", "chain": "c", "target": "demo"}
    build = BuildRecord(**who, lock_digest="x", instance_id="i-1", disk_id="d-1", seal={"n": 1})
    rollout = RolloutRecord(**who, snapshot_id="s-1", node_pool_id="np-1", images_verified=3)
    comparison = ComparisonRecord(**who, snapshot_id="s-1", speedup=2.5, content={"arms": {}})
    store.put_build(build)
    store.put_rollout(rollout)
    store.put_comparison(comparison)
    assert store.build_for_run(Run("d", "r")) == build
    assert store.rollout_for_run(Run("d", "r")) == rollout
    assert store.rollout_for_run(Run("d", "other")) is None
    assert store.rollout_for_chain("demo", "c") == store.latest_rollout("demo") == rollout
    assert store.comparison_for_chain("demo", "c") == store.latest_comparison("demo") == comparison


def test_the_migrations_make_what_the_tables_say(store: Store) -> None:
    with store.engine.connect() as connection:
        options = {"version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_the_history_shares_a_database_with_airflow(tmp_path: Path) -> None:
    assert VERSION_TABLE != "alembic_version"
    assert {"dag_run", "task_instance", "xcom", "connection"}.isdisjoint(METADATA.tables)


def test_a_file_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    Store(url).put_snapshot(snapshot(1))
    for part in tmp_path.glob("history.db*"):
        part.unlink()
    assert Store(url).latest_snapshot("demo") is None


def _write(url: str, first: int) -> None:
    for number in range(first, first + 10):
        Store(url).put_snapshot(snapshot(number))


@pytest.mark.slow
def test_processes_that_open_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    context = multiprocessing.get_context("spawn")
    start: Callable[[int], multiprocessing.process.BaseProcess] = lambda first: context.Process(  # noqa: E731
        target=_write, args=(url, first)
    )
    writers = [start(first) for first in (0, 100, 200, 300)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(Store(url).snapshots("demo")) == 40


def test_the_id_of_the_installation_is_made_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: Store(url).installation(), range(16)))
    assert len(made) == 1
    assert INSTALLATION.fullmatch(made.pop())
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    assert other.installation() != Store(url).installation()
