# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service is told: the policy, and which way the mail of each identity goes."""

from __future__ import annotations

import json

from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_service as service

SETTINGS = {
    "mailboxes": ["scans@corp.test", "Orders@corp.test"], "hostname": "relay.corp.test", "sender_policy_realm": "corp.test", "sender_policy_default": {},
    "sender_policy_networks": [], "sender_policy_logins": [], "smtp_hosts": ["smtp.office365.com", "smtp.office365.us"], "smtp_ports": [587, 2587],
    "messages_per_minute": 30, "mailbox_limits": {"orders@corp.test": {"messages_per_minute": 100}},
}


def test_every_identity_has_its_two_lanes():
    known = json.loads(service.policy(SETTINGS).content)
    assert known["routes"] == {
        "scans@corp.test": {"prompt": "m365-scans_corp_test:[smtp.office365.com]:587", "bulk": "m365-scans_corp_test-bulk:[smtp.office365.com]:587"},
        "Orders@corp.test": {"prompt": "m365-orders_corp_test:[smtp.office365.us]:2587", "bulk": "m365-orders_corp_test-bulk:[smtp.office365.us]:2587"},
    }
    assert known["messages_per_minute"] == {"scans@corp.test": 30, "Orders@corp.test": 100}
    assert not set(service.ABOUT_LANES[:2]) & set(known)


def test_the_program_is_everything_that_it_imports():
    files = {wanted.path.rpartition("/")[2] for wanted in service.wanted_files(SETTINGS, "")}
    for module in service.MODULES:
        for line in module.__loader__.get_source(module.__name__).splitlines():
            if line.startswith("from ._"):
                assert f"{line.split()[1][1:]}.py" in files
