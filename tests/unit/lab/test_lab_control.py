# SPDX-License-Identifier: GPL-3.0-or-later
"""The control API and its command line."""
from __future__ import annotations

import json

import control
import pytest
from control import ControlError
from m365 import directory
from m365.settings import SETTINGS
from tester import CLIENT, MAILBOX, SCOPE, send


def run(lab, capsys, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = control.main(["--url", lab.url, *words])
    printed = capsys.readouterr()
    # The lab runs in this process and writes its log to the same place.
    return code, "".join(line for line in printed.out.splitlines(True) if not line.startswith('{"time"')), printed.err


def test_the_inbox_for_people(lab, capsys):
    assert run(lab, capsys, "inbox")[1] == "The inbox is empty.\n"
    with lab.mailbox() as client:
        send(client)
    code, printed, _errors = run(lab, capsys, "inbox")
    assert code == 0
    for line in (f"Envelope:      {MAILBOX} -> someone@example.org", f"From:          {MAILBOX}", f"Authenticated: {MAILBOX}", "Subject:       A scan"):
        assert line in printed
    assert json.loads(run(lab, capsys, "--json", "inbox")[1])[0]["mailbox"] == MAILBOX
    assert "Hello." in run(lab, capsys, "inbox", "--data")[1]
    assert run(lab, capsys, "inbox", "--clear")[1] == "1 messages removed\n"


def test_approve_and_person(lab, capsys):
    flow = lab.msal().initiate_device_flow([SCOPE])
    assert flow["user_code"] in run(lab, capsys, "codes")[1]
    assert run(lab, capsys, "approve", flow["user_code"], "--as", "admin@corp.test")[1] == f"{flow['user_code']}: approved as admin@corp.test\n"
    code, printed, errors = run(lab, capsys, "approve", flow["user_code"])
    assert (code, printed) == (1, "") and "already approved" in errors
    run(lab, capsys, "person", MAILBOX, "--delay", "2")
    assert lab.control("GET", "/state")["person"] == {"account": MAILBOX, "delay": 2.0, "decline": False}
    run(lab, capsys, "person")
    assert lab.control("GET", "/state")["person"] is None


def test_faults_and_settings(lab, capsys):
    assert run(lab, capsys, "fault", "aadsts_50173", "--times", "2", "--grant", "refresh_token")[1].startswith("aadsts_50173 is on: AADSTS50173")
    fault, = lab.control("GET", "/state")["faults"]
    assert (fault["name"], fault["times"], fault["grant"]) == ("aadsts_50173", 2, "refresh_token")
    assert run(lab, capsys, "fault", "aadsts_50173", "--off")[0] == 0 and lab.control("GET", "/state")["faults"] == []
    assert "smtp_send_as_denied" in run(lab, capsys, "faults")[1]
    assert run(lab, capsys, "set", "rate_limit=0", "limit_model=B", "latency_auth=null")[0] == 0
    assert lab.control("GET", "/state")["settings"]["limit_model"] == "B"
    assert "messages of a mailbox in one window" in run(lab, capsys, "set")[1]
    assert "write KEY=VALUE" in run(lab, capsys, "set", "rate_limit")[2]


def test_log_revoke_and_reset(lab, capsys):
    lab.sign_in()
    assert "signin token" in run(lab, capsys, "log")[1]
    assert run(lab, capsys, "revoke", MAILBOX)[0] == 0
    assert run(lab, capsys, "revoke", "nobody@corp.test")[2] == "revoke: there is no account nobody@corp.test\n"
    assert "removed" in run(lab, capsys, "log", "--clear")[1] and lab.control("GET", "/requests") == []
    lab.set(rate_limit=7)
    assert run(lab, capsys, "reset")[0] == 0 and lab.control("GET", "/state")["settings"]["rate_limit"] == 30


def test_no_lab_there(capsys):
    assert control.main(["--url", "http://127.0.0.1:9", "state"]) == 1
    assert "the lab does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("rate_limit", -1), ("rate_limit", "x"), ("rate_limit", True), ("rate_limit", None), ("limit_model", "C"),
                                             ("strict_rotation", 1), ("interval", 0), ("nonsense", 1)])
def test_a_setting_that_makes_no_sense_changes_nothing(lab, name, value):
    before = lab.control("GET", "/state")["settings"]
    with pytest.raises(ControlError, match=name):
        lab.set(latency=1, **{name: value})
    assert lab.control("GET", "/state")["settings"] == before


def test_every_setting_says_what_it_is(lab):
    assert {name for name, one in lab.control("GET", "/settings").items() if one["about"]} == set(SETTINGS)


@pytest.mark.parametrize(("method", "path", "body", "message"), [
    ("GET", "/nonsense", None, "there are GET /state"), ("POST", "/approve", {"code": "X"}, "say who signs in"),
    ("POST", "/person", {"account": "nobody@corp.test"}, "there is no account"), ("GET", "/inbox/99999", None, "not in the inbox"),
    ("POST", "/accounts", {"account": MAILBOX, "nonsense": 1}, "there are tenant"), ("POST", "/accounts", {"account": "new@corp.test"}, "a new one needs"),
    ("POST", "/accounts", {"account": MAILBOX, "send_as": "x"}, "send_as"), ("POST", "/settings", ["x"], "JSON object")])
def test_requests_that_make_no_sense(lab, method, path, body, message):
    with pytest.raises(ControlError, match=message):
        lab.control(method, path, body)


def test_new_accounts_and_apps_until_the_reset(lab):
    lab.control("POST", "/accounts", {"account": "New@corp.test", "tenant": directory.CORP})
    assert "access_token" in lab.sign_in("new@corp.test")
    lab.control("POST", "/reset")
    assert "new@corp.test" not in lab.control("GET", "/state")["accounts"]


def test_a_reset_forgets_what_was_switched_and_what_happened(lab):
    with lab.mailbox() as client:
        send(client)
    lab.fault("http_500")
    lab.control("POST", "/person", {"account": MAILBOX})
    lab.control("POST", "/reset")
    after = lab.control("GET", "/state")
    assert (after["faults"], after["person"], after["inbox"], after["codes"]) == ([], None, 0, [])
    assert after["settings"] == {name: default for name, (default, _accepted, _meaning) in SETTINGS.items()}
    assert lab.inbox() == [] and lab.events("smtp message") == []


def test_tokens_stay_good_over_a_reset(lab):
    token = lab.sign_in()["refresh_token"]
    lab.control("POST", "/reset")
    answer = lab.post(f"{directory.CORP}/oauth2/v2.0/token", {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": token})
    assert answer.status_code == 200


def test_the_authority_is_served_and_its_key_is_not(lab):
    assert b"BEGIN CERTIFICATE" in lab.control("GET", "/ca.pem")
    assert b"PRIVATE" not in lab.control("GET", "/ca.pem")
    for file in lab.lab.folder.iterdir():
        assert file.stat().st_mode & 0o077 == 0


def test_state_shows_no_secret(lab):
    assert "lab8Q~" not in json.dumps(lab.control("GET", "/state"))
