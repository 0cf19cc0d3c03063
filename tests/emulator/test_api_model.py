"""What is generated from the SDKs and from the tables of actions is current."""

from __future__ import annotations

import pytest

from emulator import ack, api_model, api_reference, ecs
from emulator.params import Call, Rule

ISSUED = {
    "ecs": {
        *("RunInstances", "DescribeInstances", "StartInstance", "StopInstance", "DeleteInstance"),
        *("DescribeDisks", "CreateSnapshot", "DescribeSnapshots", "DeleteSnapshot"),
        *("ImportKeyPair", "DeleteKeyPairs", "DescribeImages", "TagResources"),
    },
    "ack": {
        *("DescribeClustersV1", "DescribeClusterDetail", "DescribeClusterNodePools"),
        "DescribeClusterNodePoolDetail",
        *("CreateClusterNodePool", "ModifyClusterNodePool", "ScaleClusterNodePool"),
        *("DeleteClusterNodepool", "RemoveNodePoolNodes", "DescribeClusterNodes"),
        *("DescribeTaskInfo", "DescribeClusterUserKubeconfig", "ListClusterAddonInstances"),
    },
}


def test_every_promised_action_is_there() -> None:
    assert set(ecs.ACTIONS) >= ISSUED["ecs"]
    assert set(ack.ACTIONS) >= ISSUED["ack"]


@pytest.mark.slow
def test_the_models_are_those_of_the_installed_sdks() -> None:
    for path, text in api_model.files().items():
        assert path.read_text() == text, f"{path} is stale: run python -m emulator.api_model"


def test_the_reference_page_is_current() -> None:
    told = "docs/reference/emulated-api.md is stale: run python -m emulator.api_reference"
    assert api_reference.PAGE.read_text() == api_reference.page(), told


def test_a_rule_for_what_the_api_does_not_have_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"rule for A\.C"):
        Call({"A": {"B": "string"}}, {"A.C": Rule()})
