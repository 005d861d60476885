# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign-in, driven by the real msal: what a relay's own sign-in and refresh will meet."""
from __future__ import annotations

import time

import pytest
from control import ControlError
from m365 import directory
from tester import APP_ONLY, CLIENT, MAILBOX, SCOPE, authenticate, claims


def test_device_code_brings_tokens_that_look_like_entras(lab):
    result = lab.sign_in()
    assert result["token_type"] == "Bearer" and result["scope"] == SCOPE and result["expires_in"] == 3600
    assert result["id_token_claims"]["preferred_username"] == MAILBOX and result["id_token_claims"]["tid"] == directory.CORP
    token = result["access_token"]
    assert 1500 <= len(token) <= 3000
    found = claims(token)
    assert (found["aud"], found["scp"], found["upn"], found["tid"], found["appid"]) == (
        "https://outlook.office.com", "SMTP.Send", MAILBOX, directory.CORP, CLIENT)
    assert found["exp"] - found["iat"] == 3600 and found["nbf"] <= time.time() and found["uti"]
    assert result["refresh_token"].startswith("0.A") and MAILBOX not in result["refresh_token"]


def test_the_token_opens_the_mailbox(lab):
    with lab.smtp() as client:
        assert authenticate(client, MAILBOX, lab.sign_in()["access_token"])[0] == 235


def test_refresh_brings_new_tokens_and_the_old_refresh_token_lives_on(lab):
    first = lab.sign_in()
    app = lab.msal()
    second = app.acquire_token_by_refresh_token(first["refresh_token"], [SCOPE])
    assert second["refresh_token"] != first["refresh_token"] and second["access_token"] != first["access_token"]
    assert "access_token" in app.acquire_token_by_refresh_token(first["refresh_token"], [SCOPE])


def refresh(lab, token: str, **form) -> dict:
    return lab.post(f"{directory.CORP}/oauth2/v2.0/token", {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": token, **form}).json()


def test_refresh_as_the_plugin_does_it_without_scope_and_with_an_empty_secret(lab):
    answer = refresh(lab, lab.sign_in()["refresh_token"], client_secret="")
    assert claims(answer["access_token"])["scp"] == "SMTP.Send" and answer["refresh_token"]


def test_strict_rotation_takes_a_refresh_token_only_once(lab):
    lab.set(strict_rotation=True)
    first = lab.sign_in()["refresh_token"]
    second = refresh(lab, first)
    assert refresh(lab, first)["error_codes"] == [50173]
    assert "access_token" in refresh(lab, second["refresh_token"])


def test_revocation_kills_the_account_s_refresh_tokens_only(lab):
    scans, admin = lab.sign_in(), lab.sign_in("admin@corp.test")
    lab.control("POST", "/revoke", {"account": MAILBOX})
    answer = lab.msal().acquire_token_by_refresh_token(scans["refresh_token"], [SCOPE])
    assert answer["error"] == "invalid_grant" and answer["error_codes"] == [50173]
    assert "access_token" in refresh(lab, admin["refresh_token"])
    assert "access_token" in refresh(lab, lab.sign_in()["refresh_token"])


def test_a_refresh_token_that_was_idle_too_long(lab):
    token = lab.sign_in()["refresh_token"]
    lab.set(refresh_token_lifetime=1)
    time.sleep(1.05)
    assert refresh(lab, token)["error_codes"] == [700082]


@pytest.mark.parametrize(("change", "code"), [
    ({"refresh_token": "0.Anonsense"}, 70000), ({"client_id": "00000000-0000-4000-8000-000000000000"}, 700016), ({"client_secret": "x"}, 700025),
    ({"grant_type": "password"}, 70003), ({"scope": "https://outlook.office.com/Nonsense"}, 70011), ({"refresh_token": ""}, 900144)])
def test_a_refresh_that_is_wrong(lab, change, code):
    assert refresh(lab, lab.sign_in()["refresh_token"], **change)["error_codes"] == [code]


def test_error_body_has_everything_that_entra_sends(lab):
    response = lab.post(f"{directory.CORP}/oauth2/v2.0/token", {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": "x"},
                        headers={"client-request-id": "11111111-1111-4111-8111-111111111111"})
    body = response.json()
    assert response.status_code == 400 and body["error"] == "invalid_grant"
    assert body["error_description"].startswith("AADSTS70000: ") and "Trace ID: " in body["error_description"] and "Timestamp: " in body["error_description"]
    assert body["correlation_id"] == "11111111-1111-4111-8111-111111111111" and body["trace_id"] and body["timestamp"].endswith("Z")


def start(lab) -> tuple:
    app = lab.msal()
    flow = app.initiate_device_flow([SCOPE])
    assert len(flow["user_code"]) == 9 and flow["user_code"] in flow["message"] and "verification_uri_complete" not in flow
    return app, flow


def poll(app, flow) -> dict:
    return app.acquire_token_by_device_flow(flow, exit_condition=lambda _flow: True)


def test_pending_until_somebody_answers(lab):
    app, flow = start(lab)
    answer = poll(app, flow)
    assert (answer["error"], answer["error_codes"]) == ("authorization_pending", [70016])
    assert [code["code"] for code in lab.control("GET", "/codes")] == [flow["user_code"]]
    lab.control("POST", "/approve", {"code": flow["user_code"].lower(), "account": MAILBOX})
    assert "access_token" in poll(app, flow)


def test_a_code_is_good_once(lab):
    app, flow = start(lab)
    lab.control("POST", "/approve", {"code": flow["user_code"], "account": MAILBOX})
    poll(app, flow)
    assert poll(app, flow)["error_codes"] == [54005]


def test_declined(lab):
    app, flow = start(lab)
    lab.control("POST", "/approve", {"code": flow["user_code"], "decline": True})
    assert poll(app, flow)["error"] == "authorization_declined"


def test_expired(lab):
    lab.set(code_lifetime=1)
    _app, flow = start(lab)
    assert flow["expires_in"] == 1
    time.sleep(1.05)
    answer = lab.post(f"{directory.CORP}/oauth2/v2.0/token", {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": CLIENT, "device_code": flow["device_code"]}).json()
    assert (answer["error"], answer["error_codes"]) == ("expired_token", [70019])
    with pytest.raises(ControlError, match="expired"):
        lab.control("POST", "/approve", {"code": flow["user_code"], "account": MAILBOX})


def test_polling_too_fast_is_told_to_slow_down(lab):
    lab.set(slow_down=True)
    app, flow = start(lab)
    assert poll(app, flow)["error"] == "authorization_pending"
    assert poll(app, flow)["error"] == "slow_down"


def test_the_wrong_person_gets_a_token_of_his_own(lab):
    assert claims(lab.sign_in("admin@corp.test")["access_token"])["upn"] == "admin@corp.test"


@pytest.mark.parametrize(("account", "code"), [("nobody@corp.test", 50034), ("relay@other.test", 50020), ("shared@corp.test", 50057)])
def test_a_person_whom_entra_does_not_let_in_sees_why_and_the_code_stays_pending(lab, account, code):
    app, flow = start(lab)
    with pytest.raises(ControlError, match=f"AADSTS{code}"):
        lab.control("POST", "/approve", {"code": flow["user_code"], "account": account})
    assert poll(app, flow)["error"] == "authorization_pending"


def test_an_unknown_code_names_those_that_are_pending(lab):
    _app, flow = start(lab)
    with pytest.raises(ControlError, match=flow["user_code"]):
        lab.control("POST", "/approve", {"code": "NOTTHERE1", "account": MAILBOX})


def test_somebody_answers_every_code_after_a_while(lab):
    lab.control("POST", "/person", {"account": MAILBOX, "delay": 0.3})
    app, flow = start(lab)
    assert poll(app, flow)["error"] == "authorization_pending"
    time.sleep(0.35)
    assert "access_token" in poll(app, flow)
    lab.control("POST", "/person", {"account": None})
    app, flow = start(lab)
    assert poll(app, flow)["error"] == "authorization_pending"


def test_somebody_declines_every_code(lab):
    lab.control("POST", "/person", {"account": MAILBOX, "decline": True})
    assert poll(*start(lab))["error"] == "authorization_declined"


@pytest.mark.parametrize(("tenant", "client", "code"), [
    (directory.CORP, "00000000-0000-4000-8000-000000000000", 700016), (directory.OTHER, CLIENT, 700016), ("common", CLIENT, 50194),
    ("consumers", CLIENT, 9002332), ("00000000-0000-4000-8000-000000000000", CLIENT, 90002)])
def test_a_device_code_for_the_wrong_app_or_tenant(lab, tenant, client, code):
    answer = lab.post(f"{tenant}/oauth2/v2.0/devicecode", {"client_id": client, "scope": SCOPE})
    assert answer.status_code == 400 and answer.json()["error_codes"] == [code]


@pytest.mark.parametrize(("scope", "code"), [("https://outlook.office.com/Nonsense", 70011), ("https://outlook.office.com/SMTP.Send User.Read", 28002)])
def test_a_scope_that_does_not_exist_or_two_resources(lab, scope, code):
    assert lab.post(f"{directory.CORP}/oauth2/v2.0/devicecode", {"client_id": CLIENT, "scope": scope}).json()["error_codes"] == [code]


def test_an_unknown_tenant_has_no_discovery(lab):
    with pytest.raises(ValueError, match="Unable to get authority configuration"):
        lab.msal("00000000-0000-4000-8000-000000000000")


def test_a_tenant_answers_by_its_domain_too(lab):
    assert lab.msal("corp.test").authority.token_endpoint.endswith("/corp.test/oauth2/v2.0/token")


def test_public_client_flows_off(lab):
    lab.control("POST", "/apps", {"client_id": CLIENT, "public": False})
    app, flow = start(lab)
    lab.control("POST", "/approve", {"code": flow["user_code"], "account": MAILBOX})
    answer = poll(app, flow)
    assert (answer["error"], answer["error_codes"]) == ("invalid_client", [7000218])


def test_no_refresh_token_without_offline_access(lab):
    answer = lab.post(f"{directory.CORP}/oauth2/v2.0/devicecode", {"client_id": CLIENT, "scope": SCOPE}).json()
    lab.control("POST", "/approve", {"code": answer["user_code"], "account": MAILBOX})
    answer = lab.post(f"{directory.CORP}/oauth2/v2.0/token", {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": CLIENT, "device_code": answer["device_code"]}).json()
    assert "access_token" in answer and "refresh_token" not in answer and "id_token" not in answer


def test_a_shorter_life_for_tokens_takes_effect_at_once(lab):
    lab.set(access_token_lifetime=60)
    result = lab.sign_in()
    assert result["expires_in"] == 60 and claims(result["access_token"])["exp"] - time.time() <= 60


def test_instance_discovery_knows_microsofts_hosts_only(lab):
    ask = f"{lab.authority}/common/discovery/instance?api-version=1.1&authorization_endpoint=https://"
    good = lab.http.get(ask + f"login.microsoftonline.com/{directory.CORP}/oauth2/v2.0/authorize").json()
    assert good["tenant_discovery_endpoint"].endswith(f"/{directory.CORP}/v2.0/.well-known/openid-configuration")
    assert lab.http.get(ask + "login.example.org/x/oauth2/v2.0/authorize").json()["error"] == "invalid_instance"


def test_the_request_log_knows_who_asked_and_holds_no_secret(lab, capsys):
    result = lab.sign_in()
    refresh(lab, result["refresh_token"])
    log = lab.control("GET", "/requests")
    entry = next(entry for entry in log if entry.get("grant") == "refresh_token")
    assert entry["account"] == MAILBOX and entry["client_id"] == CLIENT and entry["result"] == "ok" and entry["remote"] == "127.0.0.1"
    assert "python-requests" in entry["agent"]
    printed = capsys.readouterr().out
    assert '"signin token"' in printed
    for secret in (result["access_token"], result["refresh_token"]):
        assert secret[-40:] not in str(log) + printed and secret[-40:] not in str(lab.control("GET", "/state"))


def test_app_only_is_no_grant_for_a_public_client_or_for_common(lab):
    form = {"grant_type": "client_credentials", "client_id": APP_ONLY, "scope": "https://outlook.office365.com/.default", "client_secret": "x"}
    for tenant, change, code in (("common", {}, 9001023), (directory.CORP, {}, 7000215), (directory.CORP, {"client_secret": ""}, 7000218),
                                 (directory.CORP, {"scope": SCOPE}, 70011)):
        secret = {"client_secret": directory.APPS[APP_ONLY]["secrets"][0]} if code == 70011 else {}
        assert lab.post(f"{tenant}/oauth2/v2.0/token", {**form, **change, **secret}).json()["error_codes"] == [code]
