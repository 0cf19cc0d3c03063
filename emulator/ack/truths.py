"""Where the answers and errors of each ACK action come from.

ACK's pages list no error codes. Those here are the ones that programs which call the real API
tell apart, and where there is none of that, the local cloud's own.
"""

from __future__ import annotations

from emulator.truth import HELP, NO_SOURCE, FromDocs, Refusal, Truth, refusals

PAGE = f"{HELP}/ack/ack-managed-and-ack-dedicated/developer-reference/api-cs-2015-12-15-"
BODY = refusals(NO_SOURCE, 400, "InvalidRequestBody")
CLUSTER = refusals("terraform", 404, "ErrorClusterNotFound")
POOL = (*CLUSTER, *refusals("terraform", 404, "ErrorNodePoolNotFound"))
BUSY = refusals(
    "public issues and operators: retried by its message", 400, "InvalidStatus.Forbidden"
)
NODES = refusals(NO_SOURCE, 400, "QuotaExceeded.Node")
DESCRIPTION = (
    *refusals("public issues: by its message", 400, "InvalidParameter.Name"),
    *refusals(NO_SOURCE, 400, "InvalidParameter.InstanceType"),
    *refusals(  # of ECS, which makes the disks; that ACK hands them on has no source
        NO_SOURCE, 400, "InvalidDiskCategory.ValueNotSupported", "InvalidPerformanceLevel.Malformed"
    ),
    *refusals(NO_SOURCE, 404, "InvalidSnapshotId.NotFound"),
)


def of(action: str, *groups: tuple[Refusal, ...]) -> tuple[str, Truth]:
    own = tuple(refusal for group in (BODY, *groups) for refusal in group)
    return action, Truth(FromDocs(PAGE + action.lower()), own)


TRUTHS = dict(
    (
        of("DescribeClustersV1"),
        of("DescribeClusterDetail", CLUSTER),
        of("DescribeClusterUserKubeconfig", CLUSTER),
        of("ListClusterAddonInstances", CLUSTER),
        of("DescribeClusterNodePools", CLUSTER),
        of("DescribeClusterNodePoolDetail", POOL),
        of("DescribeClusterNodes", POOL),
        of("DescribeTaskInfo", refusals(NO_SOURCE, 404, "ErrorTaskNotFound")),
        of(
            "CreateClusterNodePool",
            CLUSTER,
            DESCRIPTION,
            NODES,
            refusals(NO_SOURCE, 400, "QuotaExceeded.NodePool"),
        ),
        of("ModifyClusterNodePool", POOL, BUSY, DESCRIPTION, NODES),
        of("ScaleClusterNodePool", POOL, BUSY, NODES),
        of("DeleteClusterNodepool", POOL, BUSY, refusals(NO_SOURCE, 400, "NodePoolNotEmpty")),
        of(
            "RemoveNodePoolNodes",
            POOL,
            BUSY,
            refusals(NO_SOURCE, 400, "InvalidParameter.InstanceIds"),
        ),
    )
)
