"""The build instance: made, stopped and deleted, with the key pair that opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from ack_preload.domain.disks import BuildSpec
from ack_preload.domain.errors import (
    CloudUnavailableError,
    ResourceFailedError,
    UnclearReplyError,
    WaitTimeoutError,
)
from ack_preload.domain.tags import BUILD, PURPOSE_KEY, Ownership
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.operators.orders import EcsOperator, OrderingOperator
from ack_preload.operators.teardown import TeardownOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

ALIVE = frozenset({"Pending", "Starting", "Running"})
DISK_UNSEEN = "disk_is_not_listed"
STOPPING = frozenset({"Stopping", "Stopped"})


class RunBuildInstanceOperator(OrderingOperator):
    """Start the build instance with its blank data disk; return its ids once it is Running.

    Returns ``instance_id``, ``disk_id``, ``disk_serial`` and ``private_ip``. A second try finds
    the instance of the first, by its run tag and by the idempotency token. One of this run that
    is stopped already, which is so when the run is cleared late, is deleted first.

    :param target: the target as a mapping, or its JSON.
    :param disk_gib: size of the data disk; the target's ``build.disk_gib`` when empty.
    :param user_data: script for the first boot; no secrets, the instance's metadata shows it.
    :param makers: ids of the tasks of this run that made its key pair.
    """

    needs = frozenset({"InvalidKeyPair.NotFound", "InvalidKeyPairName.NotFound"})
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
        makers: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.makers = makers
        self.target = target
        self.key_pair_name = key_pair_name
        self.disk_gib = disk_gib
        self.user_data = user_data

    def execute(self, context: Context) -> dict[str, Any]:
        self.about_to_create(context)
        self._release_spent(context)
        instance_id = self.obtain(context, as_mapping("target", self.target))
        self.wait_for("instance_running", {"instance_id": instance_id})

    def _release_spent(self, context: Context) -> None:
        """Delete what cannot be gone on with: its disk is sealed, or nobody knows what is on it.

        It would be paid for beside the new one until the run's teardown.
        """
        found = self.hook.instances(self.search(context))
        spent = sorted(each.instance_id for each in found if each.status in STOPPING)
        for each in spent:
            self.hook.delete_instance(each)
            self.log.info("%s of an earlier try has stopped; told to go", each)
        if spent:
            self.wait_for("instance_gone", {"instance_id": spent[0]}, method_name="released")

    def released(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        self.read(event)
        return self.execute(context)

    def alive(self, context: Context) -> list[str]:
        found = self.hook.instances(self.search(context))
        return [each.instance_id for each in found if each.status in ALIVE]

    def is_listed(self, resource_id: str, *, is_alive: bool) -> bool:
        found = self.hook.instance(resource_id)
        return found is not None and (found.status in ALIVE or not is_alive)

    def ask(self, context: Context, owner: Ownership, salt: str) -> str:
        target = as_mapping("target", self.target)
        spec = BuildSpec.from_mapping(target, disk_gib=self.disk_gib)
        release_at = cast("datetime", owner.expires)
        instance_id = self.hook.run_instance(
            spec,
            name=f"ack-preload-{owner.target}",
            key_pair_name=self.key_pair_name,
            release_at=release_at,
            token=self.client_token(context, salt),
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
        instance = self.read_made(context, event)
        instance_id = instance["instance_id"]
        # By id: a list of several pages may show one twice.
        disks = list({each.disk_id: each for each in self.hook.data_disks(instance_id)}.values())
        if len(disks) != 1 or not disks[0].serial or not instance["private_ip"]:
            until = self.unsettled_until(context, [self.task_id])
            if until and self.is_first_time(context, DISK_UNSEEN):
                self.look_again(until)
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
    """Shut an instance down in order and return its id once it is Stopped.

    :param makers: ids of the tasks of this run that may have made it just now.
    """

    template_fields: Sequence[str] = ("instance_id", *CloudOperator.template_fields)

    def __init__(self, *, instance_id: str, makers: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.makers = makers

    def execute(self, context: Context) -> str:
        if not self._is_stopping(context):
            is_young = self.unsettled_until(context, self.makers) is not None
            try:
                self.hook.stop_instance(self.instance_id, is_young=is_young)
            except (CloudUnavailableError, UnclearReplyError):
                # An earlier call may have got through although its reply did not.
                if not self._is_stopping(context):
                    raise
            self.log.info("Instance %s told to stop", self.instance_id)
        self.wait_for("instance_stopped", {"instance_id": self.instance_id})

    def _is_stopping(self, context: Context) -> bool:
        found = self.hook.instance(self.instance_id)
        if found is None:
            if until := self.unsettled_until(context, self.makers):
                self.look_again(until)  # not listed yet
            raise ResourceFailedError(
                f"instance {self.instance_id} is absent; run the build again from the start"
            )
        return found.status in STOPPING

    def resume(self, context: Context, event: Mapping[str, Any]) -> str:
        self.read(event)
        return str(event["id"])


class DeleteInstanceOperator(TeardownOperator):
    """Release every instance of this run, with its disks; return the ids once they are gone.

    Instances are found by the run tag, so that one whose id never reached XCom goes too.

    :param instance_id: a further one, made by another run of this installation; may be empty.
    :param makers: ids of the tasks of this run that make instances.
    """

    template_fields: Sequence[str] = ("instance_id", *CloudOperator.template_fields)

    def __init__(
        self, *, instance_id: str | None = None, makers: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.makers = makers

    def execute(self, context: Context) -> list[str]:
        listed = self.hook.instances(self.search(context))
        if self.instance_id and (named := self.hook.instance(self.instance_id)):
            listed.append(named)
        found = {each.instance_id: each.tags for each in listed}
        doomed = self.delete_each("instance", found, self.hook.delete_instance)
        return self._await_next(context, doomed, [])

    def _await_next(self, context: Context, going: Sequence[str], gone: Sequence[str]) -> list[str]:
        if going:
            self.wait_for(
                "instance_gone",
                {"instance_id": going[0], "going": list(going), "gone": list(gone)},
            )
        # Those that had been taken off their instance.
        listed = self.hook.disks(self.search(context))
        loose = {disk.disk_id: disk.tags for disk in listed if disk.status == "Available"}
        self.delete_each("disk", loose, self.hook.delete_disk)
        return self.end(context, gone)

    def resume(self, context: Context, event: Mapping[str, Any]) -> list[str]:
        self.read(event)
        subject = event["subject"]
        first, *rest = subject["going"]
        return self._await_next(context, rest, [*subject["gone"], first])
