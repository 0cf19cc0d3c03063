"""The calls of the benchmark: a fixed mix, signed by the official SDK's own function."""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from alibabacloud_tea_openapi.utils import Utils
from darabonba.request import DaraRequest

ECS, CS = "2014-05-26", "2015-12-15"
ALGORITHM = "ACS3-HMAC-SHA256"
NO_BODY = hashlib.sha256(b"").hexdigest()
PAGE = 100  # the most that the API gives at once
OK, REFUSED = 200, 400


@dataclass(frozen=True, slots=True)
class Call:
    """One call, not yet signed, and how to tell that its answer is right."""

    action: str
    version: str
    method: str
    path: str
    query: Mapping[str, str]
    is_right: Callable[[Any], bool]
    status: int = OK
    kind: str = ""

    @property
    def name(self) -> str:
        return self.kind or self.action

    def url(self) -> str:
        """Return path and query as they are signed."""
        pairs = sorted(self.query.items())
        query = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in pairs)
        return f"{self.path}?{query}" if query else self.path

    def headers(self, facts: Mapping[str, Any]) -> dict[str, str]:
        """Sign now: a call that is sent later than 15 minutes from here is refused."""
        request = DaraRequest()
        request.method, request.pathname, request.query = self.method, self.path, dict(self.query)
        request.headers = {
            "host": facts["ecs_endpoint"],
            "x-acs-action": self.action,
            "x-acs-version": self.version,
            "x-acs-date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": uuid.uuid4().hex,
            "x-acs-content-sha256": NO_BODY,
        }
        signature = Utils.get_authorization(
            request, ALGORITHM, NO_BODY, facts["access_key_id"], facts["access_key_secret"]
        )
        return {**request.headers, "Authorization": signature}


@dataclass(frozen=True, slots=True)
class Target:
    """What there is in the local cloud to ask for."""

    facts: Mapping[str, Any]
    pools: list[str]
    tasks: list[str]
    instances: list[str]
    nodes_of_pool: int
    random: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311  # a choice

    def calls(self) -> Iterator[Call]:
        """Yield calls without end, in the shares of ``MIX``."""
        kinds, shares = list(MIX), list(MIX.values())
        while True:
            yield self.random.choices(kinds, shares)[0](self)

    def page_of_nodes(self) -> Call:
        number = self.random.randint(1, max(1, len(self.instances) // PAGE))
        return self.nodes(
            {"pageNumber": str(number), "pageSize": str(PAGE)},
            min(PAGE, len(self.instances)),
            "DescribeClusterNodes, 100 of all",
        )

    def nodes_of_one_pool(self) -> Call:
        query = {"nodepool_id": self.random.choice(self.pools), "pageSize": str(PAGE)}
        return self.nodes(query, self.nodes_of_pool, "DescribeClusterNodes, one pool")

    def nodes(self, query: dict[str, str], expected: int, kind: str) -> Call:
        path = f"/clusters/{self.facts['cluster_id']}/nodes"
        return Call(
            *("DescribeClusterNodes", CS, "GET", path, query),
            is_right=lambda body: (
                len(body["nodes"]) == expected
                and all(node["node_status"] == "Ready" for node in body["nodes"])
            ),
            kind=kind,
        )

    def pool(self) -> Call:
        pool_id = self.random.choice(self.pools)
        path = f"/clusters/{self.facts['cluster_id']}/nodepools/{pool_id}"
        return Call(
            *("DescribeClusterNodePoolDetail", CS, "GET", path, {}),
            is_right=lambda body: body["status"]["healthy_nodes"] == self.nodes_of_pool,
        )

    def task(self) -> Call:
        path = f"/tasks/{self.random.choice(self.tasks)}"
        return Call(
            *("DescribeTaskInfo", CS, "GET", path, {}),
            is_right=lambda body: body["state"] == "success",
        )

    def hundred_instances(self) -> Call:
        ids = self.random.sample(self.instances, min(PAGE, len(self.instances)))
        query = {
            "RegionId": self.facts["region_id"],
            "InstanceIds": json.dumps(ids),
            "PageSize": str(PAGE),
        }
        return Call(
            *("DescribeInstances", ECS, "POST", "/", query),
            is_right=lambda body: len(body["Instances"]["Instance"]) == len(ids),
            kind="DescribeInstances, 100 ids",
        )

    def tags(self) -> Call:
        query = {
            "RegionId": self.facts["region_id"],
            "ResourceType": "instance",
            "ResourceId.1": self.random.choice(self.instances),
            "Tag.1.Key": "bench",
            "Tag.1.Value": str(self.random.randint(1, 9)),
        }
        return Call(
            *("TagResources", ECS, "POST", "/", query), is_right=lambda body: "RequestId" in body
        )

    def dry_run(self) -> Call:
        facts = self.facts
        query = {
            "RegionId": facts["region_id"],
            "ImageId": facts["image_id"],
            "InstanceType": facts["instance_type"],
            "VSwitchId": facts["vswitch_id"],
            "SecurityGroupId": facts["security_group_id"],
            "DataDisk.1.Category": "cloud_essd",
            "DataDisk.1.Size": "40",
            "DryRun": "true",
        }
        return Call(
            *("RunInstances", ECS, "POST", "/", query),
            is_right=lambda body: body["Code"] == "DryRunOperation",
            status=REFUSED,  # so does the API say that an order would have passed
            kind="RunInstances, dry run",
        )


# Shares in per cent: what a night on the API reads most, with some writes.
MIX: dict[Callable[[Target], Call], int] = {
    Target.page_of_nodes: 25,
    Target.nodes_of_one_pool: 15,
    Target.pool: 20,
    Target.task: 15,
    Target.hundred_instances: 15,
    Target.tags: 5,
    Target.dry_run: 5,
}
