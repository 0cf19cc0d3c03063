"""A script call as commands of Cloud Assistant, with bash in place of the agent."""

from __future__ import annotations

import base64
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ack_preload.domain.errors import (
    CloudError,
    InvalidInputError,
    NodeUnreachableError,
    NotFoundError,
    PreloadError,
    RemoteJobError,
)
from ack_preload.hooks.assistant import output, refusal
from ack_preload.hooks.assistant_calls import Command, conversation
from ack_preload.hooks.ssh_calls import ScriptCall, ScriptResult

LIMIT = 24 * 1024
NOISE = random.Random(7).randbytes(60_000)  # noqa: S311  # the same in every run
Agent = Callable[[Command], bytes]


@pytest.fixture
def sent() -> list[Command]:
    return []


@pytest.fixture
def agent(tmp_path: Path, sent: list[Command]) -> Agent:
    """Return what runs a command, as the agent does: a file, whose output the cloud cuts."""

    def run(command: Command) -> bytes:
        sent.append(command)
        file = tmp_path / "command.sh"
        file.write_bytes(base64.b64decode(command.encoded))
        environment = {**os.environ, "ACK_PRELOAD_ROOT": str(tmp_path)}
        done = subprocess.run(["bash", str(file)], env=environment, capture_output=True, check=True)
        return done.stdout[:LIMIT]

    return run


class Echo(ScriptCall):
    """A script that gives back what it gets."""

    @property
    def sent(self) -> bytes:
        return b'printf "<%s>" "$@" >&2; cat; exit 7\n\0' + self.stdin


def talk(call: ScriptCall, agent: Agent) -> ScriptResult:
    steps = conversation(call, 60)
    command = next(steps)
    while True:
        try:
            command = steps.send(agent(command))
        except StopIteration as ended:
            result: ScriptResult = ended.value
            return result


@pytest.mark.parametrize("size", [0, 1, 9_000, 12_000, 60_000])
def test_input_and_output_of_any_size_arrive_whole(
    size: int, agent: Agent, sent: list[Command], tmp_path: Path
) -> None:
    stdin = base64.b64encode(NOISE[:size])
    result = talk(Echo("echo.sh", ["a b", "$(id)", "'; x #", "END"], stdin), agent)
    assert result == ScriptResult("echo.sh", 7, stdin.decode(), "<a b><$(id)><'; x #><END>")
    assert all(len(command.encoded) <= LIMIT for command in sent)
    assert len({command.token for command in sent}) == len(sent)
    assert not list((tmp_path / "run/ack-preload").iterdir())  # nothing stays on the machine


def test_a_lock_of_200_images_takes_two_commands(agent: Agent, sent: list[Command]) -> None:
    line = "sha256:{} {} registry-cn-hangzhou.ack.aliyuncs.com/acs/some-image-{}:v1.{}\n"
    digits = NOISE.hex()
    lock = "".join(line.format(digits[n * 64 : n * 64 + 64], n * 997, n, n) for n in range(200))
    result = talk(Echo("echo.sh", ["start"], lock.encode()), agent)
    assert result.stdout == lock
    assert len(sent) <= 4


def test_a_command_runs_once_however_often_it_is_brought(agent: Agent, sent: list[Command]) -> None:
    steps = conversation(Echo("echo.sh", [], base64.b64encode(NOISE)), 60)
    command = next(steps)
    while b"main run " not in command.content:
        command = steps.send(agent(command))
    agent(command)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        agent(command)
    assert b"this has run already" in caught.value.stderr


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda said: said[:-8], id="cut"),
        pytest.param(lambda said: said[:-8] + b"AAAAAAAA", id="changed"),
        pytest.param(lambda said: b"", id="nothing"),
        pytest.param(lambda said: b"Last login: today\n" + said, id="noise"),
        pytest.param(lambda said: said.split(b"\n")[0] + b"\n*", id="no base64"),
    ],
)
def test_an_answer_that_is_not_whole_is_none(spoil: Callable[[bytes], bytes], agent: Agent) -> None:
    with pytest.raises(NodeUnreachableError, match="try again"):
        talk(Echo("echo.sh", [], b"text"), lambda command: spoil(agent(command)))


def test_half_of_what_was_sent_is_not_run(agent: Agent) -> None:
    steps = conversation(Echo("echo.sh", [], base64.b64encode(NOISE)), 60)
    command = next(steps)
    while b"main run " not in command.content:
        previous, command = command, steps.send(agent(command))
    head, end = previous.content.partition(b"<<'END'\n")[:2]
    agent(Command(head + end + b"aGFsZg==\nEND\n", 1))
    with pytest.raises(subprocess.CalledProcessError) as caught:
        agent(command)
    assert b"what arrived is not what was sent" in caught.value.stderr


def test_a_secret_is_refused_before_anything_is_sent() -> None:
    call = ScriptCall("job.sh", [], b"", b"p4ss")
    with pytest.raises(InvalidInputError, match="use transport ssh") as caught:
        next(conversation(call, 60))
    assert "p4ss" not in str(caught.value)


def test_more_than_commands_can_carry_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="more than Cloud Assistant takes"):
        next(conversation(ScriptCall("job.sh", ["x" * 20_000]), 60))


def result(**changes: Any) -> dict[str, Any]:
    one = {"InstanceId": "i-1", "InvocationStatus": "Success", "Output": "aGk=", "Dropped": 0}
    return {"Invocation": {"InvocationResults": {"InvocationResult": [one | changes]}}}


@pytest.mark.parametrize("status", ["Pending", "Running", "Stopping", "Scheduled", "New"])
def test_a_command_that_goes_on_has_no_output_yet(status: str) -> None:
    assert output("i-1", result(InvocationStatus=status)) is None
    assert output("i-2", result()) is None  # not listed yet
    assert output("i-1", result()) == b"hi"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        pytest.param(
            {"InvocationStatus": "Failed", "Output": base64.b64encode(b"no room").decode()},
            RemoteJobError,
            "ended with an error: no room",
            id="exit code",
        ),
        pytest.param(
            {"InvocationStatus": "Error", "ErrorCode": "ClientNotRunning", "ErrorInfo": "off"},
            NodeUnreachableError,
            "ClientNotRunning, off; its agent does not run; install it",
            id="no agent",
        ),
        pytest.param(
            {"InvocationStatus": "Timeout", "ErrorCode": "ExecutionTimeout"},
            NodeUnreachableError,
            "did not end in time",
            id="time-out",
        ),
        pytest.param({"Dropped": 12}, NodeUnreachableError, "Success, no reason", id="cut"),
    ],
)
def test_a_bad_end_says_why_and_what_to_do(
    changes: dict[str, Any], error: type[PreloadError], said: str
) -> None:
    with pytest.raises(error, match=said):
        output("i-1", result(**changes))


@pytest.mark.parametrize(
    ("refused", "error", "said"),
    [
        pytest.param(
            CloudError("Forbidden.RAM", "no", request_id="R"),
            CloudError,
            "allow ecs:RunCommand",
            id="permission",
        ),
        pytest.param(
            NotFoundError("InvalidInstance.NotFound", "i-1", request_id="R"),
            NodeUnreachableError,
            "gone, or not listed yet",
            id="instance",
        ),
        pytest.param(
            CloudError("CmdContent.ExceedLimit", "long", request_id="R"),
            CloudError,
            "long",
            id="another",
        ),
    ],
)
def test_a_refusal_has_its_mend(refused: CloudError, error: type[PreloadError], said: str) -> None:
    found = refusal("i-1", refused)
    assert type(found) is error
    assert said in str(found)
