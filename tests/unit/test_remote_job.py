"""What the trigger reads of a job, and what the operator makes of its end."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import Context
from airflow.sdk.execution_time import task_runner

from ack_preload.domain.errors import (
    InvalidInputError,
    NodeUnreachableError,
    PreloadError,
    RemoteJobError,
    ResourceFailedError,
    WaitTimeoutError,
)
from ack_preload.hooks.ssh_calls import ScriptCall, ScriptResult
from ack_preload.operators.image_list import NodeListing
from ack_preload.operators.preload_disk import InstallRuntimeOperator
from ack_preload.operators.prove_images import hosts_of
from ack_preload.operators.remote_job import MOST_STOPS, STOPPED
from ack_preload.triggers.probes import Observation
from ack_preload.triggers.progress import Progress
from ack_preload.triggers.remote_job import RemoteJobTrigger, observe


@pytest.mark.parametrize(
    ("stdout", "seen"),
    [
        pytest.param(
            '{"state": "running", "exit": null, "owner": "o", "progress": null}\n',
            Observation("running", {"exit_code": None}),
            id="running",
        ),
        pytest.param(
            '{"state": "running", "exit": null, "owner": "o", '
            '"progress": {"done": 3, "of": 14, "bytes": 123}}\n',
            Observation(
                "running", {"exit_code": None, "progress": {"done": 3, "of": 14, "bytes": 123}}
            ),
            id="progress",
        ),
        pytest.param(
            '{"state": "failed", "exit": 4, "owner": "o", "progress": null}\nno "image"\nthere\n',
            Observation("failed", {"exit_code": 4, "error": 'no "image"\nthere'}),
            id="failed",
        ),
    ],
)
def test_the_state_of_a_job_is_read(stdout: str, seen: Observation) -> None:
    assert observe(stdout) == seen


def operator() -> InstallRuntimeOperator:
    return InstallRuntimeOperator(
        task_id="install", version="1.6.20", address="10.0.0.1", host_key="ssh-ed25519 AAAA"
    )


def event(verdict: str, state: str, **detail: Any) -> dict[str, Any]:
    return {"verdict": verdict, "state": state, "id": "job", "detail": detail, "subject": {}}


@pytest.mark.parametrize(
    ("ended", "error", "said"),
    [
        pytest.param(
            event("failed", "failed", exit_code=4, error="other version"),
            ResourceFailedError,
            "install_runtime.sh on 10.0.0.1 ended with exit code 4: other version",
            id="refused",
        ),
        pytest.param(
            event("failed", "failed", exit_code=5, error="no route"),
            RemoteJobError,
            "exit code 5: no route",
            id="may be tried again",
        ),
        pytest.param(
            event("failed", "lost", exit_code=None), RemoteJobError, "ended with lost", id="lost"
        ),
        pytest.param(
            event("failed", "lost", error="root@10.0.0.1:22 cannot be used over SSH"),
            RemoteJobError,
            "lost: root@10.0.0.1:22 cannot",
            id="machine lost",
        ),
        pytest.param(event("pending", "running"), WaitTimeoutError, "deadline", id="deadline"),
    ],
)
def test_a_bad_end_is_an_error(ended: dict[str, Any], error: type[PreloadError], said: str) -> None:
    with pytest.raises(error, match=said):
        operator().resume({}, ended)


def test_the_trigger_survives_its_serialized_form() -> None:
    sent = RemoteJobTrigger(
        wait="remote_job",
        subject={"job": "j", "owner": "o", "address": "10.0.0.1"},
        conn_id="conn",
        deadline="2026-01-01T00:00:00+00:00",
    )
    path, kwargs = sent.serialize()
    assert path == "ack_preload.triggers.remote_job.RemoteJobTrigger"
    assert RemoteJobTrigger(**kwargs).serialize() == sent.serialize()


def test_arguments_reach_the_shell_as_words_only() -> None:
    call = ScriptCall("list_images.sh", ["a b", "$(id)", "'; reboot #"], b"input")
    assert call.command.endswith("list_images.sh 'a b' '$(id)' ''\"'\"'; reboot #'")
    script, _, rest = call.sent.partition(b"\0")
    assert script.startswith(b"#!/usr/bin/env bash\n")
    assert rest == b"input"


def test_a_failed_script_shows_its_last_lines_only() -> None:
    talk = "\n".join(f"line {n}" for n in range(100))
    with pytest.raises(RemoteJobError, match=r"exit code 3: line 80\n") as caught:
        ScriptResult("a.sh", 3, "", talk).checked()
    assert "line 79" not in str(caught.value)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param("10.0.0.1", ["10.0.0.1"], id="address"),
        pytest.param([{"private_ip": "10.0.0.1"}, {"private_ip": "10.0.0.2"}], None, id="list"),
        pytest.param('[{"private_ip": "10.0.0.1"}]', ["10.0.0.1"], id="JSON"),
        pytest.param('{"nodes": [{"private_ip": "10.0.0.1"}]}', ["10.0.0.1"], id="whole result"),
    ],
)
def test_nodes_may_be_given_in_several_forms(nodes: Any, expected: list[str] | None) -> None:
    assert [host.address for host in hosts_of(nodes)] == (expected or ["10.0.0.1", "10.0.0.2"])


@pytest.mark.parametrize("nodes", ["", [], "[]", [{"private_ip": None}], [{}]], ids=repr)
def test_no_node_proves_nothing(nodes: Any) -> None:
    with pytest.raises(InvalidInputError, match="nodes is"):
        hosts_of(nodes)


@pytest.mark.parametrize(
    ("stdout", "said"),
    [
        pytest.param("", "node n runs on nothing", id="empty"),
        pytest.param("== platform\nDarwin arm64\n", "node n runs on Darwin arm64", id="platform"),
        pytest.param(
            "== platform\nLinux x86_64\n== table\nnonsense\n== json\n{}\n",
            "node n: not the table",
            id="table",
        ),
        pytest.param(
            "== platform\nLinux x86_64\n== table\nIMAGE TAG\n== json\n{}\n",
            "node n: not the output of crictl images -o json",
            id="json",
        ),
    ],
)
def test_a_listing_that_is_none_names_the_node(stdout: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        NodeListing.parse("n", stdout)


@pytest.mark.parametrize(
    "stdout", ["", "half a li", "[]", '{"state": "running"}', "null", "Last login: today\n{}"]
)
def test_what_is_no_state_is_no_answer_and_not_a_wrong_one(stdout: str) -> None:
    with pytest.raises(NodeUnreachableError, match="which is no state"):
        observe(stdout)


def test_a_result_that_is_no_json_is_an_error_of_the_job() -> None:
    with pytest.raises(RemoteJobError, match="reported 'no json', which is not JSON lines"):
        operator()._lines("no json")


class Supervisor:
    """What Airflow's triggerer offers to its triggers, as far as XComs go."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def asend(self, message: Any) -> None:
        self.told.append(message.value)


async def test_progress_is_shown_at_once_then_now_and_then_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    subject = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    progress = Progress(every_s=60)
    for done in (1, 1, 2, 3):
        await progress.show(subject, {"done": done}, is_last=False)
    assert supervisor.told == [{"done": 1}]
    await progress.show(subject, {"done": 4}, is_last=True)
    await Progress().show({"run_id": "of an older version"}, {"done": 1}, is_last=True)
    assert supervisor.told == [{"done": 1}, {"done": 4}]


def test_what_its_own_machine_stops_each_time_is_not_started_for_ever() -> None:
    operator = InstallRuntimeOperator(task_id="install", version="1.6.28", address="10.0.0.1")
    event = {
        "verdict": "failed",
        "state": "failed",
        "id": "pull-1",
        "detail": {"exit_code": STOPPED, "error": "Terminated"},
        "subject": {"job": "pull-1", "stops": MOST_STOPS},
    }
    with pytest.raises(RemoteJobError, match="exit code 143: Terminated"):
        operator.resume(Context(), event)  # it starts nothing
