"""``python -m emulator.metering DIR``: the account of a local cloud that has ended, or was killed.

Standard output is the JSON of ``GET /_control/meter``. Exit codes: 0 shown, 1 there is none.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from emulator.metering.account import account
from emulator.metering.journal import FILE, JournalError, replay


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m emulator.metering", description=__doc__)
    parser.add_argument("state", type=Path, metavar="DIR", help="as given to --state")
    parser.add_argument("--by", action="append", default=[], metavar="KEY", help="of a tag")
    options = parser.parse_args(arguments)
    try:
        lines, now = replay(options.state / FILE)
    except (JournalError, OSError) as exc:
        parser.exit(1, f"no account: {exc}\n")
    sys.stdout.write(json.dumps(account(lines, now, options.by), indent=2) + "\n")


if __name__ == "__main__":
    main()
