"""Command line: `python -m sandbox --port 8090 --data-dir DIR` serves until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from sandbox.app import create_app
from sandbox.runtime import Sandbox
from sandbox.server import new_server
from sandbox.settings import Settings


class Stop(BaseException):
    """Raised by a stop signal inside the serving loop."""


def main(arguments: list[str] | None = None) -> None:
    """Serve until a stop signal, then end the process with status 0."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s sandbox %(levelname)s %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        _serve(options)
    except Stop:
        # Requests and callbacks in flight may wait for seconds; SQLite and leased tasks bear a sudden end.
        sys.stdout.flush()
        os._exit(0)


def _serve(options: argparse.Namespace) -> None:
    settings = Settings(
        data_dir=options.data_dir,
        notify_scale=options.notify_scale,
        refund_delay_seconds=options.refund_delay_seconds,
    )
    sandbox = Sandbox(settings)
    server = new_server(create_app(sandbox), options.host, options.port)
    sandbox.start()
    sys.stdout.write(f"sandbox: http://{options.host}:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0 picks a free port")
    parser.add_argument("--data-dir", type=Path, required=True, help="keys, credentials and state")
    parser.add_argument("--notify-scale", type=float, default=0.1, help="factor on WeChat's retry schedule")
    parser.add_argument(
        "--refund-delay-seconds", type=float, default=1.0, help="negative: only the control path settles"
    )
    return parser


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stop


if __name__ == "__main__":
    main()
