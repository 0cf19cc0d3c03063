"""Fill the data disk of the build instance, step by step; each step is one remote script."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ack_preload.domain.disks import required
from ack_preload.domain.errors import (
    InvalidInputError,
    PreloadError,
    RemoteJobError,
    WaitTimeoutError,
)
from ack_preload.domain.grammar import kubernetes_version, sha256, version
from ack_preload.domain.images import ImageLock, ImageReference
from ack_preload.hooks.account import SSH
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.history import open_store
from ack_preload.hooks.machine import read_host_key
from ack_preload.hooks.registry_login import for_machine, registry_logins
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.operators.remote_job import RemoteJobOperator

if TYPE_CHECKING:
    from typing import NoReturn

    from airflow.sdk import Context

NO_AGENT = (
    "Cloud Assistant's agent on it does not report; build.image_id must be an image that has the "
    "agent (all public images do), and its security group must let 100.100.0.0/16 out"
)
MOUNT_POINT = "/mnt/ack-preload"
FILE_SYSTEMS = uuid.UUID("4c6a3c6e-8f0e-5b1c-9a53-6b6f0d1f7a11")
"""Namespace of the file systems that builds make; any fixed UUID would do."""
WORKERS = 3
"""Images pulled at a time. On two cores, 4 and 8 were not told apart from each other; containerd
fetches the layers of each image in parallel as well."""
ATTEMPTS = 4
LOGIN_REFUSED = 6
"""What ``pull_images.sh`` ends with when a registry refuses a login, or wants one."""
ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64"}


def locked(lock_digest: str) -> ImageLock:
    """Return an image lock from the history.

    :raises InvalidInputError: when there is none of that digest.
    """
    found = open_store().lock(lock_digest)
    if found is None:
        raise InvalidInputError(
            f"lock_digest {lock_digest!r} is not in the history; run export_image_list first"
        )
    if not found.images:
        raise InvalidInputError(f"image lock {lock_digest} is empty; export the image list again")
    return found


class ReadVersionsOperator(CloudOperator):
    """Return what the disk must match: ``kubernetes``, ``runtime`` (of the source pool)."""

    template_fields: Sequence[str] = ("target", *CloudOperator.template_fields)

    def __init__(self, *, target: Mapping[str, Any] | str, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.target = target

    @cached_property
    def hook(self) -> AckHook:
        return AckHook(self.conn_id, account=self.account)

    def execute(self, context: Context) -> dict[str, str]:
        target = as_mapping("target", self.target)
        cluster_id = str(required("target", target, "cluster_id"))
        pool_id = str(required("source", target.get("source") or {}, "node_pool_id"))
        cluster = self.hook.cluster(cluster_id)
        pool = self.hook.node_pool(cluster_id, pool_id)
        if pool is None or not pool.runtime_version:
            raise InvalidInputError(
                f"source.node_pool_id is {pool_id!r}, which is no node pool of cluster "
                f"{cluster_id} with a container runtime; name the pool to speed up"
            )
        return {
            "kubernetes": kubernetes_version("current_version", cluster.get("current_version")),
            "runtime": version("runtime_version", pool.runtime_version),
        }


class PrepareDiskOperator(RemoteJobOperator):
    """Make the file system on the blank disk, mount it, bind it for containerd.

    Waits for Cloud Assistant's agent on the instance first, and reads by it the host key that every
    SSH connection then insists on, from the first. Returns ``device``, ``filesystem``,
    ``mount_point`` and ``host_key``.

    :param disk_serial: of the data disk, from ``RunBuildInstanceOperator``; nothing else finds it.
    """

    script = "prepare_disk.sh"
    template_fields: Sequence[str] = ("disk_serial", *RemoteJobOperator.template_fields)

    def __init__(self, *, disk_serial: str, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.disk_serial = disk_serial

    def execute(self, context: Context) -> dict[str, Any]:
        if self.host_key and self.account.transport == SSH:
            self._begin(context)
        if not self.instance_id:
            raise InvalidInputError("instance_id is empty; pass that of the build instance")
        self.wait_for("assistant_ready", {"instance_id": self.instance_id}, "identify")

    def identify(self, context: Context, event: Mapping[str, Any]) -> NoReturn:
        """Go on when the agent is up."""
        try:
            self.read(event)
        except WaitTimeoutError as exc:
            raise WaitTimeoutError(f"{exc}; {NO_AGENT}") from exc
        if self.account.transport == SSH:
            self.host_key = read_host_key(self.instance_id, self.account)
            self.log.info("%s identifies itself by %s", self.address, self.host_key)
        self._begin(context)

    def arguments(self, context: Context) -> Sequence[str]:
        ti = context["ti"]
        return (
            self.disk_serial,
            MOUNT_POINT,
            str(uuid.uuid5(FILE_SYSTEMS, f"{ti.dag_id}/{ti.run_id}")),
        )

    def report(self, context: Context, reported: list[dict[str, Any]]) -> dict[str, Any]:
        key = (self._subject or {})["host_key"]
        return {**super().report(context, reported), "mount_point": MOUNT_POINT, "host_key": key}


class InstallRuntimeOperator(RemoteJobOperator):
    """See to it that containerd runs at exactly ``version``, the node pool's own."""

    script = "install_runtime.sh"
    template_fields: Sequence[str] = ("version", *RemoteJobOperator.template_fields)

    def __init__(self, *, version: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version

    def arguments(self, context: Context) -> Sequence[str]:
        return (version("version", self.version),)


class PullImagesOperator(RemoteJobOperator):
    """Pull every image of an image lock, by digest, into containerd's namespace of the kubelet.

    The logins of private registries go to the machine over SSH's stdin, and there into memory.

    :param target: names their connections, in ``registry_conn_ids``; a mapping, or its JSON.
    :param workers: images at a time.
    """

    script = "pull_images.sh"
    template_fields: Sequence[str] = (
        "lock_digest",
        "target",
        "workers",
        *RemoteJobOperator.template_fields,
    )

    def __init__(
        self,
        *,
        lock_digest: str,
        target: Mapping[str, Any] | str | None = None,
        workers: int | str = WORKERS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.lock_digest = lock_digest
        self.target = target
        self.workers = workers

    @property
    def _conn_ids(self) -> list[str]:
        target = as_mapping("target", self.target) if self.target else {}
        return list(target.get("registry_conn_ids") or ())

    def arguments(self, context: Context) -> Sequence[str]:
        return str(self.workers), str(ATTEMPTS)

    def stdin(self, context: Context) -> bytes:
        return locked(self.lock_digest).pull_list().encode()

    def secret(self, context: Context) -> bytes:
        """Return the logins of the registries that the lock needs, and no others."""
        lock = locked(self.lock_digest)
        needed = {ImageReference.parse(image.reference).host for image in lock.images}
        logins = registry_logins(self._conn_ids)
        return for_machine(login for host, login in sorted(logins.items()) if host in needed)

    def _failure(self, event: Mapping[str, Any], detail: Mapping[str, Any]) -> PreloadError:
        if detail.get("exit_code") != LOGIN_REFUSED:
            return super()._failure(event, detail)
        logins = registry_logins(self._conn_ids).values()
        known = ", ".join(f"{login.host} from {login.conn_id}" for login in logins) or "none"
        return InvalidInputError(
            f"{self.script} on {self.address}: {detail.get('error')}; logins of the target: "
            f"{known}. Correct that connection, or name one in registry_conn_ids"
        )

    def report(self, context: Context, reported: list[dict[str, Any]]) -> dict[str, Any]:
        lock = locked(self.lock_digest)
        pulled = {str(each.get("digest")) for each in reported}
        if missing := {image.digest for image in lock.images} - pulled:
            raise RemoteJobError(
                f"{self.script} on {self.address} reported {len(pulled)} digests and not "
                f"{', '.join(sorted(missing)[:3])}, {len(missing)} in all; clear the task"
            )
        return {"images": len(reported), "bytes": sum(i.size_bytes for i in lock.images)}


class KubeletPackageOperator(RemoteJobOperator):
    """Download the kubelet package of a Kubernetes version onto the disk, and unpack it.

    :param lock_digest: image lock of the disk: its platform is the package's.
    :param sha256: of the archive; not checked when empty, since the cloud publishes none.
    """

    script = "kubelet_package.sh"
    template_fields: Sequence[str] = (
        "version",
        "lock_digest",
        "sha256",
        *RemoteJobOperator.template_fields,
    )

    def __init__(self, *, version: str, lock_digest: str, sha256: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version
        self.lock_digest = lock_digest
        self.sha256 = sha256

    def arguments(self, context: Context) -> Sequence[str]:
        architecture = ARCHITECTURES[locked(self.lock_digest).platform]
        url = self.account.packages_url
        release = kubernetes_version("version", self.version)
        fixed = (url, release, architecture, MOUNT_POINT)
        return (*fixed, sha256("sha256", self.sha256)) if self.sha256 else fixed


class SealDiskOperator(RemoteJobOperator):
    """Prove the disk's contents, clean it, stop containerd, trim, sync and unmount.

    Any finding fails the task, so that no snapshot is taken. Returns what was counted: ``images``,
    ``blobs``, ``bytes``, ``removed``, ``trimmed``.
    """

    script = "seal_disk.sh"
    template_fields: Sequence[str] = ("lock_digest", *RemoteJobOperator.template_fields)

    def __init__(self, *, lock_digest: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lock_digest = lock_digest

    def arguments(self, context: Context) -> Sequence[str]:
        return (MOUNT_POINT,)

    def stdin(self, context: Context) -> bytes:
        return locked(self.lock_digest).pull_list().encode()
