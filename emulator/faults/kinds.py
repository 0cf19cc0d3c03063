"""Every fault that can be switched on, as data: where it strikes, how often, and with what.

The fields common to all are in :class:`Fault`. ``target`` is a glob over what the kind names in
its docstring: an action, an id, an image. Times are seconds of the cloud's clock unless a field
says otherwise.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from emulator.faults.fault import Fault

# The states that a resource leaves by itself, as its API words them.
TRANSIENT = {
    "instance": ("Pending", "Starting", "Stopping"),
    "disk": ("Creating", "Attaching", "Detaching"),
    "snapshot": ("progressing",),
    "node_pool": ("initial", "scaling", "removing", "updating", "deleting"),
}
MAX_S = 3650 * 24 * 3600  # as far as one step of the clock goes


# -- answers of the two APIs: the target is an action, such as RunInstances or Describe*


class Throttle(Fault):
    """Refuse a call as too many; nothing has happened. Target: an action."""

    kind: Literal["throttle"] = "throttle"
    code: str = Field(default="Throttling.User", pattern=r"Throttling(\.\w+)?|Rejected\.Throttling")
    status: Literal[400, 403, 429, 503] = 400
    retry_after_s: int | None = Field(
        default=None, ge=0, description="sent as `x-acs-retry-after`, in ms"
    )


class ServerError(Fault):
    """Answer 500 or 503 before the call has any effect, or after it. Target: an action.

    After it, also in place of a refusal.
    """

    kind: Literal["server_error"] = "server_error"
    status: Literal[500, 503] = 503
    after: bool = Field(default=False, description="the call is made; only its answer is lost")


class ResetBefore(Fault):
    """Cut the connection before the call has any effect. Target: an action."""

    kind: Literal["reset_before"] = "reset_before"


class ResetAfter(Fault):
    """Cut the connection after the effect: the client cannot know. Target: an action.

    A call that is refused is cut too: its client does not know that either.
    """

    kind: Literal["reset_after"] = "reset_after"


class Slow(Fault):
    """Do at once, answer later. Target: an action.

    Whatever the answer is: a refusal, an answer of another fault and a cut come later too.
    """

    kind: Literal["slow"] = "slow"
    seconds: float = Field(gt=0, le=3600, description="real seconds, for clients have real clocks")


class EmptyBody(Fault):
    """Answer without a body, after the effect. Target: an action.

    The status is the one of the answer: 200, or the one of a refusal.
    """

    kind: Literal["empty_body"] = "empty_body"


# -- resources: the target is an id or a name of the resource, or what the docstring says


class Stuck(Fault):
    """Keep a resource in a transient state until the fault is removed. Target: its id or name.

    An instance in Pending, Starting or Stopping, a disk in Creating, Attaching or Detaching, a
    snapshot in progressing, a node pool in initial, scaling, removing, updating or deleting, with
    its task running. An occasion is a resource that is about to leave such a state. A `state` that
    fits none of its resource is refused.
    """

    kind: Literal["stuck"] = "stuck"
    resource: Literal["instance", "disk", "snapshot", "node_pool"]
    state: str = Field(
        default="*", description="glob over the state to keep; `*` is the first one left"
    )

    @field_validator("state")
    @classmethod
    def is_of_resource(cls, state: str, given: ValidationInfo) -> str:
        """Refuse what could never strike; a resource that is none is refused as such."""
        resource = given.data.get("resource", "")
        states = TRANSIENT.get(resource, ())
        if states and not any(fnmatchcase(each, state) for each in states):
            raise PydanticCustomError(
                "state",
                "no state that {resource} leaves by itself; it has {states}",
                {"resource": resource, "states": ", ".join(states)},
            )
        return state


class SnapshotFailed(Fault):
    """Let a snapshot end as failed at a part of its upload.

    Target: its name or id, or its disk's id. An occasion is a snapshot that is being taken.
    """

    kind: Literal["snapshot_failed"] = "snapshot_failed"
    at_percent: int = Field(default=50, ge=0, le=99)


class NoStock(Fault):
    """Refuse to sell. Target: an instance type.

    An occasion is a RunInstances call, or a node to be added: a node pool then takes the next of
    its instance types, and its task fails when none is left.
    """

    kind: Literal["no_stock"] = "no_stock"
    code: Literal["OperationDenied.NoStock", "Zone.NotOnSale"] = "OperationDenied.NoStock"


class SpotReclaim(Fault):
    """Take a spot instance back: it is gone with its disks. Target: its id or name.

    An occasion is a spot instance that is Running; one counts once. Instances that were not ordered
    with a SpotStrategy are never taken. Removing the fault, spent or not, calls off what it has not
    yet taken: within a second of the cloud's clock Recycling is shown no more, and the instance
    stays. With `times: 0` it takes every instance that is or comes to be Running until then.
    """

    kind: Literal["spot_reclaim"] = "spot_reclaim"
    after_s: float = Field(
        default=0, ge=0, le=MAX_S, description="from Running to the end of the instance"
    )
    notice_s: float = Field(
        default=300,
        ge=0,
        le=MAX_S,
        description="how long before it, at most, OperationLocks shows Recycling",
    )


class NodeError(Fault):
    """Let a node fail to be created, with a message. Target: its node pool's id or name.

    Its instance runs and never joins; the task fails with the message. An occasion is a node that
    is added.
    """

    kind: Literal["node_error"] = "node_error"
    message: str = Field(default="node initialization failed", min_length=1)


# -- machines: the target is an instance's id or name, or what the docstring says


class SshRefused(Fault):
    """Close an SSH connection as soon as it is accepted. Target: an instance's id or name."""

    kind: Literal["ssh_refused"] = "ssh_refused"


class SshDropped(Fault):
    """Cut an SSH connection in the middle of a command. Target: an instance's id or name.

    An occasion is a command that was started; what it started goes on or ends as its own
    processes would when a connection is lost. The client never hears how the command ended.
    """

    kind: Literal["ssh_dropped"] = "ssh_dropped"
    after_bytes: int = Field(
        0, ge=0, description="of stdout and stderr to the client; less when there is less"
    )


class HostKeyChanged(Fault):
    """Show another host key from a connection on. Target: an instance's id or name.

    An occasion is a connection. The new key stays when the fault is gone.
    """

    kind: Literal["host_key_changed"] = "host_key_changed"


class RegistryError(Fault):
    """Answer a manifest or a blob with an error. Target: a repository, as in `acs/pause`.

    An occasion is a request, so a client that tries again meets a fault of `times=1` once.
    """

    kind: Literal["registry_error"] = "registry_error"
    status: Literal[401, 403, 404, 429, 500, 503] = 500
    part: Literal["manifests", "blobs"] = "blobs"
    retry_after_s: int | None = Field(default=None, ge=0, description="sent as `Retry-After`")


class RegistryTruncated(Fault):
    """End a blob early, under its full Content-Length. Target: a repository.

    A request for the rest of a blob (`Range`) is an occasion too, and ends at the same place.
    """

    kind: Literal["registry_truncated"] = "registry_truncated"
    percent: int = Field(default=50, ge=0, le=99, description="how much of the blob is sent")


class PackageMissing(Fault):
    """Answer a download with an error. Target: a path of the package server, as in `/public/*`."""

    kind: Literal["package_missing"] = "package_missing"
    status: Literal[404, 500, 503] = 404


class DiskFull(Fault):
    """Leave a data disk no room while armed. Target: its id, or its instance's id or name.

    A condition, not an event: it holds from now, or from when the disk is mounted, until the
    fault is removed. `nth` and `times` have no meaning for it.
    """

    kind: Literal["disk_full"] = "disk_full"
    free_mib: int = Field(default=0, ge=0, description="what is left")


class AssistantAbsent(Fault):
    """Have no agent of Cloud Assistant on an instance while armed. Target: its id or name.

    A condition, not an event, from now until the fault is removed: `nth` and `times` have no
    meaning for it. Its CloudAssistantStatus is `false`; what is sent to it is `Aborted` after a
    minute; what runs there already goes on.
    """

    kind: Literal["assistant_absent"] = "assistant_absent"
    error_code: Literal[
        "ClientNotRunning",
        "ClientNotResponse",
        "ClientNotOnline",
        "ClientNetworkBlocked",
        "ClientIsUpgrading",
        "ClientNeedUpgrade",
        "DeliveryTimeout",
        "SecurityGroupRuleDenied",
    ] = Field(default="ClientNotRunning", description="of what is `Aborted`")


AnyFault = Annotated[
    Throttle
    | ServerError
    | ResetBefore
    | ResetAfter
    | Slow
    | EmptyBody
    | Stuck
    | SnapshotFailed
    | NoStock
    | SpotReclaim
    | NodeError
    | SshRefused
    | SshDropped
    | HostKeyChanged
    | RegistryError
    | RegistryTruncated
    | PackageMissing
    | DiskFull
    | AssistantAbsent,
    Field(discriminator="kind"),
]

KINDS: tuple[type[Fault], ...] = get_args(get_args(AnyFault)[0])
