"""A wrong file of targets is refused whole, and the error says field, value and mend."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ack_preload.targets import TargetError, load_target, load_targets
from ack_preload.targets.load import PATH_VARIABLE

TARGET: dict[str, Any] = {
    "name": "demo",
    "cluster_id": "c0123",
    "source": {"node_pool_id": "np0123"},
    "build": {
        "instance_type": "ecs.c7.xlarge",
        "zone_id": "cn-hangzhou-i",
        "vswitch_id": "vsw-1",
        "security_group_id": "sg-1",
        "image_id": "aliyun_3",
    },
    "pool": {"name": "fast", "instance_types": ["ecs.c7.xlarge"], "vswitch_ids": ["vsw-1"]},
    "measure": {"workload_image": "registry.example.com/ac2/qwen:7b"},
}
ACCELERATED = {"alibabacloud.com/image-accelerate-enabled": "true"}


def write(folder: Path, *targets: dict[str, Any], **top: Any) -> Path:
    path = folder / "targets.yaml"
    path.write_text(yaml.safe_dump({"targets": list(targets), **top}))
    return path


def changed(*keys: str, to: Any) -> dict[str, Any]:
    target = copy.deepcopy(TARGET)
    place = target
    for key in keys[:-1]:
        place = place[key]
    if to is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    return target


def test_what_a_target_leaves_out_has_a_default(tmp_path: Path) -> None:
    target = load_target("demo", write(tmp_path, TARGET))
    assert (target.measure.samples, target.limits.keep_snapshots) == (3, 3)
    assert target.pool.skip_yum == "pre"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param(changed("cluster_id", to=None), "cluster_id (of target demo) is missing; add"),
        pytest.param(changed("nmae", to="x"), "nmae (of target demo) is unknown (value 'x')"),
        pytest.param(
            changed("build", "disk_gib", to="100"),
            "build.disk_gib (of target demo) is '100': input should be a valid integer",
        ),
        pytest.param(changed("build", "disk_gib", to=20), "is 20: input should be greater than"),
        pytest.param(changed("measure", "samples", to=21), "is 21: input should be less than"),
        pytest.param(changed("name", to="Demo"), "name (of target Demo) is 'Demo': string should"),
        pytest.param(changed("name", to="auto-1"), "a word that Alibaba Cloud reserves"),
        pytest.param(changed("pool", "instance_types", to=[]), "should have at least 1 item"),
        pytest.param(changed("pool", "labels", to=ACCELERATED), "remove the label"),
        pytest.param(
            changed("workload_images", to=["qwen:7b; rm -rf /"]),
            "workload_images.0 (of target demo) is 'qwen:7b; rm -rf /': image reference",
        ),
        pytest.param(
            changed("registry_conn_ids", to=["no good"]), "registry_conn_ids.0 (of target demo) is"
        ),
        pytest.param(
            changed("measure", "workload_image", to="registry.example.com/qwen"),
            "names neither a tag nor a digest",
        ),
        pytest.param(changed("measure", "namespace", to="No_Way"), "is 'No_Way'"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(TargetError) as caught:
        load_targets(write(tmp_path, wrong))
    assert says in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_all_wrong_fields_are_told_at_once(tmp_path: Path) -> None:
    wrong = changed("cluster_id", to=None) | {"colour": "red"}
    with pytest.raises(TargetError) as caught:
        load_targets(write(tmp_path, wrong))
    assert len(str(caught.value).splitlines()) == 2


def test_a_node_pool_is_that_of_one_target(tmp_path: Path) -> None:
    other = changed("name", to="other")
    with pytest.raises(TargetError, match="node pool of two targets: fast in c0123; each"):
        load_targets(write(tmp_path, TARGET, other))
    elsewhere = {**other, "cluster_id": "c0456"}
    assert len(load_targets(write(tmp_path, TARGET, elsewhere)).targets) == 2


def test_a_name_is_used_once(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="used twice: demo"):
        load_targets(write(tmp_path, TARGET, TARGET))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("targets: [", "not YAML", id="broken YAML"),
        pytest.param("", "holds nothing", id="empty"),
        pytest.param("- a", "holds list", id="a list"),
        pytest.param("targets: []", "at least 1 item", id="no target"),
        pytest.param("targets: 7", "valid list", id="a number"),
        pytest.param("targets: [7]", "targets.0", id="a target that is a number"),
    ],
)
def test_a_file_that_is_no_list_of_targets_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text(text)
    with pytest.raises(TargetError, match=says):
        load_targets(path)


def test_a_missing_file_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=f"set {PATH_VARIABLE}"):
        load_targets(tmp_path / "absent.yaml")


def test_the_path_is_read_from_the_environment_at_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(write(tmp_path, TARGET)))
    assert load_target("demo").name == "demo"


def test_an_empty_name_means_the_only_target(tmp_path: Path) -> None:
    assert load_target("", write(tmp_path, TARGET)).name == "demo"
    two = write(tmp_path, TARGET, {**changed("name", to="other"), "cluster_id": "c0456"})
    with pytest.raises(TargetError, match="choose one of demo, other"):
        load_target("", two)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"no target 'x' in .*; known: demo"):
        load_target("x", write(tmp_path, TARGET))


def test_the_sample_file_is_valid() -> None:
    sample = Path(__file__).parents[2] / "include" / "targets.yaml"
    assert [target.name for target in load_targets(sample).targets] == ["demo"]
