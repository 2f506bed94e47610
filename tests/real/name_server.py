"""A small DNS server that can stop answering, or answer that it cannot."""

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


class Manner(Enum):
    """How it answers."""

    WELL = auto()
    FAILING = auto()
    SILENT = auto()


class NameServer:
    """Knows every name by one address."""

    def __init__(self, server: socket.socket, address: str) -> None:
        self._server = server
        self._address = socket.inet_aton(address)
        self._manners: dict[bytes, Manner] = {}

    @contextmanager
    def being(self, manner: Manner, name: str) -> Iterator[None]:
        """Answer in another manner meanwhile when asked for ``name``."""
        labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
        self._manners[labels] = manner
        try:
            yield
        finally:
            del self._manners[labels]

    def run(self) -> None:
        """Answer until the socket is shut."""
        while True:
            query, client = self._server.recvfrom(_DATAGRAM)
            if not query:
                return
            end = query.index(b"\0", _QUESTION_AT)
            manner = self._manners.get(query[_QUESTION_AT:end], Manner.WELL)
            if manner is not Manner.SILENT:
                self._server.sendto(self._answer(query, end + 5, manner), client)

    def _answer(self, query: bytes, end: int, manner: Manner) -> bytes:
        number, kind = query[:2], query[end - 4 : end - 2]
        well = manner is Manner.WELL
        found = well and kind == _TYPE_A
        answer = number + _HEADER.pack(_ANSWER if well else _SERVER_FAILURE, 1, int(found), 0, 0)
        answer += query[_QUESTION_AT:end]
        if found:
            # The name is that of the question.
            answer += struct.pack("!HHHIH", 0xC00C, 1, 1, _TTL_SECONDS, 4) + self._address
        return answer


@contextmanager
def name_server(bound_to: str, address: str) -> Iterator[NameServer]:
    """Answer DNS at ``bound_to``, port 53, with one ``address`` for every name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((bound_to, 53))
        running = NameServer(server, address)
        thread = Thread(target=running.run, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            # An empty datagram is the end.
            server.sendto(b"", (bound_to, 53))
            thread.join(5)
