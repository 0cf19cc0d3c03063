"""Hostile texts in the file of targets: each field refuses them, and says so on one plain line."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ack_preload.targets import TargetError, load_targets
from ack_preload.targets.load import parse_targets
from tests.unit.hostile.corpus import KINDS
from tests.unit.test_targets import TARGET, write


def mark(value: Any) -> dict[Any, str]:
    return {value: "x"}


TAINT = {"key": "a", "effect": "NoExecute"}
FIELDS: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("name", "target name", str),
    ("cluster_id", "id", str),
    ("source.node_pool_id", "id", str),
    ("build.instance_type", "id", str),
    ("build.zone_id", "id", str),
    ("build.vswitch_id", "id", str),
    ("build.security_group_id", "id", str),
    ("build.image_id", "id", str),
    ("pool.name", "pool name", str),
    ("pool.instance_types", "id", lambda text: [text]),
    ("pool.vswitch_ids", "id", lambda text: [text]),
    ("pool.security_group_ids", "id", lambda text: [text]),
    ("pool.key_pair", "id", str),
    ("pool.image_type", "image type", str),
    ("pool.labels", "label key", mark),
    ("pool.labels", "label value", lambda text: {"team": text}),
    ("pool.taints", "label key", lambda text: [{"key": text, "effect": "NoSchedule"}]),
    (
        "pool.taints",
        "label value",
        lambda text: [{"key": "a", "value": text, "effect": "NoExecute"}],
    ),
    ("pool.taints", "id", lambda text: [{"key": "a", "effect": text}]),
    ("pool.skip_yum", "id", str),
    ("pool.data_disk_category", "id", str),
    ("measure.namespace", "namespace", str),
    ("measure.image_pull_secret", "namespace", str),
    ("measure.baseline_image_type", "image type", str),
    ("measure.workload_image", "image reference", str),
    ("workload_images", "image reference", lambda text: [text]),
]
AT_ONCE = 100  # targets in one file


@pytest.mark.parametrize(("field", "kind", "wrap"), FIELDS, ids=[f"{f} {k}" for f, k, _ in FIELDS])
def test_targets_refuse_each_hostile_value(
    field: str, kind: str, wrap: Callable[[Any], Any]
) -> None:
    hostile = KINDS[kind].hostile
    for start in range(0, len(hostile), AT_ONCE):
        some = hostile[start : start + AT_ONCE]
        targets = [_with(number, field, wrap(text)) for number, text in enumerate(some)]
        with pytest.raises(TargetError) as caught:
            parse_targets({"targets": targets}, where="F")
        check(str(caught.value), "F", field, some)


def test_the_file_of_targets_refuses_them_too(tmp_path: Path) -> None:
    some = [text for text in KINDS["pool name"].hostile if "\ud800" not in text][:AT_ONCE]
    path = tmp_path / "targets.yaml"
    targets = [_with(number, "pool.name", text) for number, text in enumerate(some)]
    path.write_text(json.dumps({"targets": targets}))  # JSON is YAML
    with pytest.raises(TargetError) as caught:
        load_targets(path)
    check(str(caught.value), str(path), "pool.name", some)


def check(told: str, where: str, field: str, some: list[str]) -> None:
    """Check that each of some values was refused, on a line of its own that names the field."""
    lines = [line.removeprefix(f"{where}: ") for line in told.split("\n")]
    assert [line for line in lines if not line.startswith("targets.")] == []
    assert [line for line in lines if f".{field}" not in line or ": " not in line] == []
    assert told.replace("\n", "").isprintable()
    refused = {int(line.split(".")[1]) for line in lines}
    assert [text for number, text in enumerate(some) if number not in refused] == []


def _with(number: int, field: str, value: Any) -> dict[str, Any]:
    target = copy.deepcopy(TARGET) | {"name": f"target-{number}"}
    target["pool"]["name"] = f"pool-{number}"
    place = target
    *way, last = field.split(".")
    for key in way:
        place = place[key]
    place[last] = value
    return target


def test_a_script_with_a_nul_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"pre_user_data .* holds a NUL"):
        load_targets(write(tmp_path, _with(1, "pool.pre_user_data", "echo\0")))


def test_yaml_that_makes_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text('targets: !!python/object/apply:os.system ["touch CANARY"]')
    with pytest.raises(TargetError, match="not YAML"):
        load_targets(path)
    assert not (Path.cwd() / "CANARY").exists()
