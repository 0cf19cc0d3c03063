"""What a run is started with is checked and completed before its first cloud call."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ack_preload.domain.errors import InvalidInputError
from ack_preload.domain.images import ImageLock, LockedImage
from ack_preload.domain.workload import TEMPORARY_TAINT
from ack_preload.hooks.history import open_store, store_url
from ack_preload.operators.inputs import ListTargetsOperator, ReadInputsOperator
from ack_preload.store import Run, SnapshotRecord
from ack_preload.targets import TargetError
from ack_preload.targets.load import PATH_VARIABLE
from tests.unit.test_targets import TARGET, changed

NIGHT = "scheduled__1"
LOCK = ImageLock((LockedImage("registry.example.com/a:1", f"sha256:{'a' * 64}"),))
OTHER = ImageLock((LockedImage("registry.example.com/b:1", f"sha256:{'b' * 64}"),))


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "targets.yaml"
    other = changed("name", to="other")
    other["pool"] = {**other["pool"], "name": "other"}
    path.write_text(yaml.safe_dump({"targets": [TARGET, other]}))
    monkeypatch.setenv(PATH_VARIABLE, str(path))
    store = {"conn_type": "sqlite", "host": str(tmp_path / "history.db")}
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", json.dumps(store))
    account = {"conn_type": "alibaba_cloud", "extra": {"region": "cn-hangzhou"}}
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps(account))


def read(*, chain: str = "", **fields: Any) -> dict[str, Any]:
    task = SimpleNamespace(dag_id="build_preloaded_disk", run_id="r")
    context: Any = {"ti": task, "params": {"chain": chain}}
    return ReadInputsOperator(task_id="read", **{"target": "demo", **fields}).execute(context)


def export(lock: ImageLock, *, run_id: str = "e", chain: str = "", target: str = "demo") -> None:
    open_store().put_lock(lock, "", target=target, run=Run("export_image_list", run_id, chain))


def snapshot(snapshot_id: str, *, chain: str = "", target: str = "demo") -> None:
    open_store().put_snapshot(
        SnapshotRecord(
            snapshot_id=snapshot_id,
            dag_id="build_preloaded_disk",
            run_id=snapshot_id,
            chain=chain,
            target=target,
            lock_digest=LOCK.digest,
        )
    )


def test_the_target_comes_whole_and_with_our_taint_for_temporary_pools() -> None:
    found = read()
    assert found["target"]["measure"]["samples"] == 3  # its default, made explicit
    assert TEMPORARY_TAINT not in found["target"]["pool"]["taints"]
    assert TEMPORARY_TAINT in found["temporary"]["pool"]["taints"]
    assert found["resource"] == f"ack-preload-demo-{found['run']}"


def test_a_registry_login_that_is_missing_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    private = changed("registry_conn_ids", to=["nowhere"])
    (tmp_path / "targets.yaml").write_text(yaml.safe_dump({"targets": [private]}))
    export(LOCK)
    with pytest.raises(InvalidInputError, match="registry_conn_ids: there is no connection 'now"):
        read(needs="lock")


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(TargetError, match="no target 'nowhere'"):
        read(target="nowhere")


def test_nothing_named_means_the_newest() -> None:
    export(LOCK, run_id="old")
    export(OTHER, run_id="new")
    assert read(needs="lock")["lock_digest"] == OTHER.digest


def test_a_part_of_a_night_takes_what_that_night_made() -> None:
    export(LOCK, run_id="night", chain=NIGHT)
    export(OTHER, run_id="by hand")
    assert read(needs="lock", chain=NIGHT)["lock_digest"] == LOCK.digest


def test_a_night_that_made_nothing_does_not_fall_back_to_an_older_one() -> None:
    export(LOCK, run_id="by hand")
    with pytest.raises(InvalidInputError, match="run export_image_list for it first"):
        read(needs="lock", chain=NIGHT)


def test_a_named_lock_wins_over_the_chain() -> None:
    export(LOCK, run_id="night", chain=NIGHT)
    export(OTHER, run_id="by hand")
    assert read(needs="lock", chain=NIGHT, lock_digest=OTHER.digest)["lock_digest"] == OTHER.digest


def test_a_lock_of_another_target_is_refused() -> None:
    export(LOCK, target="other")
    with pytest.raises(InvalidInputError, match="target demo has no such image lock"):
        read(needs="lock", lock_digest=LOCK.digest)


def test_a_snapshot_brings_its_lock() -> None:
    snapshot("s-1")
    found = read(needs="snapshot")
    assert (found["snapshot_id"], found["lock_digest"]) == ("s-1", LOCK.digest)


def test_a_snapshot_of_the_same_night_is_taken() -> None:
    snapshot("s-night", chain=NIGHT)
    snapshot("s-by-hand")
    assert read(needs="snapshot", chain=NIGHT)["snapshot_id"] == "s-night"


def test_a_missing_snapshot_says_what_to_run() -> None:
    with pytest.raises(InvalidInputError, match="run build_preloaded_disk for it first"):
        read(needs="snapshot", snapshot_id="s-absent")


def test_a_snapshot_of_another_target_is_refused() -> None:
    snapshot("s-1", target="other")
    with pytest.raises(InvalidInputError, match="belongs to target other, not demo"):
        read(needs="snapshot", snapshot_id="s-1")


def test_a_night_covers_all_targets_or_the_one_that_is_named() -> None:
    context: Any = {}
    assert ListTargetsOperator(task_id="l", target="").execute(context) == ["demo", "other"]
    assert ListTargetsOperator(task_id="l", target="other").execute(context) == ["other"]


def connection(**fields: Any) -> Any:
    empty = {"host": None, "schema": None, "login": None, "password": None, "port": None}
    return SimpleNamespace(conn_id="ack_preload_store", extra_dejson={}, **(empty | fields))


def test_a_connection_becomes_the_url_of_its_database() -> None:
    postgres = connection(
        conn_type="postgres", host="db", port=5432, login="u", password="p/w", schema="preload"
    )
    assert store_url(postgres) == "postgresql+psycopg2://u:p%2Fw@db:5432/preload"
    assert store_url(connection(conn_type="sqlite", host="/x.db")) == "sqlite:////x.db"


def test_a_connection_that_is_no_database_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="use one of postgres"):
        store_url(connection(conn_type="http"))


def test_without_a_connection_the_history_is_a_file_in_airflows_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_ACK_PRELOAD_STORE")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    snapshot("s-1")
    assert (tmp_path / "home" / "ack_preload.db").exists()
