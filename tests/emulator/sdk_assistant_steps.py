"""The actions of Cloud Assistant as the official SDK calls them, on an instance that runs."""

from __future__ import annotations

from alibabacloud_ecs20140526 import models as ecs

from tests.emulator.clients import REGION
from tests.emulator.sdk_state import State, Step

ASSISTANT_STEPS = (
    Step(
        "DescribeCloudAssistantStatus",
        lambda state: (
            ecs.DescribeCloudAssistantStatusRequest(
                region_id=REGION, instance_id=[state.known.instance]
            ),
        ),
        lambda _, body: (
            body.instance_cloud_assistant_status_set.instance_cloud_assistant_status[
                0
            ].cloud_assistant_status
            == "true"
        ),
    ),
    Step(
        "RunCommand",
        lambda state: (
            ecs.RunCommandRequest(
                region_id=REGION,
                type="RunShellScript",
                command_content="echo 'a/b:c~*+%é'; exit 3",
                instance_id=[state.known.instance],
                timeout=86400,  # the clock is moved while it really runs
                keep_command=False,
                tag=[ecs.RunCommandRequestTag(key="run id", value="a/b:c~*+%é")],
            ),
        ),
        lambda state, body: state.keep(invoke=body.invoke_id, command=body.command_id),
        State.command_is_over,
    ),
    Step(
        "DescribeInvocationResults",
        lambda state: (
            ecs.DescribeInvocationResultsRequest(
                region_id=REGION, invoke_id=state.known.invoke, content_encoding="PlainText"
            ),
        ),
        lambda _, body: (
            [
                (each.exit_code, each.output)
                for each in body.invocation.invocation_results.invocation_result
            ]
            == [(3, "a/b:c~*+%é\n")]
        ),
    ),
    Step(
        "DescribeInvocations",
        lambda state: (
            ecs.DescribeInvocationsRequest(
                region_id=REGION, command_id=state.known.command, max_results=10
            ),
        ),
        lambda _, body: body.invocations.invocation[0].invocation_status == "Failed",
    ),
    Step(
        "StopInvocation",
        lambda state: (
            ecs.StopInvocationRequest(
                region_id=REGION,
                invoke_id=state.known.invoke,
                instance_id=[state.known.instance],
            ),
        ),
        lambda _, body: bool(body.request_id),
    ),
)
