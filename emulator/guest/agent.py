"""The node agent's entry: ``PYTHON -I /opt/ack-guest/agent.py`` in a machine, as its kubelet."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

if __name__ == "__main__":
    # Run as a file, in isolated mode: make this folder importable as a package of its own name,
    # last in line, so that it hides nothing.
    sys.path.append(str(FOLDER.parent))
    sys.exit(importlib.import_module(f"{FOLDER.name}.agent_main").main())
