"""Calls that go wrong on demand, as the official SDKs and a bare client meet it."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from alibabacloud_ecs20140526 import models as ecs_models
from alibabacloud_tea_openapi.exceptions import (
    ClientException,
    ServerException,
    ThrottlingException,
)
from darabonba.exceptions import UnretryableException

from emulator.app import Handle
from emulator.faults import (
    EmptyBody,
    Fault,
    FaultError,
    ResetAfter,
    ResetBefore,
    ServerError,
    Slow,
    Throttle,
)
from tests.emulator.sdk import cs_client, ecs_client
from tests.emulator.signer import call

REGION = "cn-hangzhou"


def order(handle: Handle, **changes: Any) -> ecs_models.RunInstancesRequest:
    facts = handle.facts
    return ecs_models.RunInstancesRequest(
        region_id=REGION,
        image_id=facts["image_id"],
        instance_type=facts["instance_type"],
        v_switch_id=facts["vswitch_id"],
        security_group_id=facts["security_group_id"],
        **changes,
    )


def ordered(handle: Handle) -> list[str]:
    """Return the instances that are no node: those that a test ordered."""
    return [each.instance_id for each in handle.cloud.instances.values() if not each.node_pool_id]


def log_of(handle: Handle) -> list[dict[str, Any]]:
    text = (handle.state_dir / "requests.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_throttled_call_says_when_to_come_again(cloud_handle: Handle) -> None:
    client = ecs_client(cloud_handle.facts)
    with (
        cloud_handle.fault(Throttle(target="RunInstances", retry_after_s=7)),
        pytest.raises(ThrottlingException) as refused,
    ):
        client.run_instances(order(cloud_handle))
    assert refused.value.code == "Throttling.User"
    assert refused.value.retry_after == 7000  # milliseconds, which is what the SDK sleeps
    assert ordered(cloud_handle) == []


@pytest.mark.parametrize("status", [400, 403, 429, 503])
def test_a_throttled_call_without_a_moment_is_told_by_its_code(
    cloud_handle: Handle, status: Any
) -> None:
    with (
        cloud_handle.fault(Throttle(target="Describe*", status=status, code="Throttling.API")),
        pytest.raises((ClientException, ServerException)) as refused,
    ):
        cs_client(cloud_handle.facts).describe_cluster_detail(cloud_handle.facts["cluster_id"])
    assert (refused.value.code, refused.value.status_code) == ("Throttling.API", status)


def test_only_the_named_occasions_are_struck(cloud_handle: Handle) -> None:
    client = ecs_client(cloud_handle.facts)
    request = ecs_models.DescribeInstancesRequest(region_id=REGION)
    codes = []
    with cloud_handle.fault(ServerError(target="DescribeInstances", nth=2, times=2)):
        for _ in range(5):
            try:
                client.describe_instances(request)
            except ServerException as error:
                codes.append(error.code)
            else:
                codes.append("")
    assert codes == ["", "ServiceUnavailable", "ServiceUnavailable", "", ""]


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        pytest.param(ServerError(target="RunInstances", status=500), 0, id="500 before"),
        pytest.param(ServerError(target="RunInstances", status=500, after=True), 1, id="500 after"),
        pytest.param(ServerError(target="RunInstances", after=True), 1, id="503 after"),
        pytest.param(ResetBefore(target="RunInstances"), 0, id="reset before"),
        pytest.param(ResetAfter(target="RunInstances"), 1, id="reset after"),
        pytest.param(EmptyBody(target="RunInstances"), 1, id="empty body"),
    ],
)
@pytest.mark.parametrize("style", ["sync", "async"])
async def test_a_call_that_fails_before_has_no_effect_and_after_has_one(
    cloud_handle: Handle, fault: Fault, made: int, style: str
) -> None:
    client = ecs_client(cloud_handle.facts)
    request = order(cloud_handle, client_token="once")

    async def run() -> str:
        if style == "async":
            answer = await client.run_instances_async(request)
        else:
            answer = await asyncio.to_thread(client.run_instances, request)
        ids: list[str] = answer.body.instance_id_sets.instance_id_set
        return ids[0]

    with cloud_handle.fault(fault), pytest.raises((ServerException, UnretryableException)):
        await run()
    assert len(ordered(cloud_handle)) == made
    again = await run()
    assert ordered(cloud_handle) == [again]


def test_a_reset_really_resets_the_connection(cloud_handle: Handle) -> None:
    with (
        cloud_handle.fault(ResetAfter(target="DescribeRegions")),
        pytest.raises(requests.ConnectionError) as cut,
    ):
        call(cloud_handle.facts, "DescribeRegions")
    assert "reset" in str(cut.value).lower()
    assert call(cloud_handle.facts, "DescribeRegions").status_code == 200


def test_a_create_without_a_token_may_have_happened(cloud_handle: Handle) -> None:
    facts = cloud_handle.facts
    body = {
        "nodepool_info": {"name": "lost"},
        "scaling_group": {
            "vswitch_ids": [facts["vswitch_id"]],
            "instance_types": [facts["instance_type"]],
            "instance_charge_type": "PostPaid",
            "key_pair": "demo-nodes",
            "data_disks": [{"category": "cloud_essd", "size": 40}],
        },
    }

    def create() -> requests.Response:
        return call(
            facts,
            "CreateClusterNodePool",
            version="2015-12-15",
            path=f"/clusters/{facts['cluster_id']}/nodepools",
            body=json.dumps(body).encode(),
            headers={"content-type": "application/json; charset=utf-8"},
        )

    with (
        cloud_handle.fault(ResetAfter(target="CreateClusterNodePool")),
        pytest.raises(requests.ConnectionError),
    ):
        create()
    again = create()
    assert (again.status_code, again.json()["code"]) == (400, "InvalidParameter.Name")


async def test_a_slow_answer_holds_up_no_other_call_and_its_token_is_in_flight(
    cloud_handle: Handle,
) -> None:
    client = ecs_client(cloud_handle.facts)
    request = order(cloud_handle, client_token="slow")
    regions = ecs_models.DescribeRegionsRequest()
    with cloud_handle.fault(Slow(target="RunInstances", seconds=0.4)):
        slow = asyncio.ensure_future(client.run_instances_async(request))
        while not ordered(cloud_handle):
            await client.describe_regions_async(regions)
        with pytest.raises(ClientException) as refused:
            await client.run_instances_async(request)
        assert refused.value.code == "IdempotentProcessing"
        assert not slow.done()
        first = (await slow).body.instance_id_sets.instance_id_set
    again = (await client.run_instances_async(request)).body.instance_id_sets.instance_id_set
    assert again == first == ordered(cloud_handle)


def test_an_unsigned_caller_meets_no_fault(cloud_handle: Handle) -> None:
    url = f"http://{cloud_handle.facts['ecs_endpoint']}/"
    headers = {"x-acs-action": "DescribeRegions", "x-acs-version": "2014-05-26"}
    with cloud_handle.fault(Throttle(), must_strike=False):
        answer = requests.post(url, headers=headers, timeout=10)
        assert answer.json()["Code"] == "IncompleteSignature"
        assert cloud_handle.faults.armed()[0].seen == 0


def test_the_log_of_requests_names_what_struck(cloud_handle: Handle) -> None:
    with cloud_handle.fault(Throttle(target="DescribeRegions", status=429)):
        call(cloud_handle.facts, "DescribeRegions")
    call(cloud_handle.facts, "DescribeRegions")
    first, second = log_of(cloud_handle)[-2:]
    assert (first["status"], first["code"]) == (429, "Throttling.User")
    assert first["faults"] == [{"id": "f-1", "kind": "throttle"}]
    assert "faults" not in second


def test_a_fault_that_never_strikes_proves_nothing(cloud_handle: Handle) -> None:
    with (
        pytest.raises(AssertionError, match="never struck"),
        cloud_handle.fault(Throttle(target="DeleteDisk")),
    ):
        call(cloud_handle.facts, "DescribeRegions")


def test_a_fault_of_an_unknown_action_is_refused(cloud_handle: Handle) -> None:
    with (
        pytest.raises(FaultError, match="close ones: RunInstances"),
        cloud_handle.fault(Throttle(target="RunInstance")),
    ):
        pass


@pytest.mark.slow
def test_many_calls_under_random_faults_are_answered_as_asked(cloud_handle: Handle) -> None:
    faults = cloud_handle.faults
    for fault in (
        Throttle(nth=3, times=20),
        ServerError(nth=30, times=20),
        ResetBefore(nth=60, times=20),
        ResetAfter(nth=70, times=20),
        EmptyBody(nth=100, times=20),
    ):
        faults.add(fault)

    def one(_number: int) -> int:
        try:
            return call(cloud_handle.facts, "DescribeRegions").status_code
        except requests.ConnectionError:
            return 0

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(one, range(250)))
    struck = {armed.fault.kind: armed.struck for armed in faults.armed()}
    assert set(struck.values()) == {20}
    assert statuses.count(0) == 40
    assert statuses.count(400) == 20
    assert statuses.count(503) == 20
    assert statuses.count(200) == 250 - 80
