"""Web server settings of development and production; the environment decides address and size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

wsgi_app = "app:create_app()"
bind = os.environ.get("BIND") or f"127.0.0.1:{os.environ.get('PORT') or 8080}"
# Two sync workers serve bookings fastest on two cores; a proxy in front takes slow clients.
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
worker_class = "sync"
timeout = 30
graceful_timeout = 10
# The heartbeat file of a worker must never wait for a disk.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
# Imported once and shared by the workers: half the memory, and one import at the start.
preload_app = True
control_socket_disable = True
errorlog = "-"
loglevel = os.environ.get("LOG_LEVEL") or "info"
accesslog = "-" if os.environ.get("ACCESS_LOG") else None
# The path without its query, because queries may carry phone numbers and codes.
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(D)sus'


def pre_fork(server: Arbiter, worker: Any) -> None:
    """Close the database connections of the import, so that no worker inherits one.

    A SQLite connection must not be carried over a fork, and two workers must not share a socket.
    """
    from flask import Flask

    application = server.app.wsgi()
    if isinstance(application, Flask):
        with application.app_context():
            for engine in application.extensions["sqlalchemy"].engines.values():
                engine.dispose()
