# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that are not open: the sign-in goes through a proxy, and is verified by the authority that the inventory names."""

from __future__ import annotations

import json

import pytest
from conftest import MAILBOX, expire, refreshes_by_the_plugin, submit, token_file

LOG = "/var/log/tinyproxy/tinyproxy.log"
AUTHORITY, STRANGER = "/etc/ssl/authority.pem", "/etc/ssl/stranger.pem"
MAKE = f"""
set -e
cp /usr/local/share/ca-certificates/m365-lab.crt {AUTHORITY}
openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=stranger -keyout /dev/null -out {STRANGER} 2>&1
"""


@pytest.fixture(scope="module", autouse=True)
def usual_again(deploy):
    """In the end the relay is as it was."""
    yield
    deploy()


@pytest.fixture
def proxied(host, deploy):
    """A relay behind a real proxy; give a function that counts the connections to Microsoft's sign-in that went through it."""
    host.check_output("export DEBIAN_FRONTEND=noninteractive; apt-get install -q -y --no-install-recommends tinyproxy >/dev/null")
    deploy({"xoauth2_proxy": "http://127.0.0.1:8888"})
    return lambda: int(host.check_output("grep -c 'CONNECT login.microsoftonline.com:443' %s || true", LOG))


def test_the_renewal_and_the_plugin_go_through_the_proxy(bed, lab, host, proxied):
    before = proxied()
    host.check_output("m365-relay token renew --force")
    renewed = proxied()
    assert renewed > before
    expire(host)
    assert len(lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0]))) == 1
    assert len(refreshes_by_the_plugin(lab)) == 1
    assert proxied() > renewed
    assert host.run("m365-relay doctor").rc == 0


def test_a_dead_proxy_is_no_reason_to_go_without_it(lab, host, proxied):
    token = token_file(host)
    host.check_output("systemctl stop tinyproxy")
    told = json.loads(host.run("m365-relay token renew --force --json").stdout)
    assert [one["problem"] for one in told] == ["proxy_unreachable"]
    assert token_file(host) == token
    host.check_output("systemctl start tinyproxy; m365-relay token renew --force")


@pytest.mark.parametrize(("authority", "problem"), [(AUTHORITY, ""), (STRANGER, "tls_failure")])
def test_the_sign_in_is_verified_by_the_authority_that_is_named(host, lab, play, authority, problem):
    host.check_output(MAKE)
    lab("POST", "/person", {"account": MAILBOX})
    done = play("site", variables={"xoauth2_ca_file": authority})
    assert (done.returncode == 0) == (not problem), done.stdout
    told = json.loads(host.run("m365-relay token renew --force --json").stdout)
    assert [one["problem"] for one in told] == [problem]
