# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor asks the network, against the stand-in for Microsoft on loopback."""

from __future__ import annotations

import errno
import socket
import ssl

import msal
import pytest
import requests
from ansible_collections.simple_m365.relay.plugins.module_utils import _doctor_network
from ansible_collections.simple_m365.relay.plugins.module_utils._doctor_network import Failed, Session, SignInAnswer
from control import call
from m365.lab import Lab

TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
SCOPE = "https://outlook.office.com/SMTP.Send"
MAILBOX = "scans@corp.test"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The stand-in."""
    lab = Lab({"M365_DATA": str(tmp_path_factory.mktemp("lab") / "data"), "M365_BIND": "127.0.0.1",
               "M365_SIGNIN_PORT": "0", "M365_SMTP_PORT": "0", "M365_CONTROL_PORT": "0"})
    lab.start()
    yield lab
    lab.stop()


@pytest.fixture
def control(running):
    """Its control API, with everything reset."""
    def ask(method, path, body=None):
        return call(f"http://127.0.0.1:{running.control.port}", method, path, body)
    ask("POST", "/reset")
    return ask


@pytest.fixture
def identity(running):
    """An identity whose hosts are the stand-in's."""
    return {"mailbox": MAILBOX, "tenant_id": TENANT, "login_host": f"localhost:{running.signin.port}", "smtp_host": "localhost", "smtp_port": running.smtp.port,
            "proxy": "", "ca_file": str(running.folder / "ca.pem")}


@pytest.fixture
def token(running, control, identity):
    """A good access token."""
    http = requests.Session()
    http.trust_env, http.verify = False, identity["ca_file"]
    app = msal.PublicClientApplication(CLIENT, authority=f"https://{identity['login_host']}/{TENANT}", instance_discovery=False, http_client=http)
    flow = app.initiate_device_flow([SCOPE])
    control("POST", "/approve", {"code": flow["user_code"], "account": MAILBOX})
    return app.acquire_token_by_device_flow(flow, exit_condition=lambda _flow: True)["access_token"]


def log_in(identity, token):
    """Log in as the doctor does."""
    with Session(identity) as session:
        session.greet()
        session.start_tls(identity["ca_file"])
        session.login(MAILBOX, token)
        session.end()


def failure(call):
    """Return the name with which a probe fails."""
    with pytest.raises(Failed) as caught:
        call()
    return caught.value.name


def test_a_login_is_ended_with_quit_and_without_mail(control, identity, token):
    log_in(identity, token)
    events = [event["what"] for event in control("GET", "/requests") if event["what"] in ("smtp connect", "smtp auth", "smtp message")]
    assert events == ["smtp connect", "smtp auth"]
    assert control("GET", "/inbox") == []


SMTP_FAULTS = {
    "smtp_auth_unsuccessful": "login_refused", "smtp_auth_disabled_mailbox": "smtp_auth_off_mailbox", "smtp_auth_temporary": "login_trouble",
    "smtp_service_unavailable": "server_unavailable", "no_starttls": "tls_not_offered", "no_xoauth2": "mechanism_filtered",
    "expired_smtp": "smtp_certificate_expired", "wrong_name_smtp": "smtp_certificate_unverified", "untrusted_smtp": "smtp_certificate_unverified",
}


@pytest.mark.parametrize(("fault", "name"), SMTP_FAULTS.items(), ids=SMTP_FAULTS)
def test_what_the_smtp_host_does_wrong_is_named(control, identity, token, fault, name):
    control("POST", "/faults", {"name": fault})
    assert failure(lambda: log_in(identity, token)) == name


@pytest.mark.parametrize("phase", ["connect", "ehlo", "auth"])
def test_a_cut_and_a_silence_are_told_apart(monkeypatch, control, identity, token, phase):
    control("POST", "/faults", {"name": "drop_smtp", "phase": phase})
    assert failure(lambda: log_in(identity, token)) == "connection_lost"
    control("DELETE", "/faults")
    monkeypatch.setattr(_doctor_network, "PATIENCE", 0.3)
    control("POST", "/faults", {"name": "hang_smtp", "phase": phase})
    assert failure(lambda: log_in(identity, token)) == "smtp_silent"


def test_a_challenge_is_answered_and_the_refusal_named(control, identity):
    control("POST", "/settings", {"auth_challenge": True})
    assert failure(lambda: log_in(identity, "not a token")) == "login_refused"


@pytest.mark.parametrize("fault", ["expired_smtp", "wrong_name_smtp", "untrusted_smtp", "no_starttls"])
def test_no_token_goes_to_a_server_that_is_not_verified(control, identity, token, fault):
    control("POST", "/faults", {"name": fault})
    failure(lambda: log_in(identity, token))
    assert not [event for event in control("GET", "/requests") if event["what"] == "smtp auth"]


def test_no_failure_tells_the_token(control, identity, token):
    control("POST", "/faults", {"name": "smtp_reply", "phase": "auth", "reply": f"535 5.7.3 no {token[:200]}"})
    with pytest.raises(Failed) as caught:
        log_in(identity, token)
    assert token[:60] not in str(caught.value) and "(removed)" in str(caught.value)


SIGN_IN_FAULTS = {
    "down_signin": "sign_in_page_unreachable", "drop_signin": "sign_in_page_unreachable", "http_500": "service_trouble",
    "http_503_retry_after": "service_trouble", "http_not_json": "unexpected_answer",
}


@pytest.mark.parametrize(("fault", "name"), SIGN_IN_FAULTS.items(), ids=SIGN_IN_FAULTS)
def test_what_the_sign_in_service_does_wrong_is_named(control, identity, fault, name):
    control("POST", "/faults", {"name": fault})
    assert failure(lambda: _doctor_network.sign_in_service(identity, _doctor_network.ask_sign_in(identity))) == name


def test_a_tenant_that_is_not_known_is_named(control, identity):
    elsewhere = dict(identity, tenant_id="99999999-9999-4999-8999-999999999999")
    assert failure(lambda: _doctor_network.sign_in_service(elsewhere, _doctor_network.ask_sign_in(elsewhere))) == "tenant_unknown"


def test_the_sign_in_service_tells_the_time_whatever_its_certificate(control, identity):
    control("POST", "/faults", {"name": "expired_signin"})
    answer = _doctor_network.ask_sign_in(identity)
    assert _doctor_network.clock(answer) == "within 1 seconds of Microsoft's"
    assert failure(lambda: _doctor_network.sign_in_certificate(identity)) == "tls_failure"


def test_a_certificate_that_is_good_is_accepted(control, identity):
    assert _doctor_network.sign_in_certificate(identity) == identity["login_host"]


@pytest.mark.parametrize(("ahead", "good"), [(0, True), (290, True), (-290, True), (310, False), (-86400, False)])
def test_the_clock_may_be_wrong_by_five_minutes(ahead, good):
    answer = SignInAnswer(200, b"{}", "Mon, 23 Nov 2026 10:00:00 GMT")
    now = 1795428000 + ahead
    if good:
        assert "of Microsoft's" in _doctor_network.clock(answer, now)
    else:
        assert failure(lambda: _doctor_network.clock(answer, now)) == "clock_wrong"


def test_an_answer_without_a_date_tells_no_time():
    assert failure(lambda: _doctor_network.clock(SignInAnswer(200, b"{}", ""))) == "unexpected_answer"


PORTS = {
    "refused": (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "smtp_port_closed"),
    "dropped": (TimeoutError("timed out"), "smtp_port_blocked"),
    "no route": (OSError(errno.EHOSTUNREACH, "No route to host"), "network_unreachable"),
}


@pytest.mark.parametrize(("error", "name"), PORTS.values(), ids=PORTS)
def test_a_port_that_takes_no_connection_is_named(monkeypatch, error, name):
    def refuse(*_arguments, **_options):
        raise error
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert failure(lambda: _doctor_network.connect("smtp.test", 587, ["2001:db8::1", "192.0.2.1"], "smtp_port_closed", "smtp_port_blocked")) == name


@pytest.mark.parametrize(("number", "name"), [(socket.EAI_NONAME, "smtp_host_not_found"), (socket.EAI_AGAIN, "dns_unavailable")])
def test_a_name_without_an_address_is_named(monkeypatch, number, name):
    def fail(*_arguments, **_options):
        raise socket.gaierror(number, "no")
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert failure(lambda: _doctor_network.resolve("smtp.test", 587, "smtp_host_not_found", "dns_unavailable")) == name


@pytest.mark.parametrize(("proxy", "endpoint"), [("", ("login.test", 443)), ("http://proxy.test:3128", ("proxy.test", 3128)),
                                                 ("http://me:secret@proxy.test:8080/", ("proxy.test", 8080))])
def test_the_way_to_the_sign_in_leads_through_the_proxy(proxy, endpoint):
    identity = {"login_host": "login.test", "proxy": proxy}
    assert _doctor_network.sign_in_endpoint(identity) == endpoint
    connection = _doctor_network.sign_in_connection(identity, ssl.create_default_context())
    assert (connection.host, connection.port) == endpoint
