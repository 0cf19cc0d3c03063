"""The build instance: made, stopped and deleted, with the key pair that opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ack_preload.domain.disks import BuildSpec, Instance
from ack_preload.domain.errors import (
    CloudUnavailableError,
    ResourceFailedError,
    WaitTimeoutError,
)
from ack_preload.domain.tags import BUILD, PURPOSE_KEY, Ownership, refuse_foreign
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.base import CloudOperator, as_mapping

if TYPE_CHECKING:
    from airflow.sdk import Context

ALIVE = frozenset({"Pending", "Starting", "Running"})
STOPPING = frozenset({"Stopping", "Stopped"})


class EcsOperator(CloudOperator):
    @cached_property
    def hook(self) -> EcsHook:
        return EcsHook(self.conn_id, account=self.account)


class RunBuildInstanceOperator(EcsOperator):
    """Start the build instance with its blank data disk; return its ids once it is Running.

    Returns ``instance_id``, ``disk_id``, ``disk_serial`` and ``private_ip``. A second try finds
    the instance of the first, by its run tag and by the idempotency token.

    :param target: the target as a mapping, or its JSON.
    :param disk_gib: size of the data disk; the target's ``build.disk_gib`` when empty.
    :param user_data: script for the first boot; no secrets, the instance's metadata shows it.
    """

    template_fields: Sequence[str] = (
        "target",
        "key_pair_name",
        "disk_gib",
        "user_data",
        *CloudOperator.template_fields,
    )

    def __init__(
        self,
        *,
        target: Mapping[str, Any] | str,
        key_pair_name: str,
        disk_gib: int | str | None = None,
        user_data: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.target = target
        self.key_pair_name = key_pair_name
        self.disk_gib = disk_gib
        self.user_data = user_data

    def execute(self, context: Context) -> dict[str, Any]:
        target = as_mapping("target", self.target)
        spec = BuildSpec.from_mapping(target, disk_gib=self.disk_gib)
        owner = self.ownership(context, target)
        release_at = self.expires(context, target)
        instance_id = self._of_earlier_try(owner) or self._run(context, spec, owner, release_at)
        self.wait_for("instance_running", {"instance_id": instance_id})

    def _of_earlier_try(self, owner: Ownership) -> str | None:
        found = self.hook.instances(Ownership.search(owner.run, owner.installation))
        alive = [instance.instance_id for instance in found if instance.status in ALIVE]
        if not alive:
            return None
        self.log.info("Instance %s of an earlier try found", alive[0])
        return alive[0]

    def _run(
        self, context: Context, spec: BuildSpec, owner: Ownership, release_at: datetime
    ) -> str:
        instance_id = self.hook.run_instance(
            spec,
            name=f"ack-preload-{owner.target}",
            key_pair_name=self.key_pair_name,
            release_at=release_at,
            # The release time is part of the token: it moves when a run outlives it, and the
            # cloud refuses a known token with other parameters.
            token=self.client_token(context, release_at.isoformat()),
            tags=owner.tags() | {PURPOSE_KEY: BUILD},
            user_data=self.user_data,
        )
        self.log.info(
            "Instance %s (%s) started, released at %s at the latest",
            instance_id,
            spec.instance_type,
            release_at,
        )
        return instance_id

    def resume(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        instance = self.read(event)
        instance_id = instance["instance_id"]
        disks = self.hook.data_disks(instance_id)
        if len(disks) != 1 or not disks[0].serial or not instance["private_ip"]:
            raise WaitTimeoutError(
                f"instance {instance_id} is Running with {len(disks)} data disks and address "
                f"{instance['private_ip']}; one disk with a serial and one address are needed"
            )
        return {
            "instance_id": instance_id,
            "disk_id": disks[0].disk_id,
            "disk_serial": disks[0].serial,
            "private_ip": instance["private_ip"],
        }


class StopInstanceOperator(EcsOperator):
    """Shut an instance down in order and return its id once it is Stopped."""

    template_fields: Sequence[str] = ("instance_id", *CloudOperator.template_fields)

    def __init__(self, *, instance_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id

    def execute(self, context: Context) -> str:
        if not self._is_stopping():
            try:
                self.hook.stop_instance(self.instance_id)
            except CloudUnavailableError:
                # An earlier call may have got through although its reply did not.
                if not self._is_stopping():
                    raise
            self.log.info("Instance %s told to stop", self.instance_id)
        self.wait_for("instance_stopped", {"instance_id": self.instance_id})

    def _is_stopping(self) -> bool:
        found = self.hook.instance(self.instance_id)
        if found is None:
            raise ResourceFailedError(
                f"instance {self.instance_id} is absent; run the build again from the start"
            )
        return found.status in STOPPING

    def resume(self, context: Context, event: Mapping[str, Any]) -> str:
        self.read(event)
        return str(event["id"])


class DeleteInstanceOperator(EcsOperator):
    """Release every instance of this run, with its disks; return the ids once they are gone.

    Instances are found by the run tag, so that one whose id never reached XCom goes too.

    :param instance_id: a further one, made by another run of ours; may be empty.
    """

    template_fields: Sequence[str] = ("instance_id", *CloudOperator.template_fields)

    def __init__(self, *, instance_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id

    def execute(self, context: Context) -> list[str]:
        mine = self.search(context)
        listed = [*self.hook.instances(mine), *self._named()]
        doomed = sorted({each.instance_id for each in listed})
        for instance_id in doomed:
            self.hook.delete_instance(instance_id)
            self.log.info("Instance %s told to go", instance_id)
        return self._await_next(mine, doomed, [])

    def _named(self) -> list[Instance]:
        if not self.instance_id:
            return []
        found = self.hook.instance(self.instance_id)
        if found is None:
            return []
        refuse_foreign(f"instance {self.instance_id}", found.tags, self.installation)
        return [found]

    def _await_next(
        self, mine: Mapping[str, str], going: Sequence[str], gone: Sequence[str]
    ) -> list[str]:
        if going:
            self.wait_for(
                "instance_gone",
                {"instance_id": going[0], "going": list(going), "gone": list(gone)},
            )
        for disk in self.hook.disks(mine):
            if disk.status == "Available":  # one that had been taken off its instance
                self.hook.delete_disk(disk.disk_id)
                self.log.info("Disk %s deleted", disk.disk_id)
        return list(gone)

    def resume(self, context: Context, event: Mapping[str, Any]) -> list[str]:
        self.read(event)
        subject = event["subject"]
        first, *rest = subject["going"]
        return self._await_next(self.search(context), rest, [*subject["gone"], first])
