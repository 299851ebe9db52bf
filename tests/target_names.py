"""Names that lead where a test wants: a name server of its own, and a look at what was connected to."""

from __future__ import annotations

import ipaddress
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp.resolver import AsyncResolver
from dnslib import AAAA, QTYPE, RCODE, RR, A
from dnslib.dns import DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer

TYPES = {4: QTYPE.A, 6: QTYPE.AAAA}


class Names(BaseResolver):
    """A name server on loopback, over UDP and TCP. Names that it was not told of do not exist."""

    def __init__(self) -> None:
        self.turns: dict[str, list[list[str]]] = {}
        self.asked: Counter[tuple[str, int]] = Counter()
        self.over_tcp: set[str] = set()
        self.silent: set[str] = set()
        self._over = threading.Event()
        self._servers = [self._server(tcp) for tcp in (False, True)]

    def leads(self, name: str, *turns: list[str]) -> str:
        """The addresses of a name: for the first who asks, for the second …; the last ones stay."""
        self.turns[name] = list(turns)
        return name

    def forget(self) -> None:
        """Know no name."""
        self.turns, self.over_tcp, self.silent = {}, set(), set()
        self.asked.clear()

    def resolver(self) -> AsyncResolver:
        """One that asks nobody else."""
        udp, tcp = (one.server.server_address[1] for one in self._servers)
        return AsyncResolver(nameservers=["127.0.0.1"], udp_port=udp, tcp_port=tcp)

    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        reply = request.reply()
        name, kind = str(request.q.qname).rstrip(".").lower(), request.q.qtype
        if name in self.silent:
            self._over.wait(5)
        if name not in self.turns:
            reply.header.rcode = RCODE.NXDOMAIN
            return reply
        if name in self.over_tcp and handler.protocol == "udp":
            reply.header.tc = 1
            return reply
        turns = self.turns[name]
        for address in turns[min(self.asked[name, kind], len(turns) - 1)]:
            if TYPES[ipaddress.ip_address(address).version] == kind:
                reply.add_answer(_answer(name, address))
        self.asked[name, kind] += 1
        return reply

    def close(self) -> None:
        self._over.set()
        for one in self._servers:
            one.stop()
            one.server.server_close()

    def _server(self, tcp: bool) -> DNSServer:
        quiet = DNSLogger(log="-request,-reply,-truncated,-error,-recv,-send,-data", logf=_nothing)
        server = DNSServer(self, address="127.0.0.1", port=0, tcp=tcp, logger=quiet)
        server.start_thread()
        return server


def _answer(name: str, address: str) -> RR:
    packed = tuple(ipaddress.ip_address(address).packed)
    made = A(packed) if len(packed) == 4 else AAAA(packed)
    return RR(name, TYPES[4 if len(packed) == 4 else 6], rdata=made, ttl=0)


def _nothing(_: str) -> None: ...


_tried: list[list[tuple[Any, ...]]] = []


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        for one in _tried:
            one.append(arguments[1])


sys.addaudithook(_heard)


@contextmanager
def connections_tried() -> Iterator[list[tuple[Any, ...]]]:
    """What this process tried to connect to meanwhile, as Python's own audit has it."""
    tried: list[tuple[Any, ...]] = []
    _tried.append(tried)
    try:
        yield tried
    finally:
        _tried.remove(tried)
