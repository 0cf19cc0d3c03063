"""Commands of Cloud Assistant that really run on a paper machine, by the official SDK."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models

from emulator.app import Handle, running
from emulator.ecs.resources import InstanceStatus
from emulator.faults import ResetAfter, ServerError, Throttle
from emulator.machines.script_process import ScriptProcess
from tests.conftest import INSTANT
from tests.emulator.clients import REGION, Clients, answered, clients_of
from tests.emulator.test_assistant_paper import WAITS_S, until

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs/assistant.md"
LONG_S = 86400  # a test may move the clock while a script really runs


@pytest.fixture(scope="module")
def machine(quiet_cloud: Handle) -> tuple[Clients, str]:
    clients = clients_of(quiet_cloud)
    instance_id = clients.order()
    instances = quiet_cloud.cloud.instances
    quiet_cloud.run_until(lambda: instances[instance_id].status is InstanceStatus.RUNNING)
    return clients, instance_id


@pytest.fixture(autouse=True)
def no_faults(quiet_cloud: Handle) -> Iterator[None]:
    yield
    quiet_cloud.faults.clear()


def command(instance_id: str, content: str, **more: Any) -> models.RunCommandRequest:
    return models.RunCommandRequest(
        region_id=REGION,
        type="RunShellScript",
        command_content=content,
        instance_id=[instance_id],
        **{"timeout": LONG_S, **more},
    )


def query(invoke_id: str) -> models.DescribeInvocationResultsRequest:
    return models.DescribeInvocationResultsRequest(
        region_id=REGION, invoke_id=invoke_id, content_encoding="PlainText"
    )


async def ended(clients: Clients, invoke_id: str) -> Any:
    """Return a result once it is final."""
    async with asyncio.timeout(WAITS_S):
        while True:
            body = (await clients.ecs.describe_invocation_results_async(query(invoke_id))).body
            (found,) = body.invocation.invocation_results.invocation_result
            if found.invocation_status not in ("Pending", "Running", "Stopping"):
                return found
            await asyncio.sleep(0.005)


async def blocking(clients: Clients, request: models.RunCommandRequest) -> str:
    return str(clients.ecs.run_command(request).body.invoke_id)


async def asynchronous(clients: Clients, request: models.RunCommandRequest) -> str:
    return str((await clients.ecs.run_command_async(request)).body.invoke_id)


@pytest.mark.parametrize("call", [blocking, asynchronous])
async def test_a_command_of_any_text_comes_back_whole(
    machine: tuple[Clients, str],
    call: Callable[[Clients, models.RunCommandRequest], Awaitable[str]],
) -> None:
    clients, instance_id = machine
    text = "é+%2B&=? \t\\'\"`$HOME`"
    invoke_id = await call(clients, command(instance_id, f"cat <<'END'\n{text}\nEND\nexit 3"))
    found = await ended(clients, invoke_id)
    assert (found.output, found.exit_code, found.error_code) == (f"{text}\n", 3, "ExitCodeNonzero")
    assert re.fullmatch(r"\d{4}(-\d\d){2}T\d\d:\d\d:\d\dZ", found.finished_time)


def test_what_the_page_shows_is_what_happens(
    machine: tuple[Clients, str], capsys: pytest.CaptureFixture[str]
) -> None:
    clients, instance_id = machine
    (shown,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(shown, {"client": clients.ecs, "instance_id": instance_id})  # noqa: S102  # our own page
    assert capsys.readouterr().out.strip() == shown.rpartition("# ")[2].strip()


async def test_the_longest_command_arrives(machine: tuple[Clients, str]) -> None:
    clients, instance_id = machine
    content = "echo here # " + "\n" * (18 * 1024 - 12)
    invoke_id = await blocking(clients, command(instance_id, content))
    assert (await ended(clients, invoke_id)).output == "here\n"


async def test_a_time_limit_really_ends_a_script(machine: tuple[Clients, str]) -> None:
    clients, instance_id = machine
    request = command(
        instance_id, "echo on; sleep 1000", timeout=10, termination_mode="ProcessTree"
    )
    invoke_id = await blocking(clients, request)
    await until(lambda: said(clients, invoke_id) == b"on\n")
    clients.handle.advance(10)
    found = await ended(clients, invoke_id)
    assert (found.invocation_status, found.exit_code, found.output) == ("Timeout", 1, "on\n")
    script = script_of(clients, invoke_id)
    await until(lambda: script is not None and script.has_ended)


async def test_a_stop_really_ends_a_script(machine: tuple[Clients, str]) -> None:
    clients, instance_id = machine
    invoke_id = await blocking(clients, command(instance_id, "echo on; exec sleep 1000"))
    await until(lambda: said(clients, invoke_id) == b"on\n")
    stop = models.StopInvocationRequest(region_id=REGION, invoke_id=invoke_id)
    await clients.ecs.stop_invocation_async(stop)
    found = await ended(clients, invoke_id)
    assert (found.invocation_status, found.output) == ("Terminated", "on\n")


def script_of(clients: Clients, invoke_id: str) -> ScriptProcess | None:
    (run,) = clients.handle.cloud.invocations[invoke_id].runs.values()
    assert isinstance(run.script, ScriptProcess | None)
    return run.script


def said(clients: Clients, invoke_id: str) -> bytes:
    script = script_of(clients, invoke_id)
    return b"" if script is None else script.output


async def test_a_cloud_ends_with_what_runs_on_its_machines(tmp_path: Path) -> None:
    with running(tmp_path, settings=INSTANT, seed="empty") as handle:
        clients = clients_of(handle)
        instance_id = clients.order()
        instances = handle.cloud.instances
        handle.run_until(lambda: instances[instance_id].status is InstanceStatus.RUNNING)
        invoke_id = await blocking(clients, command(instance_id, "echo on; sleep 1000"))
        await until(lambda: said(clients, invoke_id) == b"on\n")
    script = script_of(clients, invoke_id)
    assert script is not None
    assert script.has_ended


@pytest.mark.parametrize(
    ("fault", "had_effect"),
    [(ResetAfter, True), (ServerError, False), (Throttle, False)],
    ids=["reset after", "error", "throttled"],
)
async def test_a_command_whose_answer_is_lost_runs_once(
    machine: tuple[Clients, str], tmp_path: Path, fault: type[Any], had_effect: bool
) -> None:
    clients, instance_id = machine
    token = f"lost-{fault.__name__}"
    request = command(instance_id, f"echo x >>~/{token}", client_token=token)
    known = len(clients.handle.cloud.invocations)
    clients.handle.faults.add(fault(target="RunCommand"))
    with pytest.raises(Exception):  # noqa: B017,PT011  # of one of two packages
        clients.ecs.run_command(request)
    assert len(clients.handle.cloud.invocations) == known + had_effect
    invoke_id = await blocking(clients, request)
    assert (await ended(clients, invoke_id)).exit_code == 0
    assert len(clients.handle.cloud.invocations) == known + 1
    found = await ended(clients, await blocking(clients, command(instance_id, f"cat ~/{token}")))
    assert found.output == "x\n"
    request.command_content = "false"
    with answered("IdempotentParameterMismatch", 403):
        clients.ecs.run_command(request)
