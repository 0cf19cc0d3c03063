"""What the benchmark says: sums, a table, and whether it is good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

HELD = 0.99  # of the rate: the last answer comes a little after the last call


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def latency(values: Sequence[float]) -> dict[str, float]:
    names = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}
    return {
        "calls": len(values),
        **{name: percentile(values, share) * 1000 for name, share in names.items()},
    }


def summary(loaded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of one load process, without each call's own."""
    by_call: dict[str, list[float]] = loaded["latencies_s"]
    every = [seconds for values in by_call.values() for seconds in values]
    return {
        "calls": loaded["calls"],
        "errors": loaded["errors"],
        "first_errors": loaded["first_errors"],
        "seconds": loaded["seconds"],
        "per_second": loaded["per_second"],
        "sent_late_ms": loaded["sent_late_s"] * 1000,
        "client_cpu_s": loaded["cpu_s"],
        **{name: value for name, value in latency(every).items() if name != "calls"},
        "by_call": {name: latency(values) for name, values in sorted(by_call.items())},
    }


def problems(result: Mapping[str, Any]) -> list[str]:
    """Return what was not good enough."""
    found = []
    for part in ("rate", "throughput"):
        errors = result[part]["errors"]
        if errors:
            found.append(f"{part}: {errors} wrong answers, such as {result[part]['first_errors']}")
    rate = result["rate"]
    if rate["per_second"] < HELD * rate["asked"]:
        found.append(f"{rate['per_second']:.1f} calls a second are fewer than {rate['asked']:g}")
    return found


def table(result: Mapping[str, Any]) -> Table:
    shown = Table(title=f"Local cloud with {result['nodes']} nodes in {result['pools']} pools")
    for heading in ("", "calls", "errors", "calls/s", "p50 ms", "p95 ms", "p99 ms", "CPU", "RSS"):
        shown.add_column(heading, justify="right" if heading else "left")
    build, idle = result["build"], result["idle"]
    shown.add_row(
        f"all nodes Ready after {build['ready_s']:.1f} s", *[""] * 6, *used(build), end_section=True
    )
    shown.add_row("no calls", *[""] * 6, *used(idle), end_section=True)
    for part, name in (("rate", "at a fixed rate"), ("throughput", "as fast as it can")):
        figures = result[part]
        shown.add_row(
            name,
            str(figures["calls"]),
            str(figures["errors"]),
            f"{figures['per_second']:.0f}",
            *milliseconds(figures),
            *used(figures),
        )
    shown.add_section()
    for name, figures in result["rate"]["by_call"].items():
        shown.add_row(f"  {name}", str(figures["calls"]), "", "", *milliseconds(figures), "", "")
    return shown


def used(figures: Mapping[str, float]) -> tuple[str, str]:
    return f"{figures['cpu_share']:.0%}", f"{figures['max_rss_mib']:.0f} MiB"


def milliseconds(figures: Mapping[str, float]) -> list[str]:
    return [f"{figures[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")]
