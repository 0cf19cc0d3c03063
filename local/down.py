"""``make down``: stop what ``make up`` started, or what a killed one left, and leave nothing."""

from __future__ import annotations

import sys

from local.layout import Layout
from local.reap import ReapError
from local.stack import StackError, stop_local


def main() -> int:
    try:
        left = stop_local(Layout.default())
    except (StackError, ReapError) as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    for line in left:
        print(f"cleaned up: {line}")
    print("Nothing of the local cloud is running.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
