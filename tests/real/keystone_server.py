"""Serves OpenStack Keystone on a loopback port; runs in Keystone's own virtual environment.

Takes the configuration file as its argument and prints the port. Each line on standard input sets
the seconds that new tokens live, as an operator would with ``[token] expiration``; the end of
standard input ends the server.
"""

import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import keystone.conf  # type: ignore[import-not-found]
from keystone.server.flask.core import (  # type: ignore[import-not-found]
    initialize_application,
)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _listen_to_operator(server: object) -> None:
    for line in sys.stdin:
        keystone.conf.CONF.set_override("expiration", int(line), group="token")
        print("done", flush=True)  # noqa: T201 - the answer
    server.shutdown()  # type: ignore[attr-defined]


# Keystone reads the command line as well, and knows no such argument.
application = initialize_application("public", config_files=[sys.argv.pop()])
with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:
    threading.Thread(target=_listen_to_operator, args=(server,), daemon=True).start()
    print(server.server_port, flush=True)  # noqa: T201 - how the port is told
    server.serve_forever(poll_interval=0.05)
