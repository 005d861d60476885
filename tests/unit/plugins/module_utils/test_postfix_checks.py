# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of Postfix's own tools before and after a change, from what they answer."""

from __future__ import annotations

import json
import socketserver
import ssl
import subprocess
import threading

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _certificate, _postfix_checks, _postfix_proof, _postfix_unit
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError

DIRECTORY = "/etc/postfix.staged"
UNUSED = b"postconf: warning: /etc/postfix.staged/main.cf: unused parameter: smtpd_foo=x\n"
PARAMETERS = {
    "data_directory": "/var/lib/postfix", "smtpd_tls_chain_files": "", "smtpd_tls_cert_file": "none", "smtpd_tls_key_file": "",
    "inet_interfaces": "all", "inet_protocols": "all", "syslog_name": "postfix", "queue_directory": "/nonexistent",
}


def scripted(monkeypatch, module, table):
    """Let a module's programs answer from a table: start of the command line -> (exit code, stdout, stderr). Everything else is fine and silent."""
    def run(argv, check=True, timeout=60):
        line = " ".join(argv)
        code, out, err = next((answer for start, answer in table.items() if line.startswith(start)), (0, b"", b""))
        if check and code:
            raise CommandError(f"{argv[0]} ended with exit code {code}")
        return subprocess.CompletedProcess(argv, code, out, err)

    monkeypatch.setattr(module, "run", run)


@pytest.mark.parametrize("table, says", [
    ({}, None),
    ({f"postconf -c {DIRECTORY} -n": (0, b"", UNUSED)}, "unused parameter: smtpd_foo"),
    ({f"postconf -c {DIRECTORY} -n": (0, b"", b"postconf: warning: x: support for parameter y will be removed\n")}, None),
    ({f"postconf -c {DIRECTORY} -n": (0, b"", b"postconf: warning: /etc/main.cf, line 9: overriding earlier entry: a=b\n")}, "overriding earlier entry"),
    ({f"postconf -c {DIRECTORY} -M": (1, b"", b"postconf: fatal: /etc/postfix.staged/master.cf: line 3: bad transport type: inett\n")}, "bad transport type"),
    ({f"postconf -c {DIRECTORY} -P": (0, b"", UNUSED)}, "unused parameter"),
    ({f"postfix -c {DIRECTORY} check": (1, b"", b"postfix: fatal: bad numerical configuration: message_size_limit = x\n")}, "bad numerical"),
    ({f"postfix -c {DIRECTORY} check": (0, b"", b"postfix/postfix-script: warning: symlink leaves directory: /etc/postfix/./makedefs.out\n")}, None),
    ({f"postfix -c {DIRECTORY} check": (1, b"", b"")}, "said nothing"),
])
def test_postfix_judges_the_staged_copy(monkeypatch, table, says):
    scripted(monkeypatch, _postfix_checks, table)
    found = _postfix_checks.syntax_problems(DIRECTORY)
    assert (found == []) if says is None else (says in found[0])


@pytest.mark.parametrize("command, fine", [
    ("smtpd", True), ("smtpd -v", True), ("no-such-daemon", False), ("data", False), ("/nonexistent/daemon", False),
])
def test_program_of_a_service_is_there(tmp_path, command, fine):
    (tmp_path / "smtpd").touch(mode=0o755)
    (tmp_path / "data").touch(mode=0o644)
    service = {"name": "extra", "type": "unix", "command": command, "options": {}}
    found = _postfix_checks.program_problems({"daemon_directory": str(tmp_path)}, [service])
    assert (found == []) if fine else (len(found) == 1 and "extra/unix" in found[0] and command in found[0])


MISSING = (1, b"", b"postmap: fatal: open database /etc/m365-relay/sasl_passwd.db: No such file or directory\n")
DAMAGED = (1, b"", b"postmap: fatal: open database /etc/m365-relay/sasl_passwd.db: Invalid argument\n")


@pytest.mark.parametrize("answer, fine, says", [
    ((1, b"", b""), False, None), ((0, b"x\n", b""), False, None), (MISSING, False, "No such file"), (MISSING, True, None), (DAMAGED, True, "Invalid argument"),
])
def test_tables_are_opened(monkeypatch, answer, fine, says):
    scripted(monkeypatch, _postfix_checks, {"postmap -q postmaster hash:/etc/m365-relay/sasl_passwd": answer})
    parameters = PARAMETERS | {"smtp_sasl_password_maps": "hash:/etc/m365-relay/sasl_passwd"}
    found = _postfix_checks.table_problems(parameters, [], fine)
    assert (found == []) if says is None else (says in found[0])


def test_tables_of_services_count_and_caches_do_not(monkeypatch):
    asked = []
    monkeypatch.setattr(_postfix_checks, "run", lambda argv, check: (asked.append(argv[-1]), subprocess.CompletedProcess(argv, 1, b"", b""))[1])
    parameters = PARAMETERS | {"address_verify_map": "btree:/var/lib/postfix/verify_cache", "header_checks": "proxy:pcre:/etc/a, regexp:/etc/b",
                               "sender_canonical_maps": "static:x@corp.test", "x": "${a?{cidr:/etc/c}}"}
    _postfix_checks.table_problems(parameters, [{"options": {"y": "texthash:/etc/d"}}], False)
    assert asked == ["cidr:/etc/c", "pcre:/etc/a", "regexp:/etc/b", "texthash:/etc/d"]


@pytest.mark.parametrize("changes, files", [
    ({}, None),
    ({"smtpd_tls_cert_file": "/c", "smtpd_tls_key_file": "/k"}, ("/c", "/k")),
    ({"smtpd_tls_cert_file": "/c", "smtpd_tls_chain_files": "/key, /chain"}, ("/chain", "/key")),
    ({"smtpd_tls_chain_files": "/both"}, ("/both", "/both")),
])
def test_the_certificate_of_the_configuration_is_found(changes, files):
    assert _postfix_checks.certificate_files(PARAMETERS | changes) == files


@pytest.mark.parametrize("fine, says", {False: "does not exist", True: None}.items())
def test_a_missing_certificate_is_a_problem_but_not_in_check_mode(fine, says):
    found = _postfix_checks.certificate_problems(PARAMETERS | {"smtpd_tls_cert_file": "/nonexistent/c", "smtpd_tls_key_file": "/nonexistent/k"}, fine)
    assert (found == []) if says is None else (says in found[0])


# --- the unit and the journal ---

@pytest.mark.parametrize("kind, units", {b"oneshot\n": ["postfix@-.service", "postfix.service"], b"forking\n": ["postfix.service"]}.items())
def test_the_real_unit_is_found(monkeypatch, kind, units):
    scripted(monkeypatch, _postfix_unit, {"systemctl show": (0, kind, b"")})
    assert _postfix_unit.units() == units


def entry(program, message):
    return {"SYSLOG_IDENTIFIER": program, "MESSAGE": message}


@pytest.mark.parametrize("logged, complaint", [
    (entry("postfix/smtpd", "fatal: no SASL authentication mechanisms"), "postfix/smtpd: fatal: no SASL authentication mechanisms"),
    (entry("postfix/submission/smtpd", "panic: x"), "postfix/submission/smtpd: panic: x"),
    (entry("postfix/master", "fatal: bind 0.0.0.0 port 25: Address already in use"), "postfix/master: fatal: bind 0.0.0.0 port 25: Address already in use"),
    (entry("postfix/smtpd", "warning: hostname x does not resolve"), None),
    (entry("postfix/sendmail", "fatal: Recipient addresses must be specified on the command line"), None),
    (entry("postfix/postmap", "fatal: open database /x.db: No such file or directory"), None),
    (entry("dovecot", "fatal: x"), None),
    (entry(None, "fatal: x"), None),
    (entry("postfix/smtpd", [102, 97]), None),
])
def test_the_journal_tells_what_was_fatal(monkeypatch, logged, complaint):
    scripted(monkeypatch, _postfix_unit, {"journalctl": (0, json.dumps(logged).encode() + b"\n", b"")})
    assert _postfix_unit.complaints(1700000000) == ([complaint] if complaint else [])


def test_a_host_without_a_journal_has_no_complaints(monkeypatch):
    scripted(monkeypatch, _postfix_unit, {"journalctl": (1, b"", b"")})
    assert _postfix_unit.complaints(1700000000) == []


# --- the proof ---

@pytest.mark.parametrize("changes, has_ipv6, addresses", [
    ({}, True, ["127.0.0.1", "::1"]),
    ({}, False, ["127.0.0.1"]),
    ({"inet_protocols": "ipv4"}, True, ["127.0.0.1"]),
    ({"inet_protocols": "ipv6"}, True, ["::1"]),
    ({"inet_interfaces": "loopback-only"}, True, ["127.0.0.1", "::1"]),
    ({"inet_interfaces": "192.0.2.5, [2001:db8::5]"}, True, ["192.0.2.5", "2001:db8::5"]),
    ({"inet_interfaces": "relay.corp.test 192.0.2.5"}, True, ["192.0.2.5"]),
])
def test_the_addresses_to_ask_follow_the_configuration(monkeypatch, changes, has_ipv6, addresses):
    monkeypatch.setattr(_postfix_proof, "has_ipv6", lambda: has_ipv6)
    assert _postfix_proof.addresses(PARAMETERS | changes) == addresses


class Smtp(socketserver.StreamRequestHandler):
    """A server that says what the test wants, with TLS where a context is set."""

    def handle(self):
        talk = self.server.talk
        if talk.get("wrapped"):
            self.wrap()
        self.say(talk.get("greeting", "220 relay ESMTP"))
        encrypted = talk.get("wrapped", False)
        while line := self.rfile.readline().strip().upper():
            if line.startswith(b"EHLO"):
                self.say(talk["after" if encrypted else "before"])
            elif line == b"STARTTLS":
                self.say("220 go on")
                self.wrap()
                encrypted = True
            elif line == b"QUIT":
                self.say("221 bye")

    def wrap(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server.talk["certificate"])
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def say(self, *lines):
        self.wfile.write("".join(f"{line}\r\n" for line in "\r\n".join(lines).splitlines()).encode())


@pytest.fixture
def server():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as server:
        server.handle_error = lambda *_arguments: None    # a client that breaks off is part of the test
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


NONE = "250 relay"
STARTTLS = "250-relay\r\n250 STARTTLS"
AUTH = "250-relay\r\n250 AUTH PLAIN LOGIN"
BOTH = "250-relay\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"


@pytest.mark.parametrize("case", [
    (587, {"before": STARTTLS, "after": AUTH}, None),
    (25, {"before": STARTTLS, "after": NONE}, None),
    (465, {"wrapped": True, "after": AUTH}, None),
    (25, {"greeting": "421 4.7.0 relay Error: too many connections from 127.0.0.1"}, None),
    (25, {"before": BOTH, "after": AUTH}, "offers AUTH before TLS"),
    (587, {"before": AUTH, "after": AUTH}, "offers AUTH before TLS"),
    (587, {"before": NONE, "after": AUTH}, "does not offer STARTTLS"),
    (587, {"before": STARTTLS, "after": NONE}, "does not offer AUTH after TLS"),
    (465, {"wrapped": True, "after": NONE}, "does not offer AUTH after TLS"),
    (465, {"before": STARTTLS, "after": AUTH}, "does not answer as an SMTP server"),
    (25, {"greeting": "421 4.3.0 Server local configuration problem"}, "answers 421 4.3.0"),
    (25, {"greeting": "554 5.3.2 closed"}, "answers 554"),
])
def test_a_port_is_asked_as_a_client_asks(monkeypatch, certificate, server, case):
    role, talk, says = case
    server.talk = {"certificate": certificate, **talk}
    real = {25: _postfix_proof.smtplib.SMTP, 587: _postfix_proof.smtplib.SMTP, 465: _postfix_proof.smtplib.SMTP_SSL}[role]

    def redirect(address, _port, name, **named):
        return real(address, server.server_address[1], name, **named)

    monkeypatch.setattr(_postfix_proof.smtplib, "SMTP_SSL" if role == 465 else "SMTP", redirect)
    parameters = PARAMETERS | {"smtpd_tls_cert_file": certificate[0], "smtpd_tls_key_file": certificate[1]}
    if says is None:
        _postfix_proof.ask("127.0.0.1", role, parameters)
    else:
        with pytest.raises(_postfix_proof.ProofError, match=says):
            _postfix_proof.ask("127.0.0.1", role, parameters)


def test_another_certificate_than_the_one_in_the_file_is_seen(monkeypatch, certificate, server):
    server.talk = {"certificate": certificate, "before": STARTTLS, "after": AUTH}
    real = _postfix_proof.smtplib.SMTP
    monkeypatch.setattr(_postfix_proof.smtplib, "SMTP", lambda address, _port, name, **named: real(address, server.server_address[1], name, **named))
    parameters = PARAMETERS | {"smtpd_tls_cert_file": certificate[0], "smtpd_tls_key_file": certificate[1]}
    assert _postfix_proof.serves_certificate(parameters, [587])
    other = _certificate.leaf(certificate[0])[:-1] + b"x"
    monkeypatch.setattr(_postfix_proof, "leaf", lambda _path: other)
    assert not _postfix_proof.serves_certificate(parameters, [587])


def test_a_closed_port_does_not_answer(monkeypatch):
    with pytest.raises(_postfix_proof.ProofError, match="does not answer as an SMTP server"):
        _postfix_proof.ask("127.0.0.1", 1, PARAMETERS)


def test_the_proof_waits_for_a_late_postfix(monkeypatch):
    attempts = []

    def attempt(_parameters, _ports):
        attempts.append(1)
        if len(attempts) < 3:
            raise _postfix_proof.ProofError("not yet")

    monkeypatch.setattr(_postfix_proof, "attempt", attempt)
    monkeypatch.setattr(_postfix_proof, "complaints", lambda _since, _name: [])
    monkeypatch.setattr(_postfix_proof.time, "sleep", lambda _seconds: None)
    _postfix_proof.prove(PARAMETERS, [25], 0)
    assert len(attempts) == 3


@pytest.mark.parametrize("answers", [True, False])
def test_something_fatal_ends_the_proof_at_once(monkeypatch, answers):
    def attempt(_parameters, _ports):
        if not answers:
            raise _postfix_proof.ProofError("port 25 is silent")

    monkeypatch.setattr(_postfix_proof, "attempt", attempt)
    monkeypatch.setattr(_postfix_proof, "complaints", lambda _since, _name: ["postfix/smtpd: fatal: x"])
    with pytest.raises(_postfix_proof.ProofError, match="postfix/smtpd: fatal: x"):
        _postfix_proof.prove(PARAMETERS, [25], 0)


def test_patience_ends(monkeypatch):
    def attempt(_parameters, _ports):
        raise _postfix_proof.ProofError("port 25 is silent")

    monkeypatch.setattr(_postfix_proof, "attempt", attempt)
    monkeypatch.setattr(_postfix_proof, "complaints", lambda _since, _name: [])
    monkeypatch.setattr(_postfix_proof, "PATIENCE", -1)
    with pytest.raises(_postfix_proof.ProofError, match="port 25 is silent"):
        _postfix_proof.prove(PARAMETERS, [25], 0)


def test_no_master_is_the_first_thing_said():
    with pytest.raises(_postfix_proof.ProofError, match="no master process"):
        _postfix_proof.attempt(PARAMETERS, [25])
