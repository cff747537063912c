"""The threaded loopback server that both the command and tests run."""

from __future__ import annotations

import logging

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class QuietHandler(WSGIRequestHandler):
    """No access log; a client that stops talking is dropped after a minute."""

    timeout = 60

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def new_server(app: Flask, host: str, port: int) -> BaseWSGIServer:
    """Return a bound server; port 0 picks a free one (see .server_port)."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return make_server(host, port, app, threaded=True, request_handler=QuietHandler)
