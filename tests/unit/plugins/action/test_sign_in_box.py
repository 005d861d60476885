# SPDX-License-Identifier: GPL-3.0-or-later
"""The box with the page and the code is printed in one piece, once, and only when there is a code."""

from __future__ import annotations

from unittest import mock

import pytest
from ansible_collections.simple_m365.relay.plugins.action import m365_device_code

RESULT = {
    "changed": True,
    "verification_uri": "https://microsoft.com/devicelogin",
    "user_code": "ABCD1234",
    "expires_at": "2026-11-22T11:05:59Z",
    "expires_in": 900,
}


@pytest.fixture
def printed(monkeypatch):
    """What the action printed, call by call."""
    calls = []
    monkeypatch.setattr(m365_device_code.Display, "display", lambda _self, text, **_options: calls.append(text))
    return calls


def run(result, **options):
    """Run the action for host relay1 with a module that returns `result`."""
    task = mock.Mock(args={"mailbox": "scans@corp.test", **options}, async_val=0, check_mode=False)
    action = m365_device_code.ActionModule(task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock())
    action._execute_module = mock.Mock(return_value=dict(result))
    return action.run(task_vars={"inventory_hostname": "relay1"})


def test_box_says_who_where_what_and_until_when(printed):
    result = run(RESULT)
    assert len(printed) == 1
    assert printed[0].strip().splitlines() == result["box"]
    for part in ("relay1", "https://microsoft.com/devicelogin", "ABCD1234", "scans@corp.test", "2026-11-22 11:05 UTC", "15 minutes"):
        assert part in printed[0]
    assert len({len(line) for line in result["box"]}) == 1


def test_box_names_both_for_a_shared_mailbox(printed):
    box = run(RESULT, mailbox="shared@corp.test", sign_in_as="scans@corp.test")["box"]
    assert "for shared@corp.test" in box[1] and any("sign in as   scans@corp.test" in line for line in box)


@pytest.mark.parametrize("result", [{"changed": True}, {"failed": True, "msg": "x"}])
def test_no_box_without_a_code(printed, result):
    assert run(result) == result
    assert printed == []
