"""``python -m emulator``: a local cloud in one process, until SIGTERM.

Standard output is one line of JSON, printed once calls are accepted. Standard error is a log.
Exit codes: 0 stopped as asked, 1 could not start or a part of it ended, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from emulator import fault_control
from emulator.ack.tasks import TaskFailedError
from emulator.collecting import survivors_kept
from emulator.faults import Fault
from emulator.faults.engine import FaultFailedError
from emulator.lifetime import KINDS, Emulator, Options
from emulator.machines.base import MachineError
from emulator.seed import SEEDS
from emulator.settings import Settings

MAX_PORT = 65535


def port_number(text: str) -> int:
    port = int(text)
    if not 0 <= port <= MAX_PORT:
        raise ValueError(text)
    return port


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    parser.add_argument("--port", type=port_number, default=0, help="0 takes a free one")
    parser.add_argument("--machines", choices=KINDS, default="paper")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", choices=SEEDS, default="demo")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help="arm a fault before the line is printed",
    )
    parser.add_argument(
        "--reap", action="store_true", help="remove what a killed emulator left behind, and end"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if options.reap:
        return reap(options.state)
    try:
        settings = Settings().changed(options.set)
        faults = [fault_control.read(text) for text in options.fault]
    except ValueError as exc:  # FaultError is one
        parser().error(str(exc))
    wanted = Options(options.state, options.machines, options.seed, options.port, settings)
    try:
        with survivors_kept():
            return asyncio.run(serve(wanted, faults))
    except (MachineError, TaskFailedError, FaultFailedError, OSError) as exc:
        print(f"the local cloud did not start: {exc}", file=sys.stderr)
        return 1


def reap(state_dir: Path) -> int:
    from emulator.machines.real.reap import reap  # noqa: PLC0415  # Linux only

    try:
        removed = reap(state_dir)
    except MachineError as exc:
        print(f"not all could be removed: {exc}", file=sys.stderr)
        return 1
    for line in removed:
        print(line)
    return 0


async def serve(options: Options, faults: list[Fault]) -> int:
    """Run until a signal; return the exit code. A signal during the start ends it in order.

    :param faults: armed once the seed is up, which shall not spend them or fail by them.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    emulator = Emulator(options)
    try:
        await emulator.start(asked)
        for fault in faults:
            await asyncio.to_thread(emulator.faults.add, fault)  # may restart servers
        if not asked.is_set():
            print(json.dumps(emulator.facts), flush=True)
        waits = [asyncio.ensure_future(each.wait()) for each in (asked, emulator.ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return 0 if asked.is_set() else 1
    finally:
        await emulator.stop()


if __name__ == "__main__":
    sys.exit(main())
