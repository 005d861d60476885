# SPDX-License-Identifier: GPL-3.0-or-later
"""How the relay is: what is asked, what counts as a problem, and how it is shown."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading

import pytest
from ansible_collections.simple_m365.relay.plugins.filter.relay_overview import relay_overview
from ansible_collections.simple_m365.relay.plugins.module_utils import _renewal, _status, _status_text, _tokens
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.tests.unit.plugins.module_utils.test_tokens import IDENTITY, access_token

NOW = 1795475310
DAY = 86400


@pytest.fixture
def found():
    """The state of a relay on which everything is well."""
    identity = {
        "mailbox": "scans@corp.test", "sign_in_as": "scans@corp.test", "tenant_id": "T", "grant": "device_code",
        "token": {"state": "good", "whose": "scans@corp.test", "expires_at": NOW + 3000}, "renewed_at": NOW - 600, "rotated_at": NOW - 600, "failures": 0,
        "last_error": None, "next_attempt_at": 0, "credential_expires_at": 0, "days_left": 89, "last_accepted_at": NOW - 60, "last_login_at": NOW - 30,
    }
    return {
        "at": NOW, "hostname": "relay.corp.test", "postfix_runs": True, "ports": [{"port": 25, "address": "127.0.0.1", "ok": True, "answer": "220"}],
        "queue": {"total": 0, "by_queue": {"incoming": 0, "active": 0, "deferred": 0, "hold": 0}, "oldest": None, "causes": []},
        "identities": [identity], "accounts": 2, "certificate": {"path": "/c.pem", "expires_at": NOW + 90 * DAY}, "timer": True,
        "disk": {"path": "/q", "free_bytes": 2**30, "free_percent": 50, "free_files_percent": 50}, "pacer": None,
        "last_accepted_at": NOW - 60, "last_login_at": NOW - 30,
    }


def test_a_healthy_relay_has_no_problem(found):
    assert _status.problems(found, NOW) == []
    assert "all is well" in _status_text.as_text(dict(found, problems=[]))


PROBLEMS = {
    "Postfix": (lambda found: found.update(postfix_runs=False), "Postfix does not run"),
    "a port": (lambda found: found["ports"][0].update(ok=False, answer="does not answer: refused"), "Port 25 on 127.0.0.1 does not answer: refused."),
    "no identity": (lambda found: found.update(identities=[]), "names no identity"),
    "timer": (lambda found: found.update(timer=False), "m365-relay-token.timer does not run"),
    "token": (lambda found: found["identities"][0]["token"].update(state="expired"), "its token is not good (expired)"),
    "renewal": (lambda found: found["identities"][0].update(last_error={"name": "grant_revoked", "at": NOW, "remedy": "Sign in again."}),
                "the last renewal failed (grant_revoked). Sign in again."),
    "secret": (lambda found: found["identities"][0].update(credential_expires_at=NOW + 3 * DAY), "its secret or certificate expires in 3 days"),
    "90 days": (lambda found: found["identities"][0].update(days_left=13), "its sign-in ends in 13 days"),
    "queue": (lambda found: found["queue"].update(causes=[{"name": "server_busy", "messages": 7, "reason": "x"}]), "7 messages wait because of server_busy"),
    "disk": (lambda found: found["disk"].update(free_percent=9), "nearly full: /q"),
    "inodes": (lambda found: found["disk"].update(free_files_percent=1), "nearly full: /q"),
    "certificate": (lambda found: found["certificate"].update(expires_at=NOW - 1), "The certificate /c.pem has expired."),
    "limit": (lambda found: found.update(pacer={"scans@corp.test": {"held": True}}), "Microsoft's limit for today is reached"),
}


@pytest.mark.parametrize(("spoil", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_needs_somebody_is_told(found, spoil, words):
    spoil(found)
    problems = _status.problems(found, NOW)
    assert len(problems) == 1 and words in problems[0]
    assert f"! {problems[0]}" in _status_text.as_text(dict(found, problems=problems))


def test_an_expired_certificate_that_is_not_known_is_no_problem(found):
    found["certificate"]["expires_at"] = 0
    assert _status.problems(found, NOW) == []


def test_the_overview_has_a_line_for_each_identity_and_for_whom_nobody_could_ask(found):
    second = dict(found["identities"][0], mailbox="b@other.test", last_error={"name": "grant_revoked"})
    found["identities"].append(second)
    unreachable = {"msg": "no route to host\nmore", "unreachable": True}
    lines = relay_overview({"one": {"status": dict(found, problems=["x is wrong"])}, "two": unreachable, "three": None}).splitlines()
    assert lines[0].startswith("relay")
    assert "scans@corp.test" in lines[1] and "good for 50 min" in lines[1]
    assert "b@other.test" in lines[2] and "grant_revoked" in lines[2]
    assert lines[5:] == ["! one: x is wrong", "! two: no route to host", "! three: it was not asked"]


SPANS = [(5, "5 s"), (119, "1 min"), (7200, "2 h"), (2 * DAY + 5, "2 d")]


@pytest.mark.parametrize(("seconds", "text"), SPANS)
def test_spans_are_told_as_a_person_does(seconds, text):
    assert _status_text.span(seconds) == text


# --- What is asked -----------------------------------------------------------------------------------------------------


def listening(greeting):
    """Return a port that says this to one client."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        client, _address = server.accept()
        with client:
            client.sendall(greeting)
            client.settimeout(5)
            client.recv(100)
    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


@pytest.mark.parametrize(("said", "ok"), [(b"220 relay ESMTP\r\n", True), (b"421 4.3.2 too busy\r\n", False), (b"SSH-2.0-x\r\n", False)])
def test_a_port_answers_when_it_greets(said, ok):
    assert _status.greeting("127.0.0.1", listening(said))["ok"] is ok


def test_a_port_on_which_nobody_listens_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert _status.greeting("127.0.0.1", port)["answer"].startswith("does not answer: ")


def test_ports_are_those_of_master_cf(monkeypatch):
    monkeypatch.setattr(_status, "greeting", lambda _address, _port: {"ok": True, "answer": "220"})
    monkeypatch.setattr(_status._postfix_proof, "addresses", lambda _parameters: ["127.0.0.1"])
    names = (("smtp", "inet"), ("127.0.0.1:submission", "inet"), ("10025", "inet"), ("smtp", "unix"), ("x", "inet"))
    services = [{"name": name, "type": kind} for name, kind in names]
    assert [item["port"] for item in _status.ports({}, services)] == [25, 587, 10025]


@pytest.fixture
def token_of(relay):
    """A function that writes a token file; returns what status says of it."""
    def write(expires_at, **changes):
        content = json.loads(_tokens.content(IDENTITY, access_token(), "refresh", expires_at)) | changes
        _tokens.store(IDENTITY["mailbox"], json.dumps(content).encode())
        return _status.token(IDENTITY, _renewal.known(IDENTITY["mailbox"]), NOW)
    return write


def test_a_token_is_good_expired_or_somebody_elses(token_of):
    assert token_of(NOW + 10)["state"] == "good"
    assert token_of(NOW - 10)["state"] == "expired"
    assert token_of(NOW + 10, user="x@corp.test")["state"] == "wrong_mailbox"
    assert access_token() not in str(token_of(NOW + 10))


def test_a_token_that_is_not_there_or_damaged_is_told(relay):
    assert _status.token(IDENTITY, {"whose": ""}, NOW)["state"] == "token_missing"
    _tokens.store(IDENTITY["mailbox"], b"{")
    assert _status.token(IDENTITY, {"whose": ""}, NOW)["state"] == "token_damaged"


def test_the_90_days_are_counted_from_the_last_renewal(relay, monkeypatch):
    monkeypatch.setattr(_status._mail_log, "last", lambda programs, pattern: (NOW - 5, "x") if "status" in pattern else None)
    _renewal._remember(IDENTITY, signed_in_at=NOW - 80 * DAY, renewed_at=NOW - 10 * DAY)
    told = _status.identity_status(IDENTITY, NOW)
    assert (told["days_left"], told["renewed_at"], told["last_accepted_at"], told["last_login_at"]) == (80, NOW - 10 * DAY, NOW - 5, NOW - 5)


def test_an_app_has_no_90_days(relay, monkeypatch):
    monkeypatch.setattr(_status._mail_log, "last", lambda *_arguments: None)
    assert _status.identity_status(dict(IDENTITY, grant="client_secret"), NOW)["days_left"] is None


def test_the_journal_is_asked_for_the_lanes_of_the_identity(monkeypatch):
    asked = []
    monkeypatch.setattr(_status._mail_log, "last", lambda programs, _pattern: asked.append(programs))
    _status.last_successes("scans@corp.test")
    assert asked[0] == ["postfix/m365-scans_corp_test/smtp", "postfix/m365-scans_corp_test-bulk/smtp"]


@pytest.fixture
def sasldb(tmp_path, monkeypatch):
    """A database that is there."""
    (tmp_path / "sasldb2").write_text("")
    monkeypatch.setattr(_status, "SASLDB", str(tmp_path / "sasldb2"))


def test_accounts_are_counted_once(sasldb, monkeypatch):
    said = b"a@corp.test: userPassword\na@corp.test: cmusaslsecretOTP\nb@corp.test: userPassword\n"
    monkeypatch.setattr(_status, "run", lambda argv, **_options: subprocess.CompletedProcess(argv, 0, said, b""))
    assert _status.accounts() == 2


def test_accounts_that_cannot_be_read_are_not_known(sasldb, monkeypatch):
    def fail(*_arguments, **_options):
        raise CommandError("sasldblistusers2 is not installed")
    monkeypatch.setattr(_status, "run", fail)
    assert _status.accounts() is None


def test_the_certificate_says_when_it_ends(certificate):
    parameters = {"smtpd_tls_chain_files": "", "smtpd_tls_cert_file": certificate[0], "smtpd_tls_key_file": certificate[1]}
    told = _status.certificate(parameters)
    assert told["path"] == certificate[0]
    assert 0 < told["expires_at"] - os.stat(certificate[0]).st_mtime <= 2 * DAY + 60


def test_room_is_that_of_the_queues_disk(tmp_path):
    room = _status.disk(str(tmp_path))
    assert room["path"] == str(tmp_path) and 0 <= room["free_percent"] <= 100 and room["free_bytes"] > 0


def test_without_a_pacer_nothing_is_told_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(_status, "PACER", str(tmp_path / "none"))
    assert _status.pacer() is None
