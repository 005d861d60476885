# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's names in the test network: dnsmasq answers them with the lab's addresses and forwards everything else."""
from __future__ import annotations

import socket
import subprocess
import threading

from .directory import HOSTS

SERVFAIL_PORT = 5399  # on loopback: answers every query with SERVFAIL


def arguments(port: int, addresses: list[str], upstream: str, fault: str | None = None) -> list[str]:
    """dnsmasq's command line. A name that is `local` and has no record does not exist."""
    made = ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", f"--port={port}",
            "--user=root", "--cache-size=1000", "--local-ttl=0"]
    if upstream:
        made.append(f"--server={upstream}")
    for host in HOSTS:
        made.append(f"--server=/{host}/127.0.0.1#{SERVFAIL_PORT}" if fault == "dns_servfail" else f"--local=/{host}/")
        if fault is None:
            made.append(f"--host-record={','.join([host, *addresses])}")
    return made


def servfail(query: bytes) -> bytes:
    """The same question back, as an answer with code 2."""
    flags = bytes([query[2] & 0x79 | 0x80, 0x82])
    return query[:2] + flags + query[4:6] + bytes(6) + query[12:]


def answer_servfail(port: int = SERVFAIL_PORT) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", port))

    def serve() -> None:
        while True:
            query, client = listener.recvfrom(4096)
            if len(query) >= 12:
                listener.sendto(servfail(query), client)

    threading.Thread(target=serve, daemon=True).start()
    return listener


class Service:
    """Runs dnsmasq; a fault starts it again with other arguments."""

    def __init__(self, port: int, addresses: list[str], upstream: str) -> None:
        self.port, self.addresses, self.upstream = port, addresses, upstream
        self.process = None
        self.running: list[str] = []
        answer_servfail()

    def open(self, fault: str | None = None) -> None:
        wanted = arguments(self.port, self.addresses, self.upstream, fault)
        if wanted == self.running and self.process.poll() is None:
            return
        self.close()
        self.process, self.running = subprocess.Popen(wanted), wanted

    def close(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process, self.running = None, []
