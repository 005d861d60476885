# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the plugin is missing, site.yml says so before it touches anything; without it mail waits in the queue."""

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
    done = play("site")
    assert done.returncode == 2, done.stdout
    for word in ("xoauth2_plugin_source", "Debian 12", "deb", "present", "Debian 14"):
        assert word in done.stdout, done.stdout
    assert fingerprint(host) == before


def test_present_without_a_plugin_is_an_error_too(play):
    done = play("site", variables={"xoauth2_plugin_source": "present"})
    assert done.returncode == 2, done.stdout
    assert "plugin" in done.stdout and "does not load" in done.stdout, done.stdout
