# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of the catalogue fires, where and how it says."""
from __future__ import annotations

import contextlib
import smtplib
import socket
import time

import pytest
import requests
from control import ControlError
from m365 import directory
from m365.errors import AADSTS
from m365.faults import CATALOGUE
from m365.smtp_replies import REPLIES
from tester import APP_ONLY, CLIENT, MAILBOX, SCOPE, authenticate, blob, send

DEVICECODE = {"client_id": CLIENT, "scope": SCOPE}
SIGN_IN_KINDS = [name for name, fault in CATALOGUE.items() if "aadsts" in fault or "http" in fault]


@pytest.fixture(scope="module")
def refresh_token(running):
    running.control("POST", "/reset")
    return running.sign_in()["refresh_token"]


def ask(lab, phase: str, refresh_token: str = "") -> requests.Response:
    if phase == "discovery":
        return lab.http.get(f"{lab.authority}/{directory.CORP}/v2.0/.well-known/openid-configuration")
    form = DEVICECODE if phase == "devicecode" else {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": refresh_token}
    return lab.post(f"{directory.CORP}/oauth2/v2.0/{phase}", form)


def phases(name: str) -> tuple[str, ...]:
    phase = CATALOGUE[name]["phase"]
    return (phase,) if isinstance(phase, str) else phase


@pytest.mark.parametrize(("name", "phase"), [(name, phase) for name in SIGN_IN_KINDS for phase in phases(name)])
def test_sign_in_answers_as_the_fault_says_once_and_is_well_again(lab, refresh_token, name, phase):
    lab.fault(name, times=1)
    response = ask(lab, phase, refresh_token)
    fault = CATALOGUE[name]
    if "http" in fault:
        status, headers, text = fault["http"]
        assert (response.status_code, response.text) == (status, text) and response.headers.get("Retry-After") == headers.get("Retry-After")
    else:
        code = fault["aadsts"]
        body = response.json()
        assert (response.status_code, body["error"], body["error_codes"]) == (AADSTS[code][0], AADSTS[code][1], [code])
        assert body["error_description"].startswith(f"AADSTS{code}: ") and "{" not in body["error_description"]
    assert ask(lab, phase, refresh_token).status_code == 200


def smtp_reply(lab, phase: str) -> tuple[int, bytes]:
    """What a client is told in this phase."""
    if phase == "connect":
        with smtplib.SMTP() as client:
            return client.connect("localhost", lab.lab.smtp.port)
    if phase == "auth":
        with lab.smtp() as client:
            return authenticate(client, MAILBOX, lab.token())
    with lab.mailbox() as client:
        return send(client)


@pytest.mark.parametrize("name", REPLIES)
def test_smtp_answers_as_the_fault_says_and_accepts_nothing(lab, name):
    phase, reply, _meaning = REPLIES[name]
    lab.fault(name, times=1)
    code, text = smtp_reply(lab, phase)
    assert f"{code} {text.decode()}".startswith(reply.split("{")[0]) and b"{" not in text
    assert lab.inbox() == [] and lab.events("smtp refused")[0]["fault"] == name
    with lab.mailbox() as client:
        assert send(client)[0] == 250


@pytest.mark.parametrize("phase", ["ehlo", "mail", "rcpt", "data", "end_of_data"])
def test_any_reply_in_any_phase(lab, phase):
    lab.fault("smtp_reply", phase=phase, reply="452 4.3.1 Insufficient system resources", times=1)
    with lab.smtp(tls=False) as client:
        reply = client.ehlo() if phase == "ehlo" else None
    if reply is None:
        with lab.mailbox() as client:
            reply = send_or_refused(client)
    assert reply == (452, b"4.3.1 Insufficient system resources")


def send_or_refused(client) -> tuple[int, bytes]:
    try:
        return send(client)
    except smtplib.SMTPDataError as error:
        return error.smtp_code, error.smtp_error


def test_an_answer_without_refresh_token(lab):
    lab.fault("http_no_refresh_token")
    result = lab.sign_in()
    assert "access_token" in result and "refresh_token" not in result


def test_sign_in_hangs(lab):
    lab.fault("hang_signin", phase="token")
    with pytest.raises(requests.exceptions.ReadTimeout):
        lab.post(f"{directory.CORP}/oauth2/v2.0/token", {"grant_type": "refresh_token"}, timeout=0.3)
    assert ask(lab, "discovery").status_code == 200


def test_sign_in_cuts_the_connection(lab):
    lab.fault("drop_signin", times=1)
    with pytest.raises(requests.exceptions.ConnectionError):
        ask(lab, "devicecode")
    assert ask(lab, "devicecode").status_code == 200


def test_smtp_hangs_before_the_greeting(lab):
    lab.fault("hang_smtp")
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"), smtplib.SMTP("localhost", lab.lab.smtp.port, timeout=0.3):
        pass


@pytest.mark.parametrize("phase", ["mail", "end_of_data"])
def test_smtp_cuts_the_connection_and_accepts_nothing(lab, phase):
    lab.fault("drop_smtp", phase=phase, times=1)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)), lab.mailbox() as client:
        send(client)
    assert lab.inbox() == []


def test_slow(lab):
    lab.fault("slow_signin", seconds=0.4)
    begin = time.monotonic()
    ask(lab, "devicecode")
    assert 0.4 <= time.monotonic() - begin < 2
    lab.fault("slow_smtp", phase="connect", seconds=0.4)
    begin = time.monotonic()
    smtp_reply(lab, "connect")
    assert 0.4 <= time.monotonic() - begin < 2


@pytest.mark.parametrize(("name", "feature"), [("no_starttls", "starttls"), ("no_xoauth2", "auth")])
def test_ehlo_leaves_something_out(lab, name, feature):
    lab.fault(name)
    with lab.smtp(tls=name == "no_xoauth2") as client:
        client.ehlo()
        assert (feature in client.esmtp_features) == (feature == "auth") and "XOAUTH2" not in client.esmtp_features.get("auth", "")


@pytest.mark.parametrize(("kind", "text"), [("wrong_name", "name|match"), ("expired", "expired"), ("untrusted", "self.signed|unable to get")])
def test_certificates_that_a_client_must_not_trust(lab, kind, text):
    lab.fault(f"{kind}_signin", times=1)
    with pytest.raises(requests.exceptions.SSLError, match=text):
        lab.session().get(lab.authority)
    assert ask(lab, "discovery").status_code == 200
    lab.fault(f"{kind}_smtp", times=1)
    with pytest.raises(OSError, match=text), lab.smtp():
        pass
    with lab.smtp() as client:
        assert client.noop()[0] == 250


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("service", ["signin", "smtp"])
def test_down_means_that_nothing_listens_and_open_connections_are_cut(lab, service, refresh_token):
    port = getattr(lab.lab, service).port
    with socket.create_connection(("127.0.0.1", port)) as before:
        before.settimeout(2)
        if service == "smtp":
            before.recv(1000)
        lab.fault(f"down_{service}")
        assert refuses(port)
        assert not refuses(lab.lab.control.port)
        with contextlib.suppress(ConnectionResetError):
            assert before.recv(1000) == b""
    lab.control("DELETE", f"/faults/down_{service}")
    assert ask(lab, "token", refresh_token).status_code == 200 if service == "signin" else smtp_reply(lab, "mail")[0] == 250


def test_every_fault_of_the_catalogue_is_in_one_of_these_tests():
    tested = {*SIGN_IN_KINDS, *REPLIES, "smtp_reply", "http_no_refresh_token", "hang_signin", "hang_smtp", "drop_signin", "drop_smtp", "slow_signin",
              "slow_smtp", "no_starttls", "no_xoauth2", "down_signin", "down_smtp", "dns_gone", "dns_servfail",  # the last two: test_dns.py
              *(f"{kind}_{service}" for kind in ("wrong_name", "expired", "untrusted") for service in ("signin", "smtp"))}
    assert tested == set(CATALOGUE)


def test_a_fault_strikes_as_often_as_it_is_told(lab, refresh_token):
    lab.fault("aadsts_50033", times=2)
    assert [ask(lab, "token", refresh_token).status_code for _turn in range(3)] == [400, 400, 200]
    assert lab.control("GET", "/state")["faults"] == []


def test_a_fault_for_one_account_leaves_the_others_alone(lab):
    lab.fault("aadsts_50173", account="admin@corp.test")
    lab.fault("smtp_auth_disabled_mailbox", account="billing@corp.test")
    lab.fault("smtp_mailbox_full", account="billing@corp.test")
    app = lab.msal()
    assert "access_token" in app.acquire_token_by_refresh_token(lab.sign_in()["refresh_token"], [SCOPE])
    assert lab.sign_in("admin@corp.test")["error_codes"] == [50173]
    with lab.smtp() as client:
        assert authenticate(client, "billing@corp.test", lab.token("billing@corp.test"))[0] == 535
    with lab.mailbox() as client:
        assert send(client)[0] == 250


def test_a_fault_for_one_grant_or_client_leaves_the_others_alone(lab, refresh_token):
    lab.fault("aadsts_7000222", grant="client_credentials")
    lab.fault("aadsts_50033", client_id=APP_ONLY)
    assert ask(lab, "token", refresh_token).status_code == 200
    form = {"grant_type": "client_credentials", "client_id": APP_ONLY, "scope": "x", "client_secret": "x"}
    assert lab.post(f"{directory.CORP}/oauth2/v2.0/token", form).json()["error_codes"] == [7000222]


@pytest.mark.parametrize(("request_body", "message"), [
    ({"name": "nonsense"}, "unknown; GET /faults lists them"), ({"name": "http_500", "times": 0}, "times 0; write a whole number"),
    ({"name": "http_500", "phase": "nowhere"}, "write one of connect"), ({"name": "down_smtp", "times": 1}, "takes no options"),
    ({"name": "http_500", "tmies": 1}, "tmies unknown"), ({}, "fault None: unknown")])
def test_a_fault_that_makes_no_sense_is_refused(lab, request_body, message):
    with pytest.raises(ControlError, match=message):
        lab.control("POST", "/faults", request_body)
    assert lab.control("GET", "/state")["faults"] == []


def test_faults_go_one_by_one_or_all(lab):
    for name in ("http_500", "smtp_mailbox_full", "http_429"):
        lab.fault(name)
    assert lab.control("DELETE", "/faults/http_500") == {"removed": 1}
    assert lab.control("DELETE", "/faults") == {"removed": 2}
    assert ask(lab, "devicecode").status_code == 200


def test_a_fault_in_auth_comes_before_the_token_is_looked_at(lab):
    lab.fault("smtp_auth_temporary", times=1)
    with lab.smtp() as client:
        assert client.docmd("AUTH", "XOAUTH2 " + blob(MAILBOX, "nonsense")) == (454, b"4.7.0 Temporary authentication failure")
