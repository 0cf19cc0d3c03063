"""The local cloud answers as the recordings do; and that this comparison finds differences.

There is no recording of the real cloud yet. The way to make one is proved on the local cloud.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator import ack, ecs
from emulator.app import Handle
from emulator.truth import Recorded
from tests.emulator.sdk import config
from tests.parity import recordings
from tests.parity.record import record

KEPT = sorted(recordings.FOLDER.glob("*.json"))


def test_the_local_cloud_answers_as_every_recording() -> None:
    told = {path.name: list(recordings.differences(recordings.read(path))) for path in KEPT}
    assert not {name: problems for name, problems in told.items() if problems}


def test_a_recorded_action_says_so_and_no_other_does() -> None:
    truths = [action.truth for table in (ecs.ACTIONS, ack.ACTIONS) for action in table.values()]
    named = {truth.source.file for truth in truths if isinstance(truth.source, Recorded)}
    answered = {path.name for path in KEPT if recordings.read(path).status < 400}
    assert named == answered


@pytest.mark.parametrize(
    ("endpoint", "action", "given"),
    [
        ("ecs_endpoint", "DescribeInstances", {"RegionId": "cn-hangzhou", "MaxResults": 10}),
        ("ecs_endpoint", "DeleteDisk", {"DiskId": "d-unknown"}),
        ("cs_endpoint", "DescribeClusterDetail", {"cluster_id": "$cluster"}),
        ("cs_endpoint", "DescribeClusterNodes", {"cluster_id": "$cluster", "pageSize": "5"}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_recording_is_made_read_and_compared(
    cloud_handle: Handle, tmp_path: Path, endpoint: str, action: str, given: dict[str, Any]
) -> None:
    facts = cloud_handle.facts
    given = {k: facts["cluster_id"] if v == "$cluster" else v for k, v in given.items()}
    made = record(action, given, config(facts, endpoint))
    path = recordings.write(tmp_path, made)
    assert recordings.read(path) == made
    assert list(recordings.differences(made)) == []
    assert facts["cluster_id"] not in path.read_text()


DISK = {"DiskId": "d-bp1f****", "Size": 40, "Status": "In_use"}
SAMPLE = recordings.Recording(
    "DescribeDisks", "2026-01-01", "made up", 200, {"Disks": {"Disk": [DISK]}, "RequestId": "x"}
)


def test_what_the_real_answer_has_not_is_found() -> None:
    found = list(recordings.differences(SAMPLE))
    assert "the local cloud answers Disks.Disk[].SerialNumber, which the real answer has not" in (
        found
    )
    assert not [each for each in found if "Disk[].Size," in each]


def test_another_type_and_another_error_are_found() -> None:
    other = replace(SAMPLE, body={"Disks": {"Disk": [{**DISK, "Size": "40"}]}})
    assert "Disks.Disk[].Size is '40', not of type integer" in list(recordings.differences(other))
    refused = replace(SAMPLE, status=403, body={"Code": "Other"})
    (told,) = recordings.differences(refused)
    assert "403 Other" in told


def test_what_is_the_accounts_own_is_masked() -> None:
    own = {"Id": "i-bp1f9a8b7c6d5e4f3a2b", "Ip": "10.0.0.1", "Config": "x" * 65, "Size": 40}
    assert recordings.masked(own) == {
        "Id": "i-bp1f****",
        "Ip": "<ip>",
        "Config": "<65 characters>",
        "Size": 40,
    }
