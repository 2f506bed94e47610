"""A small DNS server that can fail or stay silent for single names."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from threading import Thread

_HEADER = struct.Struct("!HHHHH")
_ANSWER, _SERVER_FAILURE, _TYPE_A = 0x8580, 0x8182, b"\0\1"
_TTL_SECONDS = 1
_QUESTION_AT = 12
_DATAGRAM = 512


class DnsBehaviour(Enum):
    """How the server answers a query."""

    NORMAL = auto()
    FAILING = auto()
    SILENT = auto()


class NameServer:
    """Resolve every name to one address."""

    def __init__(self, server: socket.socket, address: str) -> None:
        self._server = server
        self._address = socket.inet_aton(address)
        self._behaviours: dict[bytes, DnsBehaviour] = {}

    @contextmanager
    def behaving(self, behaviour: DnsBehaviour, name: str) -> Iterator[None]:
        """Change the behaviour for ``name`` until the block ends."""
        labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
        self._behaviours[labels] = behaviour
        try:
            yield
        finally:
            del self._behaviours[labels]

    def run(self) -> None:
        """Answer queries until an empty datagram arrives."""
        while True:
            query, client = self._server.recvfrom(_DATAGRAM)
            if not query:
                return
            end = query.index(b"\0", _QUESTION_AT)
            behaviour = self._behaviours.get(query[_QUESTION_AT:end], DnsBehaviour.NORMAL)
            if behaviour is not DnsBehaviour.SILENT:
                self._server.sendto(self._answer(query, end + 5, behaviour), client)

    def _answer(self, query: bytes, end: int, behaviour: DnsBehaviour) -> bytes:
        number, kind = query[:2], query[end - 4 : end - 2]
        normal = behaviour is DnsBehaviour.NORMAL
        found = normal and kind == _TYPE_A
        answer = number + _HEADER.pack(_ANSWER if normal else _SERVER_FAILURE, 1, int(found), 0, 0)
        answer += query[_QUESTION_AT:end]
        if found:
            # A pointer to the name in the question.
            answer += struct.pack("!HHHIH", 0xC00C, 1, 1, _TTL_SECONDS, 4) + self._address
        return answer


@contextmanager
def name_server(bound_to: str, address: str) -> Iterator[NameServer]:
    """Run a DNS server at ``bound_to``, port 53, that resolves every name to ``address``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((bound_to, 53))
        running = NameServer(server, address)
        thread = Thread(target=running.run, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            # An empty datagram stops the server.
            server.sendto(b"", (bound_to, 53))
            thread.join(5)
