"""A Pod's spec in the words of CRI: its sandbox and its containers."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from cri_api.v1 import api_pb2 as api

from .objects import Obj

LOGS = Path("/var/log/pods")
UID_LABEL = "io.kubernetes.pod.uid"
# What a kubelet hides of /proc and /sys from containers that are not privileged.
MASKED = (
    *("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi"),
    *("/sys/firmware", "/sys/devices/virtual/powercap"),
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_CPU_PERIOD_US = 100_000
_SHARES_PER_CPU = 1024
_LEAST_SHARES = 2
_UNITS = {
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
    **{"m": Decimal("0.001"), "": Decimal(1)},
}


def sandbox_config(pod: Obj, attempt: int) -> Any:
    """Return the sandbox: always on the host's network and so with its name; there is no CNI."""
    metadata = pod["metadata"]
    labels = {
        **(metadata.get("labels") or {}),
        "io.kubernetes.pod.name": metadata["name"],
        "io.kubernetes.pod.namespace": metadata["namespace"],
        UID_LABEL: metadata["uid"],
    }
    privileged = any(
        (container.get("securityContext") or {}).get("privileged")
        for container in pod["spec"]["containers"]
    )
    return api.PodSandboxConfig(
        metadata=api.PodSandboxMetadata(
            name=metadata["name"],
            uid=metadata["uid"],
            namespace=metadata["namespace"],
            attempt=attempt,
        ),
        log_directory=str(log_folder(pod)),
        labels=labels,
        linux=api.LinuxPodSandboxConfig(
            cgroup_parent=f"/kubepods/{pod['status'].get('qosClass', 'BestEffort').lower()}",
            security_context=api.LinuxSandboxSecurityContext(
                namespace_options=_namespaces(), privileged=privileged, seccomp=_unconfined()
            ),
        ),
    )


def container_config(pod: Obj, container: Obj, image_id: str, attempt: int) -> Any:
    """Return one container; ``image_id`` is what its image resolved to."""
    metadata = pod["metadata"]
    env = container.get("env") or []
    return api.ContainerConfig(
        metadata=api.ContainerMetadata(name=container["name"], attempt=attempt),
        image=api.ImageSpec(image=image_id, user_specified_image=container["image"]),
        command=container.get("command") or [],
        args=container.get("args") or [],
        working_dir=container.get("workingDir", ""),
        envs=[api.KeyValue(key=each["name"], value=each.get("value", "")) for each in env],
        labels={
            "io.kubernetes.container.name": container["name"],
            "io.kubernetes.pod.name": metadata["name"],
            "io.kubernetes.pod.namespace": metadata["namespace"],
            UID_LABEL: metadata["uid"],
        },
        log_path=f"{container['name']}/{attempt}.log",
        linux=api.LinuxContainerConfig(
            resources=_resources(container.get("resources") or {}),
            security_context=_security(container.get("securityContext") or {}),
        ),
    )


def log_folder(pod: Obj) -> Path:
    metadata = pod["metadata"]
    return LOGS / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"


def _namespaces() -> Any:
    return api.NamespaceOption(network=api.NODE, pid=api.CONTAINER, ipc=api.POD)


def _unconfined() -> Any:
    """Return a kubelet's default: no seccomp profile unless the Pod names one."""
    return api.SecurityProfile(profile_type=api.SecurityProfile.Unconfined)


def _security(context: Obj) -> Any:
    privileged = bool(context.get("privileged"))
    wanted = context.get("capabilities") or {}
    security = api.LinuxContainerSecurityContext(
        privileged=privileged,
        namespace_options=_namespaces(),
        readonly_rootfs=bool(context.get("readOnlyRootFilesystem")),
        no_new_privs=context.get("allowPrivilegeEscalation") is False,
        capabilities=api.Capability(
            add_capabilities=wanted.get("add") or [], drop_capabilities=wanted.get("drop") or []
        ),
        masked_paths=() if privileged else MASKED,
        readonly_paths=() if privileged else READ_ONLY,
        seccomp=_unconfined(),
    )
    profile = (context.get("seccompProfile") or {}).get("type")
    if profile == "RuntimeDefault":
        security.seccomp.profile_type = api.SecurityProfile.RuntimeDefault
    if (user := context.get("runAsUser")) is not None:
        security.run_as_user.value = user
    if (group := context.get("runAsGroup")) is not None:
        security.run_as_group.value = group
    return security


def _resources(resources: Obj) -> Any:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    cpu = _number(requests.get("cpu", limits.get("cpu", 0)))
    shares = max(int(cpu * _SHARES_PER_CPU), _LEAST_SHARES)
    found = api.LinuxContainerResources(cpu_shares=shares)
    if "cpu" in limits:
        found.cpu_period = _CPU_PERIOD_US
        found.cpu_quota = int(_number(limits["cpu"]) * _CPU_PERIOD_US)
    if "memory" in limits:
        found.memory_limit_in_bytes = int(_number(limits["memory"]))
    return found


def _number(quantity: object) -> Decimal:
    """Return a quantity that the API server has checked as a number."""
    text = str(quantity)
    digits = text.rstrip("kKMGTPEim")
    return Decimal(digits) * _UNITS[text[len(digits) :]]
