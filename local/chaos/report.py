"""What all cases came to: ``report.json``, and the table of ``docs/reliability.md``."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.chaos.cases import ORDER, Case, Result
from local.chaos.untried import untried_calls, untried_stages
from local.layout import ROOT

PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- table of the last run: begin -->", "<!-- table of the last run: end -->"
WITHIN_S = 25 * 60
COMBINATIONS, ON_REAL_MACHINES = 120, 15  # of stage and fault, at least
BAD = ("leaked", "doubled", "false_green", "foreign_touched", "problems")
HEAD = "| stage | fault | outcome | tries | left to the sweep | s |\n|---|---|---|---|---|---|\n"


def missing(planned: Sequence[Case], results: Sequence[Result], runner: str) -> list[Result]:
    """Return a bad result for each case that was planned and never came."""
    came = {result.case for result in results}
    found = [Result.of(case, runner) for case in planned if case.name not in came]
    for result in found:
        result.problems.append("planned, and never ran")
    return found


def too_little(results: Sequence[Result], seconds: float) -> list[str]:
    """Return what a whole run lacks of what it is to be."""
    combinations = len({(each.dag, each.stage, each.fault) for each in results if each.outcome})
    real = sum(bool(each.outcome) and each.machines == "real" for each in results)
    found = []
    if seconds > WITHIN_S:
        found.append(f"the run took {seconds:.0f} s, more than {WITHIN_S}")
    if combinations < COMBINATIONS:
        found.append(f"{combinations} combinations ran, fewer than {COMBINATIONS}")
    if real < ON_REAL_MACHINES:
        found.append(f"{real} cases ran on real machines, fewer than {ON_REAL_MACHINES}")
    return found


def report(
    results: Sequence[Result],
    *,
    options: Mapping[str, Any],
    seconds: float,
    waits: Mapping[str, Any] | None,
    planned: Sequence[Case],
    trouble: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the report as written.

    :param options: that the run had, its seed among them.
    :param trouble: what the harness itself failed at.
    """
    machines = Counter(result.machines for result in results)
    outcomes = Counter(result.outcome or "none" for result in results)
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": options["seed"],
        "options": dict(options),
        "trouble": list(trouble),
        "planned": len(planned),
        "not_tried": {"stages": untried_stages(planned), "calls": untried_calls(planned)},
        "seconds": round(seconds, 1),
        "host": {"system": platform.platform(), "cores": os.cpu_count()},
        "totals": {
            "cases": len(results),
            **{f"on {kind} machines": count for kind, count in sorted(machines.items())},
            **dict(sorted(outcomes.items())),
            "failures of the harness": len(trouble),
            "left_before_sweep": sum(bool(result.left_before_sweep) for result in results),
            **{name: sum(bool(getattr(each, name)) for each in results) for name in BAD},
        },
        "waits": dict(waits) if waits is not None else None,
        "cases": [asdict(result) for result in ordered(results)],
    }


def ordered(results: Sequence[Result]) -> list[Result]:
    """Return them as the table has them: by DAG, as they came within it."""
    places = {dag: place for place, dag in enumerate(ORDER)}
    kinds = ("paper", "real")
    return sorted(results, key=lambda r: (places.get(r.dag, 99), r.stage, kinds.index(r.machines)))


def failures(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if not result.is_good]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def write_page(content: Mapping[str, Any], page: Path = PAGE) -> None:
    """Put the table of a run between the page's markers."""
    text = page.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{table(content)}\n{END}{after}")


def table(content: Mapping[str, Any]) -> str:
    """Return totals and every case as Markdown."""
    cases: list[dict[str, Any]] = content["cases"]
    totals = ", ".join(f"{name}: {count}" for name, count in content["totals"].items())
    lines = [
        f"Run of {content['when']}, seed {content['seed']}, {content['seconds']:.0f} s on "
        f"{content['host']['cores']} cores. {totals}.",
        "",
        f"No fault strikes at these stages: {_names(content['not_tried']['stages'])}.\n",
        f"No fault spoils an answer to these calls: {_names(content['not_tried']['calls'])}.\n",
        *(f"The harness failed: {each}\n" for each in content["trouble"]),
        f"{waits_text(content['waits'])}\n",
    ]
    for dag in ORDER:
        mine = [case for case in cases if case["dag"] == dag]
        if mine:
            lines += [f"### {dag}", "", HEAD + "\n".join(map(_row, mine)), ""]
    return "\n".join(lines)


def waits_text(waits: Mapping[str, Any] | None) -> str:
    """Return what became of many waits when their triggerer was killed."""
    if waits is None:
        return "No triggerer with many waits was killed."
    watching = waits["waits"] - waits["with_calls"]
    return (
        f"Triggerer killed with {waits['waits']} waits, {watching} of which only watch: "
        f"{waits['lost']} lost, {waits['duplicate_calls']} calls made twice; from the start of the "
        f"next one {waits['first_poll_after_s']} s to its first look and "
        f"{waits['last_poll_after_s']} s until all were looked at, where "
        f"{waits['allowed_intervals']:.0f} intervals of {waits['poll_interval_s']:.0f} s, and "
        "twice that, are allowed."
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _row(case: Mapping[str, Any]) -> str:
    fault = case["fault"] + (" (real machines)" if case["machines"] == "real" else "")
    bad = [name for name in BAD if case[name]]
    outcome = case["outcome"] + (f", BAD: {', '.join(bad)}" if bad else "")
    if case["outcome"] == "red" and not bad:
        outcome += f": {_error(case['error'])}"
    left = ", ".join(sorted({each.split()[0] for each in case["left_before_sweep"]}))
    cells = (f"`{case['stage']}`", fault, outcome, case["tries"], left, f"{case['seconds']:.0f}")
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _error(text: str) -> str:
    """Return the class of an error and the task that raised it: messages have ids in them."""
    parts = text.split(": ", 2)
    return f"{parts[1]} of `{parts[0]}`" if len(parts) > 1 else text
