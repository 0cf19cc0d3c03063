"""Who may do what: the cluster's administrator everything, a node's agent what concerns its node.

After the NodeRestriction plug-in and the node authorizer, for the kinds served here.
"""

from __future__ import annotations

from emulator.kube.errors import forbidden
from emulator.kube.requests import Target
from emulator.kube.resources import Obj
from emulator.kube.store import KubeStore

ADMIN = "kubernetes-admin"
NODE_PREFIX = "system:node:"
_READS = frozenset({"get", "list", "watch"})


def authorize(store: KubeStore, user: str, verb: str, target: Target, body: Obj | None) -> None:
    """Let a request pass or refuse it.

    :raises KubeError: 403, saying why.
    """
    if user == ADMIN or verb in _READS:
        return
    plural = target.resource.plural
    name = target.name or str(((body or {}).get("metadata") or {}).get("name", ""))
    if not user.startswith(NODE_PREFIX):
        raise forbidden(user, verb, plural, name, "only the administrator may")
    node = user.removeprefix(NODE_PREFIX)
    why = _node_may_not(store, node, verb, target, name)
    if why:
        raise forbidden(user, verb, plural, name, why)


def _node_may_not(store: KubeStore, node: str, verb: str, target: Target, name: str) -> str:
    match target.resource.plural, verb:
        case "events", "create" | "patch" | "update":
            return ""
        case "nodes", "create" | "patch" | "update":
            return "" if name == node else f"node {node} may only change itself"
        case "leases", "create" | "patch" | "update":
            mine = target.namespace == "kube-node-lease" and name == node
            return "" if mine else f"node {node} may only hold its own lease"
        case "pods", "patch" | "update" if target.subresource == "status":
            return _pod_of_other(store, node, target)
        case "pods", "delete":
            return _pod_of_other(store, node, target)
    return f"node {node} has no need to"


def _pod_of_other(store: KubeStore, node: str, target: Target) -> str:
    pod = store.get("pods", target.namespace, target.name)
    bound = pod["spec"].get("nodeName")
    return "" if bound == node else f"node {node} may only change Pods bound to it"
