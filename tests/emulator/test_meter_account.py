"""The meter from outside: by the official SDK, its route, and what a cloud leaves behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from alibabacloud_ecs20140526 import models

from emulator.app import Handle, running
from emulator.metering.__main__ import main
from emulator.metering.journal import Journal, JournalError, replay
from emulator.metering.lines import Line, Reading
from tests.conftest import INSTANT
from tests.emulator.sdk import ecs_client
from tests.emulator.still import NOON
from tests.emulator.test_cli import QUICK, ROOT, started

REGION = "cn-hangzhou"
RUN = "ack-preload/run"  # to the local cloud a key like any other
HOUR_S = 3600
SLACK_S = 30  # what the calls themselves may take of real time


def order(facts: dict[str, Any], run: str) -> models.RunInstancesRequest:
    disk = models.RunInstancesRequestDataDisk(category="cloud_essd", size=100)
    return models.RunInstancesRequest(
        region_id=REGION,
        image_id=facts["image_id"],
        instance_type=facts["instance_type"],
        v_switch_id=facts["vswitch_id"],
        security_group_id=facts["security_group_id"],
        tag=[models.RunInstancesRequestTag(key=RUN, value=run)],
        data_disk=[disk],
    )


def status(handle: Handle, instance_id: str) -> str:
    found = handle.cloud.instances.get(instance_id)
    return found.status if found else "gone"


@pytest.mark.slow
def test_the_sdks_calls_cost_what_the_clock_says(cloud_handle: Handle) -> None:
    client = ecs_client(cloud_handle.facts)
    answer = client.run_instances(order(cloud_handle.facts, "night"))
    instance_id = answer.body.instance_id_sets.instance_id_set[0]
    cloud_handle.run_until(lambda: status(cloud_handle, instance_id) == "Running", step_s=0)
    cloud_handle.advance(HOUR_S)
    client.stop_instance(
        models.StopInstanceRequest(instance_id=instance_id, stopped_mode="StopCharging")
    )
    cloud_handle.run_until(lambda: status(cloud_handle, instance_id) == "Stopped", step_s=0)
    cloud_handle.advance(HOUR_S)
    alive = [each["id"] for each in cloud_handle.meter(RUN)["alive"]]
    assert instance_id in alive
    client.delete_instance(models.DeleteInstanceRequest(instance_id=instance_id))
    cloud_handle.run_until(lambda: status(cloud_handle, instance_id) == "gone", step_s=0)
    cloud_handle.advance(HOUR_S)

    (group,) = cloud_handle.meter(RUN)["groups"]
    assert group["values"] == {RUN: "night"}
    used = group["totals"]
    assert used["instance"]["instance_seconds"] == pytest.approx(HOUR_S, abs=SLACK_S)
    gib_seconds = 2 * HOUR_S * (100 + 40)
    assert used["disk"]["disk_gib_seconds"] == pytest.approx(gib_seconds, abs=SLACK_S * 140)
    assert (used["instance"]["alive"], used["disk"]["alive"]) == (0, 0)
    assert group["peak"] == {"disk": 2, "instance": 1}


@pytest.mark.slow
def test_the_route_says_what_python_says_and_what_the_state_has(cloud_handle: Handle) -> None:
    ecs_client(cloud_handle.facts).run_instances(order(cloud_handle.facts, "a/b:c&d=é"))
    url = cloud_handle.facts["control_url"]
    answer = requests.get(f"{url}/meter", params={"by": RUN}, timeout=10).json()
    assert answer["by"] == [RUN]
    assert [each["values"] for each in answer["groups"]] == [{RUN: "a/b:c&d=é"}]
    assert answer["foreign"]["totals"]["instance"]["count"] == 1, "the seeded node is nobody's"
    assert answer.keys() == cloud_handle.meter().keys()
    state = requests.get(f"{url}/state", timeout=10).json()["resources"]
    metered = {(each["kind"], each["id"]) for each in answer["alive"]}
    free = ("cluster", "node")  # no resource of the account's: nodes are instances
    assert metered == {(each["kind"], each["id"]) for each in state if each["kind"] not in free}


@pytest.mark.parametrize(
    ("query", "says"),
    [("by=", "by is empty"), ("group=x", "unknown parameter group")],
    ids=["empty key", "unknown parameter"],
)
def test_the_route_refuses_what_it_would_have_to_guess(
    quiet_cloud: Handle, query: str, says: str
) -> None:
    answer = requests.get(f"{quiet_cloud.facts['control_url']}/meter?{query}", timeout=10)
    assert answer.status_code == 400
    assert says in answer.json()["message"]
    assert "?by=KEY" in answer.json()["message"]


@pytest.mark.slow
def test_a_stopped_cloud_can_be_asked_what_was_alive_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path, settings=INSTANT, seed="empty") as first:
        ecs_client(first.facts).run_instances(order(first.facts, "first"))
    with running(tmp_path, settings=INSTANT, seed="empty") as second:
        ecs_client(second.facts).run_instances(order(second.facts, "second"))
        second.advance(HOUR_S)
        live = second.meter(RUN)
    main([str(tmp_path), "--by", RUN])
    found = json.loads(capsys.readouterr().out)
    assert [each["values"] for each in found["groups"]] == [{RUN: "second"}]
    ids = [[each["id"] for each in account["alive"]] for account in (live, found)]
    assert ids[0] == ids[1]
    assert found["totals"]["instance"]["instance_seconds"] >= HOUR_S


@pytest.mark.slow
def test_a_killed_cloud_can_be_asked_what_it_had(tmp_path: Path) -> None:
    with started("--state", str(tmp_path), "--seed", "empty", *QUICK) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        ecs_client(facts).run_instances(order(facts, "night"))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    program = [sys.executable, "-m", "emulator.metering", str(tmp_path), "--by", RUN]
    shown = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
    (group,) = json.loads(shown.stdout)["groups"]
    assert group["totals"]["instance"]["alive"] == 1
    assert group["totals"]["disk"]["alive"] == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        ("", "is empty"),
        ('{"time":"2026-11-25T12:00:00+00:00","event":"open"}\n', "line 1: no event of a meter"),
        (
            '{"time":"2026-11-25T12:00:00+00:00","event":"rob","kind":"disk","id":"d-1",'
            '"name":"","tags":{},"facts":{},"rate":1}\n',
            "unknown event rob",
        ),
        ("no\n", "line 1: not JSON"),
    ],
    ids=["none", "empty", "without its kind", "unknown event", "not JSON"],
)
def test_without_an_account_the_program_says_why(
    tmp_path: Path, content: str | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "meter.jsonl").write_text(content)
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (1, "")
    assert says in shown.err


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "meter.jsonl"
    path.write_text(
        f'{{"time":"{NOON.isoformat()}","event":"start"}}\n'
        f'{{"time":"{NOON.isoformat()}","event":"open","kind":"key_pair","id":"a","name":"a",'
        '"tags":{},"facts":{},"rate":0}\n'
        '{"time":"2026-11-25T13:00:00+00:00","event":"cl'
    )
    lines, now = replay(path)
    assert lines == [Line("key_pair", "a", "", NOON, Reading("a", {}, {}, 0))]
    assert now == NOON


def test_a_cloud_that_starts_after_a_cut_off_line_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "meter.jsonl"
    path.write_text(f'{{"time":"{NOON.isoformat()}","event":"start"}}\n{{"time":"2026-11-2')
    journal = Journal(path)
    journal.start(NOON)
    journal.close()
    assert replay(path) == ([], NOON)
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["start"] * 2


def test_an_event_of_an_unknown_resource_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "meter.jsonl"
    path.write_text(f'{{"time":"{NOON.isoformat()}","event":"close","kind":"disk","id":"d-1"}}\n')
    with pytest.raises(JournalError, match="line 1"):
        replay(path)
