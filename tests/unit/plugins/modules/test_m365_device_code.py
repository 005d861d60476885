# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that starts a sign-in returns what the person needs, and nothing secret."""

from __future__ import annotations

import re
import sys

from ansible_collections.simple_m365.relay.plugins.module_utils import _tokens
from ansible_collections.simple_m365.relay.plugins.modules import m365_device_code
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import (
    CODE_GIVEN,
    DEVICE_MARK,
    DISCOVERY,
    failure,
)


def test_page_and_code_are_returned_and_the_secret_stays(relay, options, microsoft, run_module):
    microsoft.expects(DISCOVERY, CODE_GIVEN)
    result = run_module(m365_device_code.main, **options)
    assert result["changed"] and result["user_code"] == "ABCD1234" and result["expires_in"] == 900
    assert result["message"] == "Open https://microsoft.com/devicelogin, enter the code ABCD1234 and sign in as scans@corp.test."
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result["expires_at"])
    assert DEVICE_MARK not in repr(result)
    assert DEVICE_MARK in (relay / "state/scans@corp.test.pending").read_text()


def test_check_mode_asks_nobody(relay, options, run_module):
    result = run_module(m365_device_code.main, _ansible_check_mode=True, **options)
    assert result["changed"] and "user_code" not in result
    assert list((relay / "state").iterdir()) == []


def test_refusal_names_cause_and_remedy(relay, options, microsoft, run_module):
    microsoft.expects(DISCOVERY, ("devicecode", failure("unauthorized_client", 700016, "Application was not found")))
    result = run_module(m365_device_code.main, **options)
    assert result["failed"] and result["error_name"] == "app_unknown"
    assert "AADSTS700016" in result["msg"] and "xoauth2_client_id" in result["msg"]
    assert result["answer"]["error_codes"] == [700016]


def test_missing_library_is_named(relay, options, run_module, monkeypatch):
    monkeypatch.setitem(sys.modules, "msal", None)
    result = run_module(m365_device_code.main, **options)
    assert result["failed"] and "python3-msal" in result["msg"]


def test_missing_user_postfix_is_named(options, run_module, monkeypatch):
    monkeypatch.setattr(_tokens, "OWNER", "nobody-of-that-name")
    result = run_module(m365_device_code.main, **options)
    assert result["failed"] and "install the package postfix first" in result["msg"]
