# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules doctor and relay_info: what they fail for, and what they give back."""

from __future__ import annotations

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _doctor, _status, _status_text
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.plugins.modules import doctor, relay_info

OK = {"stage": "renewal", "identity": "a@corp.test", "status": "ok", "seen": "fine"}
REFUSED = {"stage": "login", "identity": "a@corp.test", "status": "failed", "seen": "535 5.7.3", "name": "login_refused", "meaning": "M.", "remedy": "R.",
           "mail": "waits"}
WAITS = dict(REFUSED, stage="queue", identity=None, name="server_busy")


@pytest.fixture
def findings(monkeypatch):
    """What the doctor will find, and what it was asked."""
    found, asked = [OK], []

    def examine(mailbox, renew):
        asked.append((mailbox, renew))
        return found
    monkeypatch.setattr(_doctor, "examine", examine)
    return found, asked


def test_a_relay_that_is_well_is_no_change(run_module, findings):
    result = run_module(doctor.main)
    assert (result["changed"], result["findings"]) == (False, [OK])
    assert findings[1] == [(None, False)]


def test_renewing_is_a_change_and_check_mode_renews_nothing(run_module, findings):
    assert run_module(doctor.main, renew=True, mailbox="a@corp.test")["changed"]
    assert not run_module(doctor.main, renew=True, _ansible_check_mode=True)["changed"]
    assert findings[1] == [("a@corp.test", True), (None, False)]


def test_a_failure_names_stage_cause_and_remedy(run_module, findings):
    findings[0].append(REFUSED)
    result = run_module(doctor.main)
    assert (result["failed"], result["error_name"], result["stage"]) == (True, "login_refused", "login")
    assert result["msg"] == "Stage login of a@corp.test failed: login_refused. 535 5.7.3. M. R."


def test_mail_that_waits_is_a_failure_unless_it_does_not_matter(run_module, findings):
    findings[0].append(WAITS)
    assert run_module(doctor.main)["error_name"] == "server_busy"
    assert "failed" not in run_module(doctor.main, queue=False)


def test_a_doctor_that_could_not_work_says_why(run_module, monkeypatch):
    def fail(*_arguments):
        raise CommandError("postconf is not installed")
    monkeypatch.setattr(_doctor, "examine", fail)
    assert "postconf is not installed" in run_module(doctor.main)["msg"]


def test_the_state_is_given_back_with_its_text(run_module, monkeypatch):
    monkeypatch.setattr(_status, "gather", lambda: {"problems": ["x"]})
    monkeypatch.setattr(_status_text, "as_text", lambda found: f"{found['problems']}")
    result = run_module(relay_info.main)
    assert (result["changed"], result["status"], result["text"]) == (False, {"problems": ["x"]}, "['x']")


def test_a_state_that_cannot_be_found_out_is_a_failure(run_module, monkeypatch):
    def fail():
        raise CommandError("postconf is not installed")
    monkeypatch.setattr(_status, "gather", fail)
    assert "postconf is not installed" in run_module(relay_info.main)["msg"]
