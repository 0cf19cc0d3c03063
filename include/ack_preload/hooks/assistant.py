"""Cloud Assistant: commands on an instance by the cloud's own agent, where no SSH route exists.

https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-runcommand
https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describeinvocationresults
"""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ack_preload.domain.errors import (
    CloudError,
    NodeUnreachableError,
    NotFoundError,
    PreloadError,
    RemoteJobError,
    UnclearReplyError,
)
from ack_preload.hooks.assistant_calls import Command, conversation
from ack_preload.hooks.calls import look
from ack_preload.hooks.cloud import plain
from ack_preload.hooks.ecs_storage import EcsStorage
from ack_preload.hooks.pace import pace_of
from ack_preload.hooks.ssh_calls import ScriptCall, ScriptResult, last_lines
from ack_preload.hooks.whole import readable

if TYPE_CHECKING:
    from alibabacloud_ecs20140526 import models as ecs

LOOK_EVERY_S = 1.0
DELIVERED_WITHIN_S = 60.0
"""The cloud gives up bringing a command to an instance after a minute."""
SHORTEST_S, LONGEST_S = 10, 86_400  # for a command, as the API has it

FAILED = "Failed"  # exit code other than 0
DONE = "Success"
ENDED = frozenset(
    {DONE, FAILED, "Invalid", "Aborted", "Error", "Timeout", "Cancelled", "Terminated"}
)
NOT_ALLOWED = frozenset({"Forbidden.RAM", "Forbidden", "NoPermission", "Forbidden.Unauthorized"})
MENDS = {
    "ClientNotRunning": "its agent does not run; install it (aliyun_assist), or use another image",
    "ClientNotResponse": "its agent does not answer; look at the service aliyun on it",
    "ClientIsUpgrading": "its agent is being upgraded; try again",
    "ClientNeedUpgrade": "its agent is too old; upgrade it",
    "DeliveryTimeout": "the command did not reach it within a minute; try again",
    "ExecutionTimeout": "it did not end in time",
    "InstanceNotRunning": "the instance does not run",
    "InstanceNotExists": "the instance is gone",
    "InstanceReleased": "the instance is gone",
    "SecurityGroupRuleDenied": "its security group keeps the agent from the internet endpoints "
    "100.100.0.0/16; allow them",
}


class AssistantHook(EcsStorage):
    """Scripts on instances by Cloud Assistant. Building one does no I/O."""

    def run_script(self, instance_id: str, call: ScriptCall, within_s: float) -> ScriptResult:
        """Run a script that ends soon.

        :raises NodeUnreachableError: when there is no agent, or no answer in time.
        """
        talk = conversation(call, within_s)
        command = next(talk)
        while True:
            output = self._output(instance_id, call.name, command)
            try:
                command = talk.send(output)
            except StopIteration as ended:
                result: ScriptResult = ended.value
                return result

    async def arun_script(
        self, instance_id: str, call: ScriptCall, within_s: float
    ) -> ScriptResult:
        """As :meth:`run_script`, for a trigger."""
        talk = conversation(call, within_s)
        command = next(talk)
        while True:
            output = await self._aoutput(instance_id, call.name, command)
            try:
                command = talk.send(output)
            except StopIteration as ended:
                result: ScriptResult = ended.value
                return result

    def _output(self, instance_id: str, name: str, command: Command) -> bytes:
        from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

        request = self._run_command(instance_id, name, command)
        try:
            sent = self._read("RunCommand", lambda: self.client.run_command(request))
        except CloudError as exc:
            raise refusal(instance_id, exc) from exc
        asked = self._results(sent.body.invoke_id)

        def found() -> bytes | None:
            answer = self._read(
                "DescribeInvocationResults",
                lambda: self.client.describe_invocation_results(asked),
            )
            return output(instance_id, plain(answer.body))

        looking = Retrying(
            retry=retry_if_result(lambda value: value is None),
            wait=wait_fixed(self._pause_s),
            stop=stop_after_delay(command.within_s + DELIVERED_WITHIN_S),
            retry_error_callback=lambda _: None,
        )
        return _given(instance_id, name, looking(found))

    async def _aoutput(self, instance_id: str, name: str, command: Command) -> bytes:
        request = self._run_command(instance_id, name, command)
        pace = pace_of(self.account)
        await pace.turn()
        try:
            sent = await pace.heard(lambda: look(lambda: self.client.run_command_async(request)))
        except CloudError as exc:
            raise refusal(instance_id, exc) from exc
        asked = self._results(sent.body.invoke_id)

        async def results() -> Any:
            return await look(lambda: self.client.describe_invocation_results_async(asked))

        until = time.monotonic() + command.within_s + DELIVERED_WITHIN_S
        value: bytes | None = None
        while value is None and time.monotonic() < until:
            await asyncio.sleep(self._pause_s)
            await pace.turn()
            try:
                value = output(instance_id, plain((await pace.heard(results)).body))
            except NodeUnreachableError:
                raise
            except UnclearReplyError:
                continue  # what it says can be asked for again
        return _given(instance_id, name, value)

    @property
    def _pause_s(self) -> float:
        return min(self.account.poll_every_s or LOOK_EVERY_S, LOOK_EVERY_S)

    def _run_command(self, instance_id: str, name: str, command: Command) -> ecs.RunCommandRequest:
        from alibabacloud_ecs20140526 import models as ecs

        return ecs.RunCommandRequest(
            region_id=self.account.region,
            instance_id=[instance_id],
            type="RunShellScript",
            name=f"ack-preload {name}",
            command_content=command.encoded,
            content_encoding="Base64",
            timeout=max(SHORTEST_S, min(math.ceil(command.within_s), LONGEST_S)),
            keep_command=False,
            # After an unclear reply the same command is sent again, and is still one command.
            client_token=command.token,
        )

    def _results(self, invoke_id: str) -> ecs.DescribeInvocationResultsRequest:
        from alibabacloud_ecs20140526 import models as ecs

        return ecs.DescribeInvocationResultsRequest(
            region_id=self.account.region, invoke_id=invoke_id, content_encoding="Base64"
        )


def output(instance_id: str, body: Mapping[str, Any]) -> bytes | None:
    """Return what a command wrote; ``None`` while it goes on or is not listed yet.

    :raises RemoteJobError: when the command itself failed.
    :raises NodeUnreachableError: when it was not brought there, or did not end.
    """
    with readable("DescribeInvocationResults"):
        listed = body["Invocation"]["InvocationResults"]["InvocationResult"]
        result = next((each for each in listed if each["InstanceId"] == instance_id), None)
        status = result["InvocationStatus"] if result else "Pending"
        if result is None or status not in ENDED:
            return None
        said = base64.b64decode(result.get("Output") or "")
    if status == FAILED:
        talk = last_lines(said.decode(errors="replace")) or "it said nothing"
        raise RemoteJobError(f"a command on {instance_id} ended with an error: {talk}")
    if status == DONE and not result.get("Dropped"):
        return said
    code = str(result.get("ErrorCode") or status)
    info = result.get("ErrorInfo") or "no reason given"
    mend = MENDS.get(code, "look it up under Cloud Assistant in the ECS console")
    raise NodeUnreachableError(
        f"{instance_id} cannot be used by Cloud Assistant: {code}, {info}; {mend}"
    )


def refusal(instance_id: str, exc: CloudError) -> PreloadError:
    """Return the error for a command that the cloud did not take, with its mend."""
    if exc.code in NOT_ALLOWED:
        mend = "allow ecs:RunCommand and ecs:DescribeInvocationResults to the RAM user or role"
        return CloudError(exc.code, f"{exc.message}; {mend}", request_id=exc.request_id)
    if isinstance(exc, NotFoundError) or exc.code in MENDS:
        mend = MENDS.get(exc.code, "it is gone, or not listed yet")
        return NodeUnreachableError(
            f"{instance_id} cannot be used by Cloud Assistant: {exc}; {mend}"
        )
    return exc


def _given(instance_id: str, name: str, value: bytes | None) -> bytes:
    if value is None:
        raise NodeUnreachableError(
            f"{instance_id} gave no answer to {name} by Cloud Assistant in time; is its agent up?"
        )
    return value
