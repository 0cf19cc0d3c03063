"""The Pod that is timed fits one pool only, and asks the registry for nothing it has."""

from __future__ import annotations

from typing import Any

from ack_preload.domain.workload import (
    NODE_POOL_LABEL,
    TEMPORARY_TAINT,
    temporary_target,
    workload_pod,
)

GPU = {"key": "gpu", "value": "true", "effect": "NoSchedule"}


def target(**measure: Any) -> dict[str, Any]:
    image = {"workload_image": "registry.example.com/ac2/qwen:7b"}
    return {"name": "demo", "pool": {"name": "fast", "taints": [GPU]}, "measure": image | measure}


def spec(**measure: Any) -> dict[str, Any]:
    found: dict[str, Any] = workload_pod("p", "np-1", target(**measure))["spec"]
    return found


def test_it_is_bound_to_its_pool_and_tolerates_the_pools_taints_alone() -> None:
    assert spec()["nodeSelector"] == {NODE_POOL_LABEL: "np-1"}
    assert [each["key"] for each in spec()["tolerations"]] == ["gpu", TEMPORARY_TAINT["key"]]


def test_an_image_on_the_disk_is_not_asked_for() -> None:
    (container,) = spec()["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert "command" not in container


def test_a_command_and_a_pull_secret_are_passed_on() -> None:
    full = spec(workload_command=["/bin/server"], image_pull_secret="registry")
    assert full["containers"][0]["command"] == ["/bin/server"]
    assert full["imagePullSecrets"] == [{"name": "registry"}]


def test_a_taint_without_effect_is_tolerated_in_all() -> None:
    loose = target()
    loose["pool"]["taints"] = [{"key": "any"}]
    (first, _) = workload_pod("p", "np-1", loose)["spec"]["tolerations"]
    assert first == {"key": "any", "operator": "Equal", "value": ""}


def test_our_taint_is_added_once_and_the_target_is_left_as_it_is() -> None:
    original = target()
    once = temporary_target(original)
    assert once["pool"]["taints"] == [GPU, TEMPORARY_TAINT]
    assert temporary_target(once) == once
    assert original["pool"]["taints"] == [GPU]
