# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the plugin is missing, the relay signs in and renews, its doctor names what is missing, and mail waits in the queue."""

from __future__ import annotations

import json

import pytest
from conftest import FAMILIES, RECIPIENT, fingerprint, submit, wait_for

WAYS = [(port, login) for port in (25, 587, 465) for login in ("scanner", "scanner@corp.test")]


@pytest.fixture(autouse=True)
def empty_queue(host):
    """Leave nothing behind."""
    yield
    host.check_output("postsuper -d ALL")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("port", "login"), WAYS)
def test_mail_is_accepted_and_waits(bed, host, port, login, family):
    submit(bed["hosts"]["relay"]["addresses"][FAMILIES.index(family)], port, login)

    def waiting():
        queue = [json.loads(line) for line in host.check_output("postqueue -j").splitlines()]
        return [item for item in queue if item["queue_name"] == "deferred" and item["recipients"][0].get("delay_reason")]
    item = wait_for("a message that waits", waiting)[0]
    assert item["recipients"][0]["address"] == RECIPIENT


def test_without_the_plugin_site_yml_names_the_ways_out_and_touches_nothing(host, play):
    before = fingerprint(host)
    done = play("site", variables={"xoauth2_plugin_source": "debian"})
    assert done.returncode == 2, done.stdout
    for word in ("xoauth2_plugin_source", "Debian 12", "deb", "present", "Debian 14"):
        assert word in done.stdout, done.stdout
    assert fingerprint(host) == before


def test_present_without_a_plugin_is_an_error_too(play):
    done = play("site", variables={"xoauth2_plugin_source": "present"})
    assert done.returncode == 2, done.stdout
    assert "plugin" in done.stdout and "does not load" in done.stdout, done.stdout


def test_the_relay_is_signed_in_and_renews_with_the_msal_of_its_release(host, microsoft):
    assert json.loads(host.check_output("m365-relay token check --json"))
    microsoft("DELETE", "/requests")
    host.check_output("m365-relay token renew --force")
    asked = [event for event in microsoft("GET", "/requests") if event["what"] == "signin token"]
    assert [(event["result"], event["grant"]) for event in asked] == [("ok", "refresh_token")]
    assert host.service("m365-relay-token.timer").is_running


def test_the_doctor_names_the_plugin_and_proves_everything_else(host):
    done = host.run("m365-relay doctor --json")
    found = {finding["stage"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.rc == 10, done.stdout
    assert [stage for stage, finding in found.items() if finding["status"] == "failed"] == ["plugin"], done.stdout
    assert found["login"]["status"] == "ok", done.stdout
