# SPDX-License-Identifier: GPL-3.0-or-later
"""A running sign-in service and the directories of a relay."""

from __future__ import annotations

import getpass
import ssl
import subprocess
import threading

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _tokens
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import CLIENT, TENANT, Server, Service, handler_for


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself; returns the paths of it and of its key."""
    folder = tmp_path_factory.mktemp("tls")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*argv, "-out", folder / "cert.pem", "-keyout", folder / "key.pem"], check=True, capture_output=True)
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture
def microsoft(certificate, monkeypatch):
    """A running Service; its .host stands in the identity."""
    server = Server(("127.0.0.1", 0), None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    service = Service()
    service.host = f"127.0.0.1:{server.server_port}"
    server.RequestHandlerClass = handler_for(service, service.host)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setattr(_tokens, "CA_FILE", certificate[0])
    yield service
    server.shutdown()
    server.server_close()
    assert service.problems == []
    assert service.script == []


@pytest.fixture
def identity(microsoft, certificate):
    """The identity that the tests sign in."""
    return {
        "mailbox": "scans@corp.test",
        "sign_in_as": "scans@corp.test",
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "grant": "device_code",
        "login_host": microsoft.host,
        "scope": "https://outlook.office.com/SMTP.Send",
        "audiences": ["https://outlook.office.com", "https://outlook.office365.com"],
        "smtp_host": "smtp.office365.com",
        "smtp_port": 587,
        "refresh_window": 300,
        "credential": "",
        "proxy": "",
        "ca_file": certificate[0],
    }


@pytest.fixture
def relay(tmp_path, monkeypatch):
    """The directories of a relay, without a file in them."""
    monkeypatch.setattr(_tokens, "BASE", str(tmp_path / "relay"))
    monkeypatch.setattr(_tokens, "TOKENS", str(tmp_path / "relay/tokens"))
    monkeypatch.setattr(_tokens, "STATE", str(tmp_path / "relay/state"))
    monkeypatch.setattr(_tokens, "OWNER", getpass.getuser())
    _tokens.ensure_directories()
    return tmp_path / "relay"
