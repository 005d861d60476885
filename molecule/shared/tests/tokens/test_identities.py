# SPDX-License-Identifier: GPL-3.0-or-later
"""Several identities in two tenants: each has its own token, and what happens to one touches no other."""

from __future__ import annotations

import pytest
from apps import APP, CORP, OTHER, OTHER_APP, SECRET, certificates, command, signs_in
from conftest import MAILBOX

NOBODY = {"xoauth2_mailbox": None, "xoauth2_tenant_id": None, "xoauth2_client_id": None}
STRANGER = "relay@other.test"


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three identities: two apps' and a person's in another tenant; and the certificate of the second."""
    pem, _pfx, text = certificates(tmp_path_factory.mktemp("app"))
    return [
        {"mailbox": MAILBOX, "tenant_id": CORP, "client_id": APP, "grant": "client_secret", "client_secret": SECRET},
        {"mailbox": "billing@corp.test", "tenant_id": CORP, "client_id": APP, "grant": "client_certificate", "client_certificate": pem},
        {"mailbox": STRANGER, "tenant_id": OTHER, "client_id": OTHER_APP},
    ], text


@pytest.fixture
def signed_in(lab, play, three):
    """All three are signed in."""
    lab("POST", "/apps", {"client_id": APP, "certificates": [three[1]]})
    lab("POST", "/person", {"account": STRANGER})
    done = play("site", variables={"xoauth2_identities": three[0]})
    assert done.returncode == 0, done.stdout
    return done


@pytest.fixture(scope="module", autouse=True)
def one_again(deploy):
    """In the end there is the usual identity alone."""
    yield
    deploy()


def tokens(host):
    """Return what every file of tokens and credentials holds, as checksums."""
    return dict(reversed(line.split()) for line in host.check_output(
        "cd / && sha256sum var/lib/m365-relay/tokens/* etc/m365-relay/credentials/*").splitlines())


def test_each_has_a_token_that_opens_its_mailbox(signed_in, host, three):
    code, told = command(host, "token", "check")
    assert (code, [(one["mailbox"], one["good"]) for one in told]) == (0, [(one["mailbox"], True) for one in three[0]])
    assert all(signs_in(host, one["mailbox"]) for one in three[0])


def test_one_that_microsoft_refuses_is_named_and_the_others_are_renewed(signed_in, lab, host):
    lab("POST", "/faults", {"name": "aadsts_53003", "account": STRANGER, "grant": "refresh_token"})
    code, told = command(host, "token", "renew", "--force")
    assert code == 1
    assert [(one["mailbox"], one["outcome"], one["problem"]) for one in told] == [
        (MAILBOX, "renewed", ""), ("billing@corp.test", "renewed", ""), (STRANGER, "sign_in_required", "conditional_access")]
    assert all(signs_in(host, mailbox) for mailbox in (MAILBOX, "billing@corp.test", STRANGER))    # what it had lives on


def test_one_that_is_taken_away_loses_everything_and_the_others_nothing(signed_in, lab, host, play, three):
    before = tokens(host)
    done = play("site", variables={"xoauth2_identities": [three[0][0], three[0][2]]})
    assert done.returncode == 0, done.stdout
    assert tokens(host) == {path: content for path, content in before.items() if "billing" not in path}
    assert "billing" not in host.check_output("ls -R /var/lib/m365-relay /etc/m365-relay; cat /etc/m365-relay/relay.json")
    lab("POST", "/apps", {"client_id": APP, "certificates": [three[1]]})
    left = tokens(host)
    done = play("site", variables={"xoauth2_identities": three[0]})
    assert done.returncode == 0, done.stdout
    after = tokens(host)
    assert {path: content for path, content in after.items() if path in left} == left and len(after) == len(left) + 2
    assert signs_in(host, "billing@corp.test")
