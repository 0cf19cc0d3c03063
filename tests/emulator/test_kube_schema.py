"""The table of fields is that of the official client, and objects are checked against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.kube import schema
from emulator.kube.errors import KubeError
from emulator.kube.schema import generated, prune


@pytest.mark.slow
def test_the_table_is_what_the_official_client_says() -> None:
    kept = Path(schema.__file__).with_name("schema.json").read_text()
    assert kept == generated(), "run: python -m emulator.kube.schema > emulator/kube/schema.json"


def test_unknown_fields_are_taken_out_and_named() -> None:
    pod: dict[str, Any] = {"spec": {"containers": [{"name": "a", "imagge": "b"}], "x": 1}, "y": {}}
    assert sorted(prune("Pod", pod)) == ["spec.containers[0].imagge", "spec.x", "y"]
    assert pod == {"spec": {"containers": [{"name": "a"}]}}


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ({"spec": []}, "spec is a list, not an object"),
        ({"metadata": {"labels": {"a": 1}}}, "metadata.labels.a is a int, not a str"),
        ({"spec": {"priority": True}}, "spec.priority is a bool, not a int"),
        ({"spec": {"tolerations": {"a": 1}}}, "spec.tolerations is a dict, not a list"),
        ({"metadata": {"deletionTimestamp": "soon"}}, "'soon', not a moment"),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00"}}, "not a moment"),
        ({"metadata": {"labels": ["a"]}}, "metadata.labels is a list, not a map"),
    ],
)
def test_a_wrong_type_is_named(obj: dict[str, Any], words: str) -> None:
    with pytest.raises(KubeError, match=words):
        prune("Pod", obj)


def test_a_quantity_may_be_a_number() -> None:
    limits = {"limits": {"cpu": 1, "memory": "1Gi"}}
    assert prune("Pod", {"spec": {"containers": [{"name": "a", "resources": limits}]}}) == []
