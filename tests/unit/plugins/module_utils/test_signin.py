# SPDX-License-Identifier: GPL-3.0-or-later
"""The sign-in with the real msal against a scripted service; passes with every msal of Debian 12, 13 and 14."""

from __future__ import annotations

import itertools
import logging
import socket
import traceback

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _catalogue, _signin
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import (
    ACCESS_MARK,
    CODE,
    CODE_GIVEN,
    DEVICE_MARK,
    DISCOVERY,
    PENDING,
    REFRESH_MARK,
    access_token,
    failure,
    id_token,
    success,
)

pytestmark = pytest.mark.filterwarnings("ignore:Attempted too soon")  # The clock of the tests runs fast.


def started(microsoft, identity):
    """Return a flow that the scripted service has started."""
    microsoft.expects(DISCOVERY, CODE_GIVEN)
    return dict(_signin.start_device_flow(identity), interval=5)


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self, flow):
        self.now, self.naps = flow["expires_at"] - 900, []

    def sleep(self, seconds):
        """Note the nap and let the time go by."""
        self.naps.append(seconds)
        self.now += seconds

    def time(self):
        """Return the time."""
        return self.now


def finished(identity, flow):
    """Finish a flow without really waiting; return Microsoft's answer and the naps."""
    clock = Clock(flow)
    return _signin.finish_device_flow(identity, flow, clock.sleep, clock.time), clock.naps


def test_start_asks_for_the_permission_and_a_refresh_token(microsoft, identity):
    flow = started(microsoft, identity)
    assert flow["user_code"] == "ABCD1234"
    form = microsoft.requests[1][1]
    assert form["client_id"] == identity["client_id"]
    assert set(form["scope"].split()) == {identity["scope"], "openid", "profile", "offline_access"}


def test_person_signs_in_after_a_while(microsoft, identity):
    flow = started(microsoft, identity)
    microsoft.expects(DISCOVERY, PENDING, PENDING, ("token", success()))
    answer, naps = finished(identity, flow)
    _signin.check_result(identity, answer)
    assert naps == [5, 5]
    assert microsoft.requests[-1][1]["device_code"] == CODE["device_code"]


def test_slow_down_is_obeyed(microsoft, identity):
    flow = started(microsoft, identity)
    microsoft.expects(DISCOVERY, ("token", failure("slow_down")), PENDING, ("token", success()))
    assert finished(identity, flow)[1] == [10, 10]


TROUBLE = {
    "HTTP 500 without JSON": (500, "oops"),
    "HTTP 503 with JSON": (503, {"error": "temporarily_unavailable"}),
    "an answer that is no JSON": (200, "<html>captive portal</html>"),
    "Microsoft's own transient error": failure("server_error", 90033),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_while_polling_is_survived(microsoft, identity, trouble):
    flow = started(microsoft, identity)
    microsoft.expects(DISCOVERY, PENDING, ("token", trouble), ("token", trouble), ("token", success()))
    assert "access_token" in finished(identity, flow)[0]


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_at_discovery_is_survived(microsoft, identity, trouble):
    flow = started(microsoft, identity)
    microsoft.expects(("discovery", trouble), DISCOVERY, ("token", success()))
    assert "access_token" in finished(identity, flow)[0]


def test_trouble_until_the_code_expires_is_told(microsoft, identity):
    flow = dict(started(microsoft, identity), interval=450)
    microsoft.expects(DISCOVERY, PENDING, ("token", (502, "oops")))
    clock = Clock(flow)
    with pytest.raises(_signin.SignInError, match=r"At the end: .* HTTP 502") as raised:
        _signin.finish_device_flow(identity, flow, clock.sleep, clock.time)
    assert raised.value.name == "code_expired"


def test_no_network_while_polling_is_survived(microsoft, identity):
    flow = started(microsoft, identity)
    microsoft.expects(DISCOVERY, ("token", success()))
    clock = Clock(flow)
    real_host = identity["login_host"]
    gone = dict(identity, login_host="127.0.0.1:9")

    def sleep(seconds):
        clock.sleep(seconds)
        gone["login_host"] = real_host

    assert "access_token" in _signin.finish_device_flow(gone, flow, sleep, clock.time)


REFUSALS = {
    "declined": ("authorization_declined", None, "declined"),
    "expired": ("expired_token", 70019, "code_expired"),
    "unknown code": ("bad_verification_code", 70018, "code_unknown"),
    "app unknown": ("unauthorized_client", 700016, "app_unknown"),
    "public client flows off": ("invalid_client", 7000218, "public_client_off"),
    "no consent": ("invalid_grant", 65001, "consent_missing"),
    "Conditional Access": ("access_denied", 53003, "conditional_access"),
    "device code blocked": ("invalid_grant", 530036, "device_code_blocked"),
    "something new": ("brand_new", 4711, "refused"),
}


@pytest.mark.parametrize(("error", "code", "name"), REFUSALS.values(), ids=REFUSALS)
def test_refusal_ends_the_waiting_and_has_a_name(microsoft, identity, error, code, name):
    flow = started(microsoft, identity)
    microsoft.expects(DISCOVERY, PENDING, ("token", failure(error, code)))
    with pytest.raises(_signin.SignInError) as raised:
        finished(identity, flow)
    assert raised.value.name == name and not raised.value.transient


@pytest.mark.parametrize(("error", "code", "name"), REFUSALS.values(), ids=REFUSALS)
def test_refusal_of_a_code_has_a_name(microsoft, identity, error, code, name):
    microsoft.expects(DISCOVERY, ("devicecode", failure(error, code)))
    with pytest.raises(_signin.SignInError) as raised:
        _signin.start_device_flow(identity)
    assert raised.value.name == name


def test_unknown_tenant_is_named_though_msal_hides_it(microsoft, identity):
    microsoft.expects(("discovery", failure("invalid_tenant", 90002, f"Tenant not found {REFRESH_MARK}")))
    with pytest.raises(_signin.SignInError, match="does not know the tenant") as raised:
        _signin.start_device_flow(identity)
    assert raised.value.name == "tenant_unknown"


@pytest.mark.parametrize("change", [{"user_code": "A\x1b[2J"}, {"verification_uri": "javascript:x"}, {"verification_uri": "https://x\n"}])
def test_code_that_would_harm_a_terminal_is_refused(microsoft, identity, change):
    microsoft.expects(DISCOVERY, ("devicecode", (200, {**CODE, **change})))
    with pytest.raises(_signin.SignInError) as raised:
        _signin.start_device_flow(identity)
    assert raised.value.name == "unexpected_answer"


def test_redirect_is_not_followed(microsoft, identity):
    microsoft.headers["Location"] = f"https://{microsoft.host}/elsewhere"
    microsoft.expects(DISCOVERY, ("token", (307, "")))
    with pytest.raises(_signin.SignInError) as raised:
        _signin.refresh(identity, REFRESH_MARK)
    assert raised.value.name == "unexpected_answer"


def test_certificate_that_is_not_trusted(microsoft, identity):
    with pytest.raises(_signin.SignInError, match="certificate verify failed") as raised:
        _signin.start_device_flow(dict(identity, ca_file="/etc/ssl/certs/ca-certificates.crt"))
    assert raised.value.name == "tls_failure"


def test_certificate_for_another_name(microsoft, identity):
    with pytest.raises(_signin.SignInError) as raised:
        _signin.start_device_flow(dict(identity, login_host=identity["login_host"].replace("127.0.0.1", "localhost")))
    assert raised.value.name == "tls_failure"


def test_environment_names_neither_certificates_nor_proxies(microsoft, identity, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert started(microsoft, identity)


@pytest.mark.parametrize(("change", "name"), [({"ca_file": "/nonexistent"}, "ca_file_missing"), ({"proxy": "http://127.0.0.1:9"}, "proxy_unreachable")])
def test_settings_that_cannot_work_are_named(identity, change, name):
    with pytest.raises(_signin.SignInError) as raised:
        _signin.start_device_flow({**identity, **change})
    assert raised.value.name == name


def test_nobody_listens(identity):
    with pytest.raises(_signin.SignInError, match="Connection refused") as raised:
        _signin.start_device_flow(dict(identity, login_host="127.0.0.1:9"))
    assert raised.value.name == "sign_in_page_unreachable" and raised.value.transient


def test_every_request_has_a_timeout(identity, monkeypatch):
    monkeypatch.setattr(_signin, "TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(_signin.SignInError) as raised:
        _signin.start_device_flow(dict(identity, login_host=f"127.0.0.1:{silent.getsockname()[1]}"))
    assert raised.value.name == "sign_in_page_unreachable"


def test_renewal_returns_the_rotated_refresh_token(microsoft, identity):
    microsoft.expects(DISCOVERY, ("token", success(refresh_token="rotated")))
    answer = _signin.refresh(identity, "old")
    assert answer["refresh_token"] == "rotated"
    form = microsoft.requests[1][1]
    assert form["refresh_token"] == "old" and identity["scope"] in form["scope"].split()


def test_revoked_sign_in_is_named(microsoft, identity):
    microsoft.expects(DISCOVERY, ("token", failure("invalid_grant", 50173)))
    with pytest.raises(_signin.SignInError) as raised:
        _signin.refresh(identity, "old")
    assert raised.value.name == "grant_revoked"


GOOD = {
    "as it should be": {},
    "opaque access token": {"access_token": "opaque"},
    "no ID token": {"id_token": None},
    "another audience of Exchange's": {"access_token": access_token(aud="https://outlook.office365.com")},
    "person in other case": {"id_token": id_token(preferred_username="Scans@Corp.test")},
}
BAD = {
    "another person by ID token": ({"access_token": "opaque", "id_token": id_token(preferred_username="admin@corp.test")}, "wrong_person"),
    "another person by access token": ({"id_token": None, "access_token": access_token(upn="admin@corp.test")}, "wrong_person"),
    "two persons": ({"access_token": access_token(upn="admin@corp.test")}, "wrong_person"),
    "no person": ({"id_token": None, "access_token": "opaque"}, "wrong_person"),
    "another tenant by ID token": ({"access_token": "opaque", "id_token": id_token(tid="0")}, "wrong_tenant"),
    "another tenant by access token": ({"access_token": access_token(tid="0")}, "wrong_tenant"),
    "another app": ({"access_token": access_token(appid="0")}, "wrong_client"),
    "another app by ID token": ({"id_token": id_token(aud="0")}, "wrong_client"),
    "token for Graph": ({"access_token": access_token(aud="https://graph.microsoft.com")}, "wrong_audience"),
    "another permission": ({"access_token": access_token(scp="Mail.Read")}, "wrong_scope"),
    "opaque with another permission": ({"access_token": "opaque", "scope": "https://outlook.office.com/Mail.Read"}, "wrong_scope"),
    "no word of the permission": ({"access_token": access_token(scp=None), "scope": None}, "wrong_scope"),
    "no refresh token": ({"refresh_token": None}, "no_refresh_token"),
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_token_is_accepted(microsoft, identity, changes):
    microsoft.expects(DISCOVERY, ("token", success(**changes)))
    _signin.check_result(identity, _signin.refresh(identity, "old"))


@pytest.mark.parametrize(("changes", "name"), BAD.values(), ids=BAD)
def test_token_is_refused(microsoft, identity, changes, name):
    microsoft.expects(DISCOVERY, ("token", success(**changes)))
    with pytest.raises(_signin.SignInError) as raised:
        _signin.check_result(identity, _signin.refresh(identity, "old"))
    assert raised.value.name == name


def test_no_error_shows_a_secret(microsoft, identity, caplog):
    marks = (ACCESS_MARK, REFRESH_MARK, DEVICE_MARK, "Trace ID", "99999999-trace")
    whole = " ".join(str(value) for value in success()[1].values())
    answers = [failure("invalid_grant", 50173, whole), failure(whole), (200, whole), (500, whole), (400, {"token": whole}), success(id_token=id_token(aud="0"))]
    caplog.set_level(logging.DEBUG)
    for what, answer in itertools.product(("discovery", "token"), answers):
        microsoft.expects(*([] if what == "discovery" else [DISCOVERY]), (what, answer))
        with pytest.raises(_signin.SignInError) as raised:
            _signin.check_result(identity, _signin.refresh(identity, REFRESH_MARK + "y" * 60))
        told = "".join(traceback.format_exception(raised.value)) + repr(vars(raised.value)) + caplog.text
        assert not [mark for mark in marks if mark in told]


def test_presentable_keeps_what_helps():
    assert _signin.presentable(failure("invalid_grant", 50173, "The grant is revoked")[1]) == {
        "error": "invalid_grant",
        "error_codes": [50173],
        "error_description": "AADSTS50173: The grant is revoked.",
        "correlation_id": "88888888-correlation",
    }


@pytest.mark.parametrize("entry", [entry for entry in _catalogue.ENTRIES if entry["source"] == "signin"], ids=lambda entry: entry["name"])
def test_every_entry_of_the_catalogue_can_be_said(identity, entry):
    error = _signin.SignInError(entry["name"], identity)
    assert error.happened.endswith(".") and error.remedy.endswith(".") and "{" not in str(error)
