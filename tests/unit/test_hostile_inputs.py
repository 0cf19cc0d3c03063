"""Hostile texts at every entry: refused with field and mend named, or passed on as they are."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.sdk import BaseOperator
from airflow.sdk.definitions._internal.mixins import ResolveMixin

from ack_preload.domain import grammar
from ack_preload.domain.errors import InvalidInputError
from ack_preload.domain.host_key import host_key
from ack_preload.domain.images import ImageReference
from ack_preload.domain.tags import MAX_VALUE, run_tag
from ack_preload.hooks.account import Account
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.host import Host
from ack_preload.hooks.kube import KubeHook
from ack_preload.hooks.node_ssh import NodeSshHook
from ack_preload.operators.inputs import ReadInputsOperator
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.preload_disk import InstallRuntimeOperator
from ack_preload.targets.load import PATH_VARIABLE
from tests.unit.hostile.corpus import KINDS, PAYLOADS
from tests.unit.test_targets import TARGET, write

FEWEST = 150


def test_the_corpus_is_large_and_each_case_in_it_different() -> None:
    cases = [(kind, text) for kind in KINDS for text in KINDS[kind].hostile]
    assert len(set(cases)) == len(cases)
    assert len({text for _, text in cases}) >= FEWEST
    assert all(len(KINDS[kind].hostile) >= FEWEST for kind in KINDS)


def gets_through(kind: str, parse: Callable[[str], Any]) -> list[str]:
    """Return the hostile texts of a kind that are taken, or refused without saying why."""
    found = []
    for text in KINDS[kind].hostile:
        try:
            taken = parse(text)
        except InvalidInputError as exc:
            if "\n" in str(exc) or not str(exc).partition("; ")[2].strip():
                found.append(f"{text!r} is refused by {exc}")
        else:
            if taken != KINDS[kind].good:  # as a line that ends, or a key with a comment
                found.append(f"{text!r} is taken as {taken!r}")
    return found


GRAMMARS: dict[str, Callable[[str, Any], str]] = {
    "id": grammar.identifier,
    "region": grammar.region,
    "endpoint": grammar.endpoint,
    "address": grammar.address,
    "url": grammar.http_url,
    "version": grammar.version,
    "kubernetes version": grammar.kubernetes_version,
    "sha256": grammar.sha256,
    "digest": grammar.digest,
    "label key": grammar.label_key,
    "label value": grammar.label_value,
    "namespace": grammar.dns_label,
}


@pytest.mark.parametrize("kind", GRAMMARS)
def test_a_grammar_takes_what_is_good_and_nothing_hostile(kind: str) -> None:
    parse = GRAMMARS[kind]
    assert parse("field", KINDS[kind].good) == KINDS[kind].good
    assert gets_through(kind, lambda text: parse("field", text)) == []
    for value in (None, 7, ["x"], b"x", {"x": 1}):
        with pytest.raises(InvalidInputError, match=r"^field is "):
            parse("field", value)


def test_an_image_reference_or_a_host_key_is_the_whole_text_or_nothing() -> None:
    assert gets_through("image reference", lambda text: str(ImageReference.parse(text))) == []
    assert gets_through("host key", host_key) == []


# -- the connection


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        ("region", "region"),
        ("ecs_endpoint", "endpoint"),
        ("cs_endpoint", "endpoint"),
        ("packages_url", "url"),
    ],
)
def test_a_connection_refuses_each_hostile_value(extra: str, kind: str) -> None:
    def parse(text: str) -> str:
        said = {"region": "cn-hangzhou", extra: text}
        conn: Any = SimpleNamespace(conn_id="c", login="i", password="p", extra_dejson=said)
        return str(getattr(Account.from_connection(conn), extra))

    assert gets_through(kind, parse) == []


# -- operators and hooks, before anything is asked


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lead the connection to where nobody answers, and the history to a file of this test's."""
    extra = {
        "region": "cn-hangzhou",
        "ecs_endpoint": "127.0.0.1:1",
        "cs_endpoint": "127.0.0.1:1",
        "protocol": "http",
        "installation": "tests",
    }
    line = {"conn_type": "alibaba_cloud", "login": "i", "password": "p", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", json.dumps(line))
    store = {"conn_type": "sqlite", "host": str(tmp_path / "history.db")}
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", json.dumps(store))
    monkeypatch.setenv(PATH_VARIABLE, str(write(tmp_path, TARGET)))


def context(**params: Any) -> Any:
    ti = SimpleNamespace(
        dag_id="d",
        run_id="manual__1",
        task_id="t",
        map_index=-1,
        max_tries=2,
        try_number=1,
        xcom_push=lambda key, value: None,
        xcom_pull=lambda **_: None,
    )
    run = SimpleNamespace(start_date=None, logical_date=None, run_after=None)
    return {"ti": ti, "dag_run": run, "params": params}


def test_hooks_put_no_hostile_id_into_a_path() -> None:
    hook = AckHook()
    calls: list[Callable[[str], Any]] = [
        hook.cluster,
        hook.node_pools,
        hook.kubeconfig,
        lambda text: hook.node_pool("c1", text),
        lambda text: hook.nodes(text, "np1"),
        lambda text: hook.create_node_pool(text, {}),
        lambda text: hook.modify_node_pool(text, "np1", {}),
        lambda text: hook.set_desired_size("c1", text, 1),
        lambda text: hook.delete_node_pool("c1", text),
    ]
    for call in calls:
        assert gets_through("id", call) == []


def test_no_hostile_word_stands_in_a_path_of_kubernetes() -> None:
    api: Any = None
    hook = KubeHook(api, "c1")
    pod = {"metadata": {"name": "pod"}}
    run = asyncio.run
    assert gets_through("namespace", lambda text: run(hook.pod(text, "pod"))) == []
    assert gets_through("namespace", lambda text: run(hook.pod("default", text))) == []
    assert gets_through("namespace", lambda text: run(hook.delete_pod(text, "pod"))) == []
    assert gets_through("namespace", lambda text: run(hook.create_pod(text, pod))) == []
    assert gets_through("id", lambda text: run(hook.nodes_of_pool(text))) == []


def test_a_machine_of_no_address_is_not_connected_to() -> None:
    account: Any = None
    assert gets_through("address", lambda text: NodeSshHook(Host(text), account)) == []


def test_a_runtime_of_no_version_is_not_installed() -> None:
    def parse(text: str) -> Any:
        made = InstallRuntimeOperator(task_id="t", address="10.0.0.1", version=text)
        return made.arguments(context())

    assert gets_through("version", parse) == []


@pytest.mark.parametrize("field", ["pool_name", "snapshot_id"])
def test_no_node_pool_is_asked_for_by_a_hostile_word(field: str) -> None:
    good = {"pool_name": "fast", "snapshot_id": "s-1"}

    def parse(text: str) -> Any:
        target = copy.deepcopy(TARGET) | {"build": {**TARGET["build"], "disk_gib": 40}}
        operator = ApplyNodePoolOperator(task_id="t", target=target, **(good | {field: text}))
        return operator.execute(context())

    assert gets_through("id", parse) == []


@pytest.mark.parametrize(
    ("field", "kind"),
    [("target", "target name"), ("snapshot_id", "id"), ("lock_digest", "digest")],
)
def test_params_of_a_run_are_refused(field: str, kind: str) -> None:
    def parse(text: str) -> Any:
        operator = ReadInputsOperator(task_id="t", target="demo", needs="snapshot")
        setattr(operator, field, text)  # as a template renders it
        return operator.execute(context())

    assert gets_through(kind, parse) == []


def test_a_chain_that_is_no_line_is_refused() -> None:
    operator = ReadInputsOperator(task_id="t", target="demo")
    for text in ("a\n", "\0", "a\x1b[31m", "x" * 251, "\u2028"):
        with pytest.raises(InvalidInputError, match=r"^param chain is "):
            operator.execute(context(chain=text))


# -- run ids, which come from outside and go into tags

RUN_IDS = [
    "manual__2026-11-25T02:30:00+00:00",
    "scheduled__2026-11-25T02:30:00.123456+00:00",
    "manual__\u0441\u043d\u0438\u043c\u043e\u043a",
    "https://example.com/x",
    "a//b",
    "x" * 250,
    *PAYLOADS,
]


def test_every_run_id_makes_a_tag_that_the_cloud_takes_and_no_other_run_has() -> None:
    tags = [run_tag("roll_out_node_pool", run_id) for run_id in RUN_IDS]
    assert len(set(tags)) == len(RUN_IDS)
    for tag in tags:
        assert tag.isascii()
        assert tag.isprintable()
        assert len(tag) <= MAX_VALUE
        assert "://" not in tag
    assert tags[0] == f"roll_out_node_pool/{RUN_IDS[0]}"


# -- Jinja


class Handed(ResolveMixin):
    """A value as another task hands it on."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def iter_references(self) -> Any:
        return ()

    def resolve(self, context: Any) -> Any:
        return self.value


JINJA = [text for text in PAYLOADS if text.startswith("{")]


@pytest.mark.parametrize("text", JINJA)
def test_a_param_is_rendered_once_and_what_it_says_is_not(text: str) -> None:
    operator = ReadInputsOperator(
        task_id="t", needs="snapshot", snapshot_id="{{ params.snapshot_id }}"
    )
    told = context(target=text, snapshot_id=text)
    operator.render_template_fields(told)
    assert (operator.target, operator.snapshot_id) == (text, text)
    with pytest.raises(InvalidInputError, match=r"^param snapshot_id is "):
        operator.execute(told)


@pytest.mark.parametrize("text", JINJA)
def test_what_a_task_hands_on_is_not_rendered(text: str) -> None:
    handed: Any = Handed({"cluster_id": text, "list": [text]})
    operator: BaseOperator = ApplyNodePoolOperator(
        task_id="t", target=handed, pool_name=handed, snapshot_id=None
    )
    operator.render_template_fields(context())
    assert operator.target == {"cluster_id": text, "list": [text]}  # type: ignore[attr-defined]  # its own


def test_the_corpus_is_read_as_it_is_written() -> None:
    assert "\ntouch CANARY" in PAYLOADS
    assert "\x00" in PAYLOADS
    assert yaml.safe_load(json.dumps(PAYLOADS[:40])) == PAYLOADS[:40]
