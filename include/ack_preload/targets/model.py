"""What a target says, field by field, with the limits of Alibaba Cloud's own API.

CreateClusterNodePool and RunInstances: see ``docs/reference/targets.md`` for every field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ack_preload.domain import grammar
from ack_preload.domain.errors import InvalidInputError
from ack_preload.domain.images import ImageReference
from ack_preload.domain.node_pools import ACCELERATOR_LABEL

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _image_reference(value: str) -> str:
    try:
        reference = ImageReference.parse(value)
    except InvalidInputError as exc:
        raise ValueError(str(exc)) from None
    if not (reference.tag or reference.digest):
        raise ValueError("names neither a tag nor a digest; add :TAG or @sha256:<64 hex digits>")
    return value


def _parsed(parse: Callable[[str, str], str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            return parse("", value)
        except InvalidInputError as exc:  # who reads this says field and value himself
            raise ValueError(str(exc).partition("; ")[2]) from None

    return check


def _taint(value: dict[str, str]) -> dict[str, str]:
    if not {"key", "effect"} <= value.keys() <= {"key", "value", "effect"}:
        raise ValueError("has other fields than key, value and effect; remove or add them")
    _parsed(grammar.label_key)(value["key"])
    _parsed(grammar.label_value)(value.get("value", ""))
    if value["effect"] not in TAINT_EFFECTS:
        raise ValueError(f"has no known effect; use one of {', '.join(TAINT_EFFECTS)}")
    return value


def _script(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL, which no script can; remove it")
    return value


def _not_reserved(value: str) -> str:
    if value.startswith(("auto", "acs:", "aliyun")):
        raise ValueError("starts with a word that Alibaba Cloud reserves; choose another name")
    return value


Name = Annotated[
    str,
    # Part of tags, snapshot names, node pool names and run ids: the narrowest of their grammars.
    Field(pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$", description="lower case, digits and hyphens"),
    AfterValidator(_not_reserved),
]
PoolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,48}$")]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,127}$")]
# As Airflow itself takes one.
ConnId = Annotated[str, Field(pattern=r"^[\w#!()\-.:/\\]{1,200}$")]
Reference = Annotated[str, AfterValidator(_image_reference)]
LabelKey = Annotated[str, AfterValidator(_parsed(grammar.label_key))]
LabelValue = Annotated[str, AfterValidator(_parsed(grammar.label_value))]
DiskCategory = Annotated[
    str, Field(pattern=r"^cloud_(efficiency|ssd|essd|essd_entry|auto|essd_xc[01])$")
]
Taint = Annotated[dict[str, str], AfterValidator(_taint)]
Script = Annotated[str, AfterValidator(_script)]
# A name as Kubernetes takes it: RFC 1123.
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
PerformanceLevel = Literal["PL0", "PL1", "PL2", "PL3"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Source(_Strict):
    """Where the image list comes from."""

    node_pool_id: Id = Field(description="pool with live nodes whose images are exported")
    nodes: int = Field(default=1, ge=1, le=20, description="nodes to read; the union counts")


class Build(_Strict):
    """The build instance that fills the disk."""

    instance_type: Id
    zone_id: Id
    vswitch_id: Id
    security_group_id: Id
    image_id: Id = Field(description="ECS image the build instance boots from")
    disk_gib: int = Field(default=100, ge=40, le=32768, description="size of the preloaded disk")
    disk_category: DiskCategory = "cloud_essd"
    performance_level: PerformanceLevel = "PL1"
    system_disk_category: DiskCategory = "cloud_essd"
    system_disk_gib: int = Field(default=40, ge=20, le=2048)


class Pool(_Strict):
    """The node pool that gets the preloaded disk; measuring copies its spec for both arms."""

    name: PoolName
    instance_types: list[Id] = Field(min_length=1, max_length=10)
    vswitch_ids: list[Id] = Field(min_length=1, max_length=8)
    security_group_ids: list[Id] = Field(default_factory=list, max_length=5)
    desired_size: int = Field(default=1, ge=1, le=500, description="nodes after the rollout")
    image_type: str = Field(default="AliyunLinux3", pattern=r"^[A-Za-z0-9]{1,64}$")
    key_pair: Id | None = Field(
        default=None, description="key pair of the nodes; ContainerOS needs one"
    )
    system_disk_category: DiskCategory = "cloud_essd"
    system_disk_gib: int = Field(default=120, ge=20, le=2048)
    data_disk_category: DiskCategory = "cloud_essd"
    performance_level: PerformanceLevel = "PL1"
    data_disk_gib: int | None = Field(
        default=None,
        ge=40,
        le=32768,
        description="baseline disk; default: the size of the build disk",
    )
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    taints: list[Taint] = Field(default_factory=list)
    pre_user_data: Script = Field(
        default="",
        max_length=12_000,
        description="script that runs before ACK's own",
    )
    skip_yum: Literal["pre", "post", "both"] = Field(
        default="pre",
        description="where `touch /var/.skip-yum` goes; after joining is too late by ACK's order",
    )

    @model_validator(mode="after")
    def _no_image_acceleration(self) -> Pool:
        if self.labels.get(ACCELERATOR_LABEL, "false") != "false":
            raise ValueError(
                f"label {ACCELERATOR_LABEL} switches image acceleration on, which works "
                "against a preloaded disk; remove the label"
            )
        return self


class Measure(_Strict):
    """How created -> Ready is measured."""

    samples: int = Field(default=3, ge=1, le=20, description="nodes made in each arm")
    workload_image: Reference = Field(description="image of the Pod whose start is timed")
    workload_command: list[str] = Field(
        default_factory=list, description="default: the image's own command"
    )
    ready_within_s: int = Field(
        default=1800, ge=10, le=14_400, description="then the node is never Ready"
    )
    running_within_s: int = Field(
        default=1800, ge=10, le=14_400, description="same for the workload Pod"
    )
    namespace: Namespace = "default"
    image_pull_secret: Namespace | None = Field(
        default=None, description="Secret of that namespace that opens a private registry"
    )
    baseline_image_type: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9]{1,64}$",
        description="such as ContainerOS; default: as the pool",
    )


class Limits(_Strict):
    """What the sweep keeps and how long anything of ours may live."""

    keep_snapshots: int = Field(default=3, ge=1, le=100, description="last good snapshots to keep")
    min_snapshot_age_h: int = Field(
        default=24, ge=0, le=8760, description="younger ones are never deleted"
    )
    expire_after_h: int = Field(default=12, ge=1, le=168, description="life of temporary resources")


class Target(_Strict):
    """One node pool to speed up."""

    name: Name
    cluster_id: Id
    source: Source
    workload_images: list[Reference] = Field(
        default_factory=list, max_length=200, description="images to add to the exported list"
    )
    registry_conn_ids: list[ConnId] = Field(
        default_factory=list,
        max_length=20,
        description="Airflow connections with host, login and password of private registries",
    )
    build: Build
    pool: Pool
    measure: Measure
    limits: Limits = Limits()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, as passed between tasks."""
        return self.model_dump(mode="json")


class Targets(_Strict):
    """The whole file."""

    targets: list[Target] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _each_name_once(self) -> Targets:
        names = [target.name for target in self.targets]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"target name used twice: {', '.join(twice)}; rename one")
        return self

    @model_validator(mode="after")
    def _each_pool_once(self) -> Targets:
        pools = [(target.cluster_id, target.pool.name) for target in self.targets]
        if twice := sorted({pool for pool in pools if pools.count(pool) > 1}):
            which = ", ".join(f"{name} in {cluster_id}" for cluster_id, name in twice)
            raise ValueError(
                f"node pool of two targets: {which}; each would undo the other's rollout, so "
                "rename one pool"
            )
        return self
