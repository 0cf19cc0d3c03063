"""Every setting of the local cloud, with its unit, default and the reason for it.

``--set NAME=VALUE`` on the command line changes one. What stands for something that only a
cloud has is listed by :meth:`Settings.simulated`, so that no figure hides it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Settings:
    # Cloud-side delays, equal in both arms of a measurement. Small by default, so that what a
    # demo shows is measured work; a test sets them to nothing. No source for any of their values:
    # Alibaba Cloud's pages state none.
    instance_boot_s: float = 1.0  # create call -> machine starts to boot
    instance_stop_s: float = 0.5  # stop call -> machine begins to stop
    agent_boot_s: float = 1.0  # Running -> the agent of Cloud Assistant takes commands
    snapshot_upload_s: float = 2.0  # after the disk was cloned; a real first snapshot takes minutes
    kubelet_registration_s: float = 1.0  # kubelet start -> Node object, on every node
    task_step_s: float = 0.2  # ACK accepts a change -> it acts on it
    node_join_within_s: float = 600.0  # then a node that is not Ready counts as failed

    # A disk from a snapshot reads each block for the first time at this rate, megabytes (10^6) a
    # second; 0 is off. Clouds load such disks on demand: docs/lazy-disks.md.
    lazy_disk_mb_per_s: float = 0.0
    # How the APIs behave at their worst; no source for the durations, so nothing by default.
    read_delay_s: float = 0.0  # create or delete call -> Describe calls show it
    token_processing_s: float = 0.0  # call -> its ClientToken is no longer IdempotentProcessing

    link_mb_per_s: float = 100.0  # download rate of each machine, megabytes (10^6) a second
    content_scale: float = 1.0  # size of images and packages; tests use less
    max_node_pools: int = 20  # quota per cluster: ACK's default
    max_nodes: int = 100  # quota per cluster: ACK's default

    # Paper machines only: how long the parts of a join take, since nothing is really done.
    paper_kubelet_package_s: float = 1.0
    paper_image_s: float = 0.5  # each image that is not on the disk

    def simulated(self) -> dict[str, float]:
        """Return the settings that stand for something that only a cloud has.

        In seconds, as their names say. Lazy disks are among them only when they are on.
        """
        names = (
            "instance_boot_s",
            "instance_stop_s",
            "agent_boot_s",
            "snapshot_upload_s",
            "kubelet_registration_s",
            "task_step_s",
        )
        values = asdict(self)
        lazy = ("lazy_disk_mb_per_s",) if self.lazy_disk_mb_per_s else ()
        return {name: values[name] for name in (*names, *lazy)}

    def paper(self) -> dict[str, float]:
        """Return the further settings that stand for real work on paper machines, in seconds."""
        values = asdict(self)
        return {name: values[name] for name in values if name.startswith("paper_")}

    def changed(self, assignments: list[str]) -> Settings:
        """Return a copy with ``NAME=VALUE`` assignments applied.

        :raises ValueError: naming the assignment, for an unknown name or a value of another type.
        """
        types = {field.name: type(getattr(self, field.name)) for field in fields(self)}
        values: dict[str, float | int] = {}
        for assignment in assignments:
            name, _, text = assignment.partition("=")
            if name not in types:
                known = ", ".join(sorted(types))
                raise ValueError(f"--set {assignment}: no setting {name!r}; known: {known}")
            try:
                values[name] = types[name](text)
            except ValueError:
                kind = types[name].__name__
                raise ValueError(f"--set {assignment}: {name} takes a {kind}") from None
            if values[name] < 0:
                raise ValueError(f"--set {assignment}: {name} cannot be negative")
        return replace(self, **values)  # type: ignore[arg-type]  # names and types checked above
