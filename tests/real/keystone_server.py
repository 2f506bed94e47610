"""Serve OpenStack Keystone on a loopback port; runs in Keystone's own virtual environment.

The argument is the configuration file. The server prints its port. Each line on standard input
sets the lifetime of new tokens in seconds, like ``[token] expiration``; EOF stops the server.
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


def _read_commands(server: object) -> None:
    for line in sys.stdin:
        keystone.conf.CONF.set_override("expiration", int(line), group="token")
        print("done", flush=True)  # noqa: T201 - the reply
    server.shutdown()  # type: ignore[attr-defined]


# Keystone also parses the command line and would reject the argument.
application = initialize_application("public", config_files=[sys.argv.pop()])
with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:
    threading.Thread(target=_read_commands, args=(server,), daemon=True).start()
    print(server.server_port, flush=True)  # noqa: T201 - read by the parent process
    server.serve_forever(poll_interval=0.05)
