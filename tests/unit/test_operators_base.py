"""Tokens, ownership, retry rules and the forms of the operators; nothing here calls a cloud."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseOperator

from ack_preload.domain.errors import InvalidInputError, ResourceFailedError
from ack_preload.hooks.history import begin_installation
from ack_preload.operators import build_instance, key_pair, node_pool, node_pool_end, snapshot
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.store import Store

NOW = datetime.now(UTC)
ACCOUNT = {
    "conn_type": "alibaba_cloud",
    "extra": {"region": "cn-hangzhou", "installation": "tests"},
}


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps(ACCOUNT))


OPERATORS = sorted(
    {
        each
        for module in (build_instance, key_pair, node_pool, node_pool_end, snapshot)
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, CloudOperator) and "execute" in vars(each)
    },
    key=lambda each: each.__name__,
)


def context(**overrides: Any) -> Any:
    ti = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "max_tries": 2}
    run = SimpleNamespace(start_date=NOW, logical_date=None, run_after=NOW)
    return {"ti": SimpleNamespace(**(ti | overrides)), "dag_run": run}


def operator() -> CloudOperator:
    return CloudOperator(task_id="t")


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the history say which installation this is, and the worker have one of its own."""
    account = {"conn_type": "alibaba_cloud", "extra": {"region": "cn-hangzhou"}}
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps(account))
    path = tmp_path / "history.db"
    store = {"conn_type": "sqlite", "host": str(path)}
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", json.dumps(store))
    return path


def begun_as(installation: str | None) -> Any:
    return context(xcom_pull=lambda task_ids, key: installation)


def test_no_task_but_the_first_invents_an_installation(nameless: Path) -> None:
    teardown = build_instance.DeleteInstanceOperator(task_id="t")
    with pytest.raises(InvalidInputError, match=r"no installation.*ack_preload_store.*clear this"):
        teardown.execute(context())
    made = begin_installation(teardown.account)
    assert operator().installation == made


def test_a_worker_with_a_history_of_its_own_is_told(nameless: Path) -> None:
    made = Store(f"sqlite:///{nameless}").installation()
    operator().pre_execute(begun_as(None))
    operator().pre_execute(begun_as(made))
    with pytest.raises(InvalidInputError, match=f"began as installation other.* is {made}.*to oth"):
        operator().pre_execute(begun_as("other"))


def test_all_tries_have_one_token() -> None:
    first, second = context(try_number=1), context(try_number=2)
    assert operator().client_token(first) == operator().client_token(second)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"map_index": 1}, id="mapped tasks"),
        pytest.param({"run_id": "r2"}, id="another run"),
        pytest.param({"task_id": "t2"}, id="another task"),
        pytest.param({"max_tries": 4}, id="a deliberate clear"),
    ],
)
def test_what_is_another_attempt_has_another_token(change: dict[str, Any]) -> None:
    assert operator().client_token(context()) != operator().client_token(context(**change))


def test_another_installation_has_another_token(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = operator().client_token(context())
    other = {**ACCOUNT, "extra": {"region": "cn-hangzhou", "installation": "other"}}
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps(other))
    assert operator().client_token(context()) != ours


def test_a_task_that_makes_two_things_has_two_tokens() -> None:
    assert operator().client_token(context(), "a") != operator().client_token(context(), "b")


def test_the_expiry_comes_from_the_start_of_the_run_and_the_targets_limit() -> None:
    owner = operator().ownership(context(), {"name": "demo", "limits": {"expire_after_h": 3}})
    assert owner.expires == NOW.replace(second=0, microsecond=0) + timedelta(hours=3)
    assert (owner.target, owner.run) == ("demo", "d/r")


def test_a_run_without_start_counts_from_its_dates() -> None:
    task = context()
    task["dag_run"].start_date = None
    assert operator().ownership(task, {"name": "demo"}).expires == (
        NOW.replace(second=0, microsecond=0) + timedelta(hours=12)
    )


def test_what_is_kept_does_not_expire() -> None:
    assert operator().ownership(context(), {"name": "demo"}, keep=True).expires is None


def test_a_target_without_name_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"target\.name is missing"):
        operator().ownership(context(), {})


@pytest.mark.parametrize("value", ["demo", "[1]", "", None, 3])
def test_what_is_no_mapping_is_named(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"lineage is .*; pass a mapping or its JSON"):
        as_mapping("lineage", value)


def test_a_mapping_may_be_json() -> None:
    assert as_mapping("lineage", '{"a": 1}') == as_mapping("lineage", {"a": 1}) == {"a": 1}


def test_a_failed_verdict_says_why() -> None:
    event = {"verdict": "failed", "state": "fail", "id": "T-1", "detail": {"error": "no stock"}}
    with pytest.raises(ResourceFailedError, match="T-1 is fail: no stock"):
        operator().read(event)


def test_a_done_verdict_gives_its_detail() -> None:
    event = {"verdict": "done", "state": "Running", "id": "i-1", "detail": None}
    assert operator().read(event) == {}


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_every_argument_of_an_operator_is_templated(kind: type[BaseOperator]) -> None:
    """A form's value or an upstream id may stand in any of them."""
    given = inspect.signature(kind.__init__).parameters.keys()
    arguments = given - {"self", "kwargs", "makers"}  # makers are task ids: the DAG's own
    assert arguments | {"conn_id"} == set(kind.template_fields)


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_every_operator_says_what_it_does(kind: type[BaseOperator]) -> None:
    assert inspect.getdoc(kind)


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_every_operator_is_documented(kind: type[BaseOperator]) -> None:
    page = Path(__file__).parents[2] / "docs/reference/operators.md"
    assert f"`{kind.__name__}`" in page.read_text()
