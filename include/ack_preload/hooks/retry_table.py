"""What each answer of the cloud means for each call: the one table of retries.

Nothing is decided anywhere else. A row that names a call goes before those of :data:`ANY_CALL`;
what no row names is given up. ``docs/reference/retries.md`` is made from this file.

Sources, as each row names them:

- ``D`` a page of the API reference, such as
  https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-createsnapshot
- ``I`` https://www.alibabacloud.com/help/en/ecs/developer-reference/how-to-ensure-idempotence
- ``T`` https://github.com/aliyun/terraform-provider-alicloud (what it retries and takes for done)
- ``P`` https://github.com/hashicorp/packer-plugin-alicloud
- ``M`` from memory or by likeness; read nowhere
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Outcome(StrEnum):
    RETRY = "retry"
    """Nothing was done, or doing it twice is doing it once: the same call is sent again."""
    DONE = "done"
    """What is asked for is so already."""
    ADOPT = "adopt"
    """It may have been done: the caller looks, takes over what is ours, else tries anew."""
    GIVE_UP = "give up"
    """The same call would be refused again."""


@dataclass(frozen=True, slots=True)
class Row:
    """What an answer means.

    :ivar codes: error codes; ``*`` at the end stands for any rest.
    :ivar later: it takes minutes, so the call is not sent again here: its operator defers.
    """

    codes: tuple[str, ...]
    outcome: Outcome
    source: str
    later: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of one API call.

    :ivar safe: why the same call may be sent again although its outcome is unknown; empty when
        it may not: then a 5xx and a lost reply mean :attr:`Outcome.ADOPT`.
    :ivar creates: it makes something that costs money or takes a name.
    """

    safe: str
    rows: tuple[Row, ...] = ()
    creates: bool = False


def _row(codes: str, outcome: Outcome, source: str, note: str = "", *, later: bool = False) -> Row:
    return Row(tuple(codes.split()), outcome, source, later, note)


RETRY, DONE, ADOPT, GIVE_UP = Outcome.RETRY, Outcome.DONE, Outcome.ADOPT, Outcome.GIVE_UP

THROTTLED = _row("Throttling* Rejected.Throttling*", RETRY, "T", "refused before anything is done")
BUSY = _row(
    "OperationConflict Operation.Conflict InvalidOperation.Conflict LastTokenProcessing",
    RETRY,
    "T",
    "another change of the same resource goes on",
)
UNAVAILABLE = _row("ServiceUnavailable InternalError", RETRY, "T, D")
POOL_BUSY = "InvalidStatus.Forbidden"
"""ACK's refusal while the pool is scaling, updating or removing. That takes minutes, so it is not
waited out here: the operator defers until the pool is settled and then starts again."""
_POOL_BUSY_ROW = _row(POOL_BUSY, RETRY, "D", "until the pool is settled", later=True)
NOT_FOUND = "InvalidInstanceId.NotFound InvalidDiskId.NotFound InvalidSnapshotId.NotFound"

ANY_CALL: tuple[Row, ...] = (
    THROTTLED,
    BUSY,
    UNAVAILABLE,  # a row of the word, for what comes with another status than 5xx
    _row("ErrorClusterNotFound", GIVE_UP, "T", "the cluster is gone"),
)

READS = "it only reads"
TOKEN = "it carries a ClientToken"  # noqa: S105  # no secret: words of a page
ONCE = "done twice is done once"
READ = Call(READS)

CALLS: dict[str, Call] = {
    "RunInstances": Call(
        TOKEN,
        (
            _row("IdempotentProcessing", RETRY, "I, P", "the first call is still at work"),
            _row("IncorrectVSwitchStatus", RETRY, "T"),
            _row(
                "InvalidKeyPair.NotFound InvalidKeyPairName.NotFound",
                GIVE_UP,
                "D",
                "just imported: its operator defers and asks again",
            ),
            _row(
                "IdempotentParameterMismatch",
                GIVE_UP,
                "I",
                "its operator asks anew, with a new token",
            ),
            _row("OperationDenied.NoStock Zone.NotOnSale", GIVE_UP, "M", "another type or zone"),
            _row("InvalidParameter* Quota* InvalidAccountStatus.*", GIVE_UP, "D"),
        ),
        creates=True,
    ),
    "StopInstance": Call(
        ONCE,
        (
            _row("IncorrectInstanceStatus*", ADOPT, "T", "it may stop already: look"),
            _row("InstanceLockedForSecurity InvalidInstanceId.NotFound", GIVE_UP, "D"),
        ),
    ),
    "DeleteInstance": Call(
        ONCE,
        (
            _row("InvalidInstanceId.NotFound Forbidden.InstanceNotFound", DONE, "T"),
            _row("IncorrectInstanceStatus*", RETRY, "T, P", "it is still being made, or stops"),
            _row("DependencyViolation.RouteEntry", RETRY, "T"),
            _row("*DeletionProtection*", GIVE_UP, "D", "somebody wants to keep it"),
        ),
    ),
    "CreateSnapshot": Call(
        TOKEN,
        (
            _row("IdempotentProcessing", RETRY, "I", "the first call is still at work"),
            _row("IncorrectDiskStatus.CreatingSnapshot", RETRY, "D", "one at a time of a disk"),
            _row("IncorrectDiskStatus.Transferring *TooManyCreatingSnapshots", RETRY, "D"),
            _row("QuotaExceed.ConcurrentSnapshotQuota", RETRY, "D"),
            _row("IncorrectInstanceStatus*", RETRY, "D", "while its instance stops"),
            _row("CreateSnapshot.Failed", RETRY, "D"),
            _row(
                "IdempotentParameterMismatch",
                GIVE_UP,
                "I",
                "its operator asks anew, with a new token",
            ),
            _row("IncorrectDiskStatus.NeverAttached IncorrectDiskStatus.NeverUsed", GIVE_UP, "D"),
            _row("QuotaExceed.Snapshot InvalidAccountStatus.* DiskInArrears*", GIVE_UP, "D"),
            _row("InvalidDiskId.NotFound DiskCategory.OperationNotSupported", GIVE_UP, "D"),
        ),
        creates=True,
    ),
    "DeleteSnapshot": Call(
        ONCE,
        (
            _row("InvalidSnapshotId.NotFound InvalidResource.NotFound", DONE, "T"),
            _row("IncorrectDiskStatus.CreatingSnapshot", RETRY, "D"),
            _row("InvalidOperation.RelatedSnapshotNotFinished", RETRY, "D"),
            _row(
                "SnapshotCreatedDisk SnapshotCreatedImage", GIVE_UP, "D", "it is in use: it stays"
            ),
            _row("InvalidOperation.ResourceManagedByCloudProduct", GIVE_UP, "D"),
        ),
    ),
    "DeleteDisk": Call(
        ONCE,
        (
            _row("InvalidDiskId.NotFound", DONE, "T"),
            _row("IncorrectDiskStatus IncorrectDiskStatus.Initializing", RETRY, "T"),
            _row("DiskInCoolingPeriod DisksDetachingOnEcsExceeded", RETRY, "T"),
        ),
    ),
    "ImportKeyPair": Call(
        "",
        (_row("KeyPair.AlreadyExist*", ADOPT, "D", "of this run, or refused as foreign"),),
        creates=True,
    ),
    "DeleteKeyPairs": Call(
        ONCE,
        (
            _row("InvalidKeyPair.NotFound InvalidKeyPairName.NotFound", DONE, "T"),
            _row(
                "InvalidParameter.KeypairAlreadyAttachedInstance",
                RETRY,
                "T",
                "until its instance is gone",
                later=True,
            ),
        ),
    ),
    "TagResources": Call(
        ONCE,
        (
            _row(
                "InvalidResourceId.NotFound", RETRY, "M", "it was just seen: not shown everywhere"
            ),
            _row("NumberExceed.Tags Duplicate.TagKey InvalidTag*", GIVE_UP, "D"),
        ),
    ),
    "RunCommand": Call(
        TOKEN,
        (
            _row("IdempotentProcessing", RETRY, "I", "the first call is still at work"),
            _row("IdempotentParameterMismatch InvalidInstance.NotFound", GIVE_UP, "I, D"),
        ),
    ),
    "CreateClusterNodePool": Call(
        "",
        (
            _row(
                "InvalidParameter.Name", ADOPT, "D", "of this installation, or refused as foreign"
            ),
            _row(POOL_BUSY, RETRY, "D", "the cluster is busy: seconds"),
        ),
        creates=True,
    ),
    "ModifyClusterNodePool": Call(ONCE, (_POOL_BUSY_ROW,)),
    "RemoveNodePoolNodes": Call(ONCE, (_POOL_BUSY_ROW,)),
    "DeleteClusterNodepool": Call(ONCE, (_row("ErrorNodePoolNotFound", DONE, "T"), _POOL_BUSY_ROW)),
}
"""Every call that changes something. What is not here only reads."""


def row_for(action: str, code: str) -> Row | None:
    """Return the row that names ``code``: of the call itself first, then of any call."""
    rows = (*CALLS.get(action, READ).rows, *ANY_CALL)
    exact = (row for row in rows if code in row.codes)
    alike = (row for row in rows if any(fnmatchcase(code, each) for each in row.codes))
    return next(exact, None) or next(alike, None)


def is_throttling(code: str) -> bool:
    return any(fnmatchcase(code, each) for each in THROTTLED.codes)


def outcome(action: str, code: str, status: int) -> Outcome:
    """Return what a refusal of ``action`` means.

    :param code: the cloud's error code; empty when no readable reply came.
    :param status: of HTTP; 0 without a reply.
    """
    row = row_for(action, code) if code else None
    if row is not None and row is not UNAVAILABLE:
        return row.outcome
    unknown = not code or status >= 500 or row is UNAVAILABLE  # noqa: PLR2004  # HTTP
    if not unknown:
        return GIVE_UP
    return RETRY if CALLS.get(action, READ).safe else ADOPT
