# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole lab: builds the services from the environment, opens them, and opens or closes them as the faults say."""
from __future__ import annotations

import ssl
import threading
from pathlib import Path

from . import certificates, control, dns, signin, smtp, tokens, web
from .state import State

PORTS = {"signin": 443, "smtp": 587, "dns": 53, "control": 8025}


class Lab:
    def __init__(self, environment: dict) -> None:
        """M365_DATA, M365_BIND, M365_ADDRESSES, M365_UPSTREAM_DNS and M365_<SERVICE>_PORT; without addresses no DNS."""
        self.folder = Path(environment.get("M365_DATA") or "/var/lib/m365-lab")
        bind = environment.get("M365_BIND") or "::"
        addresses = (environment.get("M365_ADDRESSES") or "").split()
        ports = {name: int(environment.get(f"M365_{name.upper()}_PORT") or default) for name, default in PORTS.items()}
        self.stopping = threading.Event()
        self.state = State()
        self.contexts = certificates.contexts(self.folder)
        self.keys = tokens.keys(self.folder)
        self.state.load(self.folder / "state.json")
        self.signin = web.Service(bind, ports["signin"], signin.handler(self), tls=self.signin_context)
        self.smtp = smtp.Service(bind, ports["smtp"], self)
        self.control = web.Service(bind, ports["control"], control.handler(self))
        self.dns = dns.Service(ports["dns"], addresses, environment.get("M365_UPSTREAM_DNS") or "") if addresses else None
        self.state.apply = self.apply

    def context(self, service: str) -> ssl.SSLContext:
        """The certificate that this service shows to its next client."""
        fault = self.state.strike(f"tls_{service}")
        if fault:
            self.state.event(f"{service} tls", result=fault["act"], fault=fault["name"])
        return self.contexts[fault["act"] if fault else "good"]

    def signin_context(self) -> ssl.SSLContext:
        return self.context("signin")

    def apply(self) -> None:
        """Closes what a fault has put down, opens everything else."""
        for name, service in (("down_signin", self.signin), ("down_smtp", self.smtp)):
            service.close() if self.state.is_on(name) else service.open()
        if self.dns:
            self.dns.open(next((name for name in ("dns_gone", "dns_servfail") if self.state.is_on(name)), None))

    def start(self) -> None:
        self.apply()
        self.control.open()
        self.state.event("started", signin=self.signin.port, smtp=self.smtp.port, control=self.control.port, dns=self.dns.port if self.dns else None)

    def wait(self, seconds: float) -> None:
        self.stopping.wait(seconds)

    def stop(self) -> None:
        self.stopping.set()
        self.state.save(self.folder / "state.json")
        for service in (self.control, self.signin, self.smtp, self.dns):
            if service:
                service.close()
