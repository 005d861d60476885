# SPDX-License-Identifier: GPL-3.0-or-later
"""The timer renews tokens before they end, so that the plugin never has to; and it says so when it cannot."""

from __future__ import annotations

import time

import pytest
from apps import APP, CORP, SECRET, command
from conftest import MAILBOX, submit, wait_for

PUBLIC_APP = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
PERIOD, LIFETIME, WATCHED = 5, 60, 100
QUICK = {
    "xoauth2_renewal_period": PERIOD, "xoauth2_renewal_threshold": 40, "xoauth2_refresh_window": 10, "xoauth2_renewal_on_failure": "tell-the-admin.service",
    "xoauth2_identities": [
        {"mailbox": MAILBOX, "tenant_id": CORP, "client_id": PUBLIC_APP},
        {"mailbox": "billing@corp.test", "tenant_id": CORP, "client_id": APP, "grant": "client_secret", "client_secret": SECRET},
    ],
}
HOOK = "[Service]\nType=oneshot\nExecStart=/usr/bin/touch /run/admin-was-told\n"


@pytest.fixture(scope="module", autouse=True)
def usual_again(deploy, relay_for_module):
    """In the end the relay is as it was."""
    yield
    deploy()
    relay_for_module.check_output("rm -f /etc/systemd/system/tell-the-admin.service /run/admin-was-told; systemctl daemon-reload")


@pytest.fixture
def quick(lab, host, play):
    """The timer looks every few seconds, and tokens live for a minute."""
    host.check_output("printf %%s %s > /etc/systemd/system/tell-the-admin.service; systemctl daemon-reload", HOOK)
    lab("POST", "/settings", {"access_token_lifetime": LIFETIME})
    lab("POST", "/person", {"account": MAILBOX})    # whatever another test left behind
    done = play("site", variables=QUICK)
    assert done.returncode == 0, done.stdout
    host.check_output("m365-relay token renew --force")
    lab("DELETE", "/requests")
    return lab


def renewals(lab):
    """Return the token requests that the lab has seen."""
    return [event for event in lab("GET", "/requests") if event["what"] == "signin token"]


def test_the_timer_renews_before_the_end_and_the_plugin_never_does(bed, quick, host):
    sent, end = [], time.monotonic() + WATCHED
    while time.monotonic() < end:
        sent.append(submit(bed["hosts"]["relay"]["addresses"][0]))
        time.sleep(2)
    assert [message_id for message_id in sent if len(quick.delivered(message_id)) != 1] == []
    assert "deferred" not in host.check_output("journalctl --no-pager --since=-%ss -t postfix/smtp", str(WATCHED))
    asked = renewals(quick)
    assert {event["agent"].split("/")[0] for event in asked} == {"python-requests"}, asked
    for grant in ("refresh_token", "client_credentials"):
        times = [event["time"] for event in asked if event["grant"] == grant]
        # A token of 60 seconds is renewed when 40 are left or less, at the next of the looks.
        assert WATCHED // (LIFETIME - 40 + PERIOD) - 1 <= len(times) <= WATCHED // (LIFETIME - 40) + 1, times


def test_a_failure_starts_the_units_hook_waits_and_heals(quick, host):
    host.check_output("rm -f /run/admin-was-told")
    quick("POST", "/faults", {"name": "http_503_retry_after"})
    wait_for("the hook", lambda: host.file("/run/admin-was-told").exists, 40)
    told = command(host, "token", "show")[1]
    assert {one["last_error"]["name"] for one in told} == {"service_trouble"} and all(one["next_attempt_at"] > one["last_attempt_at"] for one in told)
    quick("DELETE", "/faults")
    wait_for("the next renewal", lambda: not any(one["failures"] for one in command(host, "token", "show")[1]), 90)


def test_the_sandbox_is_tight(host):
    host.check_output("systemctl is-active m365-relay-token.timer && systemctl is-enabled m365-relay-token.timer")
    score = host.check_output("systemd-analyze security --no-pager m365-relay-token.service | tail -1").split(":")[1].split()[0]
    assert float(score) <= 3
