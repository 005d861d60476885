# SPDX-License-Identifier: GPL-3.0-or-later
"""A restart of the lab loses nothing that a relay or a person relies on."""
from __future__ import annotations

import pytest
from m365.lab import Lab
from tester import MAILBOX, SCOPE, LabClient


@pytest.fixture
def start(tmp_path):
    running = []

    def once() -> LabClient:
        lab = Lab({"M365_DATA": str(tmp_path / "data"), "M365_BIND": "127.0.0.1", "M365_SIGNIN_PORT": "0", "M365_SMTP_PORT": "0", "M365_CONTROL_PORT": "0"})
        lab.start()
        running.append(lab)
        return LabClient(lab)

    yield once
    for lab in running:
        lab.stop()


def test_the_authority_tokens_codes_and_revocations_outlive_a_restart(start):
    first = start()
    good, dead = first.sign_in("admin@corp.test"), first.sign_in()
    first.control("POST", "/revoke", {"account": MAILBOX})
    flow = first.msal().initiate_device_flow([SCOPE])
    authority = first.control("GET", "/ca.pem")
    first.lab.stop()
    second = start()
    assert second.control("GET", "/ca.pem") == authority
    second.control("POST", "/approve", {"code": flow["user_code"], "account": MAILBOX})
    app = second.msal()
    assert "access_token" in app.acquire_token_by_device_flow(flow, exit_condition=lambda _flow: True)
    assert "access_token" in app.acquire_token_by_refresh_token(good["refresh_token"], [SCOPE])
    assert app.acquire_token_by_refresh_token(dead["refresh_token"], [SCOPE])["error_codes"] == [50173]
