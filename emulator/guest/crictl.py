"""The entry of the stand-in for crictl: ``PYTHON -I /opt/ack-guest/crictl.py images``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

if __name__ == "__main__":
    # As in agent.py: this folder becomes a package of its own name.
    sys.path.append(str(FOLDER.parent))
    sys.exit(importlib.import_module(f"{FOLDER.name}.crictl_main").main())
