"""Defaults and checks of Pods; a field that the node agent does not honour is refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emulator.kube.errors import Cause, KubeError, invalid, not_emulated
from emulator.kube.quantities import is_quantity
from emulator.kube.resources import Obj

SPEC_FIELDS = frozenset(
    {"automountServiceAccountToken", "containers", "dnsPolicy", "enableServiceLinks"}
    | {"hostNetwork", "nodeName", "nodeSelector", "preemptionPolicy", "priority"}
    | {"priorityClassName", "restartPolicy", "schedulerName", "securityContext"}
    | {"serviceAccount", "serviceAccountName", "terminationGracePeriodSeconds", "tolerations"}
)
CONTAINER_FIELDS = frozenset(
    {"args", "command", "env", "image", "imagePullPolicy", "name", "ports", "resources"}
    | {"securityContext", "terminationMessagePath", "terminationMessagePolicy", "workingDir"}
)
SECURITY_FIELDS = frozenset(
    {"allowPrivilegeEscalation", "capabilities", "privileged", "readOnlyRootFilesystem"}
    | {"runAsGroup", "runAsNonRoot", "runAsUser", "seccompProfile"}
)
RESTART_POLICIES = ("Always", "OnFailure", "Never")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")

SPEC_DEFAULTS: dict[str, Any] = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
}
CONTAINER_DEFAULTS: dict[str, Any] = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
# As the admission plug-in DefaultTolerationSeconds adds them to each Pod.
DEFAULT_TOLERATIONS = tuple(
    {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
)


def admit_pod(pod: Obj, old: Obj | None) -> None:
    """Default a new Pod in place, or check that an update leaves its spec alone.

    :raises KubeError: 422 for a wrong field, 501 for one that is not emulated here.
    """
    name = pod["metadata"]["name"]
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        raise invalid("Pod", name, [_required("spec")])
    if old is not None:
        if spec != old["spec"]:
            raise _immutable(name)
        pod["status"] = pod.get("status") or {}  # a patch may take it away; readers find one
        _check_status(name, pod["status"])
        return
    _refuse_unknown(spec)
    _check(name, spec)
    for key, value in SPEC_DEFAULTS.items():
        spec.setdefault(key, value)
    spec.setdefault("securityContext", {})
    tolerated = {toleration.get("key") for toleration in spec.get("tolerations") or []}
    spec["tolerations"] = list(spec.get("tolerations") or []) + [
        dict(toleration) for toleration in DEFAULT_TOLERATIONS if toleration["key"] not in tolerated
    ]
    for container in spec["containers"]:
        for key, value in CONTAINER_DEFAULTS.items():
            container.setdefault(key, value)
        container.setdefault("imagePullPolicy", _pull_policy(container["image"]))
        container.setdefault("resources", {})
    pod["status"] = {"phase": "Pending", "qosClass": _qos_class(spec["containers"])}


def _required(field: str) -> Cause:
    return Cause(field, "Required value", "FieldValueRequired")


def _unsupported(field: str, value: object, known: Iterable[str]) -> Cause:
    supported = ", ".join(f'"{each}"' for each in known)
    text = f'Unsupported value: "{value}": supported values: {supported}'
    return Cause(field, text, "FieldValueNotSupported")


def _check_status(name: str, status: Obj) -> None:
    conditions = status.get("conditions") or []
    causes = [
        _required(f"status.conditions[{place}].{field}")
        for place, condition in enumerate(conditions)
        for field in ("type", "status")
        if not condition.get(field)
    ]
    if causes:
        raise invalid("Pod", name, causes)


def _immutable(name: str) -> KubeError:
    text = (
        "Forbidden: pod updates may not change fields other than metadata and status"
        " (the local cloud does not change the image of a running container)"
    )
    return invalid("Pod", name, [Cause("spec", text, "FieldValueForbidden")])


def _refuse_unknown(spec: Obj) -> None:
    unknown = [
        f"spec.{field}" for field, value in spec.items() if field not in SPEC_FIELDS and value
    ]
    for container in spec.get("containers") or []:
        where = f"spec.containers[{container.get('name')}]"
        unknown += [f"{where}.{field}" for field in container if field not in CONTAINER_FIELDS]
        security = container.get("securityContext") or {}
        unknown += [f"{where}.securityContext.{f}" for f in security if f not in SECURITY_FIELDS]
        unknown += [
            f"{where}.env[{env.get('name')}].valueFrom"
            for env in container.get("env") or []
            if "valueFrom" in env
        ]
    if unknown:
        raise not_emulated(f"Pod fields {', '.join(unknown)}")


def _check(name: str, spec: Obj) -> None:
    causes = []
    if not spec.get("containers"):
        causes.append(_required("spec.containers"))
    names = [container.get("name") for container in spec.get("containers") or []]
    for index, container in enumerate(spec.get("containers") or []):
        where = f"spec.containers[{index}]"
        causes += [_required(f"{where}.{f}") for f in ("name", "image") if not container.get(f)]
        if names.count(container.get("name")) > 1:
            text = f'Duplicate value: "{container.get("name")}"'
            causes.append(Cause(f"{where}.name", text, "FieldValueDuplicate"))
        policy = container.get("imagePullPolicy", PULL_POLICIES[0])
        if policy not in PULL_POLICIES:
            causes.append(_unsupported(f"{where}.imagePullPolicy", policy, PULL_POLICIES))
        causes += _wrong_quantities(f"{where}.resources", container.get("resources") or {})
    policy = spec.get("restartPolicy", RESTART_POLICIES[0])
    if policy not in RESTART_POLICIES:
        causes.append(_unsupported("spec.restartPolicy", policy, RESTART_POLICIES))
    if causes:
        raise invalid("Pod", name, causes)


def _wrong_quantities(where: str, resources: Obj) -> list[Cause]:
    return [
        Cause(
            f"{where}.{kind}.{name}",
            f'Invalid value: "{text}": quantities must be like 500m or 1Gi',
        )
        for kind in ("limits", "requests")
        for name, text in (resources.get(kind) or {}).items()
        if not is_quantity(text)
    ]


def _pull_policy(image: str) -> str:
    """Return Kubernetes' default: ``Always`` for ``:latest`` or no tag, and no digest."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in {"", "latest"} else "IfNotPresent"


def _qos_class(containers: list[Obj]) -> str:
    asked = [container["resources"] for container in containers if container["resources"]]
    if not any(resources.get("requests") or resources.get("limits") for resources in asked):
        return "BestEffort"
    guaranteed = len(asked) == len(containers) and all(
        {"cpu", "memory"} <= set(resources.get("limits") or {})
        and (resources.get("requests") or resources["limits"]) == resources["limits"]
        for resources in asked
    )
    return "Guaranteed" if guaranteed else "Burstable"
