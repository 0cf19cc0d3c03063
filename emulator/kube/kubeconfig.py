"""The text that DescribeClusterUserKubeconfig hands out."""

from __future__ import annotations

import base64

import yaml


def kubeconfig_text(server: str, ca_pem: str, token: str, cluster_id: str) -> str:
    """Return a kubeconfig with one context, which authenticates by bearer token.

    ACK's own holds a client certificate instead; clients read both.
    """
    user = f"kubernetes-admin-{cluster_id}"
    ca = base64.b64encode(ca_pem.encode()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "kubernetes",
                "cluster": {"server": server, "certificate-authority-data": ca},
            }
        ],
        "contexts": [{"name": user, "context": {"cluster": "kubernetes", "user": user}}],
        "current-context": user,
        "preferences": {},
        "users": [{"name": user, "user": {"token": token}}],
    }
    return yaml.safe_dump(document, sort_keys=False)
