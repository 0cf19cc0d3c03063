"""The end of a demo as a terminal shows it: gained, proven, left, simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from local.cost import build_instance
from local.progress import mib
from local.report import middle

_NONE = "-"
RESOLUTION_S = 1.0  # both ends of both figures are whole seconds


def results(report: Mapping[str, Any]) -> RenderableType:
    """Return the comparison and everything that a reader must know beside it."""
    return Group(_comparison(report), Text(), *_facts(report), Text(), *_simulated(report))


def _comparison(report: Mapping[str, Any]) -> Table:
    base, preloaded = report["arms"]["baseline"], report["arms"]["preloaded"]
    # On paper machines no figure is measured: said on the table, not below it.
    kind = "SIMULATED (paper machines)" if report["machines"] == "paper" else "measured"
    table = Table(title=f"Target {report['target']}: {kind}, medians", title_justify="left")
    table.add_column("")
    table.add_column(f"baseline (n={base['n']})", justify="right")
    table.add_column(f"preloaded (n={preloaded['n']})", justify="right")
    table.add_column("gain", justify="right", style="bold green")
    for title, key in (
        ("node created -> Ready", "ready_latency_s"),
        ("workload Pod created -> started", "workload_start_s"),
    ):
        slow, fast = middle(base[key]), middle(preloaded[key])
        table.add_row(title, _seconds(slow), _seconds(fast), _ratio(slow, fast))
    table.add_row(
        "pulled by the new node",
        _bytes(base["pulled_bytes"]),
        _bytes(preloaded["pulled_bytes"]),
        "",
    )
    table.add_row("nodes never Ready", str(base["never_ready"]), str(preloaded["never_ready"]), "")
    return table


def _facts(report: Mapping[str, Any]) -> list[Text]:
    images = len(report["images"])
    size = mib(sum(image["bytes"] for image in report["images"]))
    proven = report["images_verified"]
    left = report["leftovers"]
    return [
        _line(
            proven == images and images > 0,
            f"{proven} of {images} images ({size}) proven by digest on the new node",
        ),
        _line(left == 0, f"{left} paid resources left behind; kept by design:"),
        Text(f"  snapshot {report['snapshot_id']}, node pool {report['node_pool_id']}"),
        _cost(report["cost"]),
    ]


def _cost(cost: Mapping[str, Any]) -> Text:
    seconds, at_once = build_instance(cost)
    total = cost["total"]
    return _line(
        at_once <= 1,
        f"build instance ran {seconds:.0f} s, {at_once} at once; the chain used "
        f"{total['instance_seconds']:.0f} instance-seconds, "
        f"{total['disk_gib_seconds']:.0f} disk GiB-seconds, "
        f"{total['snapshot_gib_seconds']:.3g} snapshot GiB-seconds",
    )


def _line(good: bool, text: str) -> Text:
    sign = Text("✓ ", style="green") if good else Text("✗ ", style="bold red")
    return sign.append(text, style="none")


def _simulated(report: Mapping[str, Any]) -> list[Text]:
    lines = [
        Text("Simulated, the same in both arms unless it says so (setting = value):", style="dim")
    ]
    for each in report["simulated"]:
        text = f"  {each['setting']} = {each['value']}: {each['what']}"
        lines.append(Text(text, style="dim"))
    return lines


def _seconds(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f} s"


def _bytes(values: Sequence[int | None]) -> str:
    known = [value for value in values if value is not None]
    return mib(middle(known) or 0.0) if known else _NONE


def _ratio(slow: float | None, fast: float | None) -> str:
    """Return how many times faster; a lower bound where whole seconds say no more."""
    if slow is None or fast is None or slow == fast:
        return _NONE
    if slow < fast:  # lazy disks can do that, and no gain must not look like no figure
        return f"{slow / fast:.1f}x (slower)"
    if fast < RESOLUTION_S:
        return f"> {slow / (fast + RESOLUTION_S):.0f}x"
    return f"{slow / fast:.1f}x"


def show_results(console: Console, report: Mapping[str, Any]) -> None:
    console.print()
    console.print(results(report))
