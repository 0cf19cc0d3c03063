"""Cases on real machines: real disks, containerd, SSH and downloads, as small as they can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from local.chaos import catalogue
from local.chaos.cases import BUILD, EXPORT, MEASURE, ROLLOUT, Case

# Which of the quick cases are worth the time on real machines: what depends on the machine.
WORTH = (
    (EXPORT, "export_image_list", "ssh_dropped"),
    (BUILD, "run_build_instance", "reset_after: RunInstances"),
    (BUILD, "prepare_disk", "ssh_refused"),
    (BUILD, "install_runtime", "host_key_changed"),
    (BUILD, "pull_images", "ssh_dropped"),
    (BUILD, "pull_images", "registry_error 429"),
    (BUILD, "pull_images", "registry_error 500"),
    (BUILD, "pull_images", "registry_error 500, lasting"),
    (BUILD, "pull_images", "registry_truncated"),
    (BUILD, "pull_images", "registry_truncated, lasting"),
    (BUILD, "pull_images", "disk_full"),
    (BUILD, "pull_images", "machine without power"),
    (BUILD, "add_kubelet_package", "package_missing 404"),
    (BUILD, "add_kubelet_package", "package_missing 503"),
    (BUILD, "seal_disk", "ssh_dropped"),
    (BUILD, "create_snapshot", "snapshot_failed"),
    (ROLLOUT, "add_canary_node", "node_error"),
    (ROLLOUT, "prove_images", "ssh_dropped"),
    (MEASURE, "measure_sample", "package_missing 404"),
)


# A real snapshot cannot be opened here: a canary that is made from it has to prove each image.
PROVEN = (
    ("pull_images", "ssh_dropped"),
    ("pull_images", "registry_error 500"),
    ("pull_images", "registry_truncated"),
    ("add_kubelet_package", "package_missing 503"),
)


def real_cases() -> list[Case]:
    """Return them as their paper likes, on real machines."""
    return sorted(_real(), key=lambda case: case.world)


def _real() -> Iterator[Case]:
    known = {(case.dag, case.stage, case.fault): case for case in catalogue.quick_cases()}
    for place in WORTH:
        then = (ROLLOUT,) if place[1:] in PROVEN else ()
        yield replace(known[place], machines="real", then=then)
