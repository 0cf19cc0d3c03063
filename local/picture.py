"""Draw ``docs/images/demo.svg``, the picture in the README, from the report of a real run."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

from rich.console import Console

from local.layout import ROOT, Layout
from local.results import show_results

PICTURE = ROOT / "docs/images/demo.svg"
WIDTH = 92  # characters; wider ones are unreadable in a README


def draw(report: Path, picture: Path) -> None:
    """Write the results of ``report`` as an SVG of a terminal.

    :raises ValueError: for a report of paper machines: the README shows measured figures only.
    """
    content = json.loads(report.read_text())
    if content["machines"] != "real":
        raise ValueError(f"{report} is of {content['machines']} machines; run make demo as root")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print("[bold]$ make demo[/]")
    show_results(console, content)
    picture.parent.mkdir(parents=True, exist_ok=True)
    # A fixed id: the same report draws the same picture.
    picture.write_text(console.export_svg(title="make demo", unique_id="demo"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.picture", description=__doc__)
    parser.add_argument("--report", type=Path, default=Layout.default().report)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    options = parser.parse_args()
    draw(options.report, options.picture)
    print(options.picture)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
