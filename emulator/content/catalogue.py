"""What the local registry and package server hold: names, versions, layers and sizes.

Names and tags are shaped as ACK's are for Kubernetes 1.32; the bytes behind them are generated
(``layers.py``), so nothing of Alibaba Cloud's is copied and a demo downloads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

KUBERNETES_VERSION = "1.32.1-aliyun.1"
PAUSE_IMAGE = "acs/pause:3.9"
WORKLOAD_IMAGE = "ac2/qwen:7b-pytorch2.2.0.1-alinux3.2304"
# The path that the procedure downloads from, below the region's OSS address.
KUBELET_PACKAGE = f"public/pkg/kubernetes/kubernetes-{KUBERNETES_VERSION}-linux-amd64.tar.gz"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, sized before compression at scale 1; kinds compress differently."""

    name: str  # also the folder of its files
    source_mib: float = 0  # many small text files; shrink to about 1/3
    library_mib: float = 0  # machine-code-like files of some MiB; shrink to about 1/2
    weights_mib: float = 0  # random, as quantised model weights are; do not shrink


@dataclass(frozen=True, slots=True)
class Image:
    reference: str  # repository:tag, without a registry host
    layers: tuple[Layer, ...]  # between the first (busybox) and the last one (entrypoint)
    checked_mib: float = 4  # of its files, which the entrypoint checks before it says ready
    is_index: bool = False  # the tag names an OCI index; else a Docker schema 2 manifest


_ALINUX3 = Layer("alinux3", source_mib=18, library_mib=42)
_DISTROLESS = Layer("distroless", source_mib=4, library_mib=8)

SYSTEM_IMAGES = (
    Image(PAUSE_IMAGE, ()),
    Image(
        f"acs/kube-proxy:v{KUBERNETES_VERSION}",
        (_ALINUX3, Layer("iptables", 2, 16), Layer("kube-proxy", 0, 44)),
    ),
    Image(
        "acs/terway:v1.13.2",
        (_ALINUX3, Layer("cilium-tools", 6, 40), Layer("terway", 0, 52)),
    ),
    Image(
        "acs/csi-plugin:v1.32.2-757d24c-aliyun",
        (_ALINUX3, Layer("mount-tools", 4, 40), Layer("csi-plugin", 0, 54)),
    ),
    Image(
        "acs/csi-node-driver-registrar:v2.9.0-9b8b6a5-aliyun",
        (_DISTROLESS, Layer("csi-node-driver-registrar", 0, 18)),
    ),
    Image("acs/coredns:v1.11.3.5-5321daf-aliyun", (_DISTROLESS, Layer("coredns", 0, 46))),
    Image(
        "acs/k8s-dns-node-cache:v1.22.28-8d7cd44-aliyun",
        (_ALINUX3, Layer("node-cache", 1, 38)),
    ),
    Image("acs/metrics-server:v0.3.9.12-0b6e4dd-aliyun", (_DISTROLESS, Layer("metrics", 0, 34))),
    Image(
        "acs/node-problem-detector:v0.8.17-8ad2b45-aliyun",
        (_ALINUX3, Layer("problem-detector", 6, 36)),
    ),
)

# The image of the procedure's log has 14 layers and 780 MiB. This one is smaller and has 14 too:
# those named here, a first one with busybox and a last one with the entrypoint.
WORKLOAD = Image(
    WORKLOAD_IMAGE,
    (
        Layer("alinux3-2304", 16, 64),
        Layer("python3", 26, 30),
        Layer("openblas", 0, 48),
        Layer("cuda-runtime", 0, 110),
        Layer("cudnn", 0, 70),
        Layer("pytorch", 30, 90),
        Layer("transformers", 26, 0),
        Layer("tokenizer", 4, 0),
        Layer("qwen-shard-1", 0, 0, 44),
        Layer("qwen-shard-2", 0, 0, 44),
        Layer("qwen-shard-3", 0, 0, 44),
        Layer("qwen-shard-4", 0, 0, 44),
    ),
    checked_mib=24,
    is_index=True,
)

IMAGES = (*SYSTEM_IMAGES, WORKLOAD)
# In a registry of its own, which wants a login.
PRIVATE = Image("team/reranker:2.1.0", (_DISTROLESS, Layer("reranker", 2, 14)), is_index=True)
# In the kubelet package: kubelet, kubeadm, kubectl and CNI plugins are about this large together.
PACKAGE_BINARIES_MIB = {"kubelet": 76.0, "kubectl": 56.0, "kubeadm": 20.0}
PACKAGE_CNI_MIB = {"bridge": 4.0, "host-local": 3.0, "loopback": 3.0, "portmap": 4.0}
