# SPDX-License-Identifier: GPL-3.0-or-later
"""Apps that sign in by themselves: every credential gets a token that opens the mailbox, and a grant is changed by an ordinary run."""

from __future__ import annotations

import json
import pathlib

import pytest
from apps import APP, PASSPHRASE, SECRET, certificates, command, signs_in, token_of
from conftest import MAILBOX, fingerprint, submit, token_file


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    """The app's certificate in both forms, and its text."""
    return certificates(tmp_path_factory.mktemp("app"))


def variables(grant, credentials):
    """The variables that choose a grant."""
    pem, pfx, _text = credentials
    more = {
        "client_secret": {"xoauth2_client_secret": SECRET},
        "pem": {"xoauth2_client_certificate": pem},
        "pfx": {"xoauth2_client_certificate": pfx, "xoauth2_client_certificate_passphrase": PASSPHRASE},
    }[grant]
    return {"xoauth2_client_id": APP, "xoauth2_grant": "client_secret" if grant == "client_secret" else "client_certificate", **more}


@pytest.fixture(scope="module", autouse=True)
def person_again(deploy):
    """In the end the relay is signed in by a person again, which is an ordinary run too."""
    yield
    deploy()


@pytest.mark.parametrize("grant", ["client_secret", "pem", "pfx"])
def test_an_app_signs_in_and_delivers_in_the_same_run(bed, lab, host, play, credentials, grant):
    lab("POST", "/apps", {"client_id": APP, "certificates": [credentials[2]]})
    done = play("site", "-vvv", "--diff", variables=variables(grant, credentials))
    assert done.returncode == 0, done.stdout
    token = token_of(host, MAILBOX)
    assert (token["client_id"], token["refresh_token"]) == (APP, "unused") and token["token_endpoint"].startswith("http://127.0.0.1:9/")
    assert signs_in(host, MAILBOX)
    assert len(lab.delivered(submit(bed["hosts"]["relay"]["addresses"][0]))) == 1
    key = pathlib.Path(credentials[0]).read_text(encoding="utf-8").split("-----")[-3].split()[3]
    settings = host.check_output("cat /etc/m365-relay/relay.json /var/lib/m365-relay/state/*")
    journal = host.check_output("journalctl --no-pager --since=-10min")
    for secret in (SECRET, PASSPHRASE, key, token["access_token"]):
        assert secret not in done.stdout and secret not in settings and secret not in journal
    listing = host.check_output("find /etc/m365-relay/credentials -printf '%f %m %U\n'").split("\n")
    kinds = {"client_secret": ["secret"], "pem": ["pem"], "pfx": ["pfx", "passphrase"]}[grant]
    assert sorted(listing) == sorted(["credentials 700 0", *(f"{MAILBOX}.{kind} 600 0" for kind in kinds)])


def test_nothing_changes_in_the_next_run(lab, host, play, credentials):
    before = fingerprint(host)
    done = play("site", variables=variables("pfx", credentials))
    assert done.returncode == 0 and "changed=0" in done.stdout, done.stdout
    assert fingerprint(host) == before


REFUSED = {
    "a wrong secret": ({}, "client_secret", {"xoauth2_client_secret": "Zz8Q~another-secret-that-nobody-knows-0123"}, ["7000215", "Secret ID"]),
    "a certificate that the app does not know": ({"certificates": []}, "pem", {}, ["700027", "Upload certificate"]),
    "a role for something else": ({"roles": ["IMAP.AccessAsApp"]}, "client_secret", {}, ["IMAP.AccessAsApp", "SMTP.SendAsApp"]),
    "an app of another tenant": ({}, "client_secret", {"xoauth2_client_id": "dddddddd-eeee-4fff-8000-111111111111"}, ["700016", "xoauth2_client_id"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_app_fails_the_run_with_cause_and_remedy_and_leaves_the_token(lab, host, play, credentials, name):
    changes, grant, more, words = REFUSED[name]
    host.check_output("m365-relay token renew --force; true")
    before = token_file(host)
    lab("POST", "/apps", {"client_id": APP, "certificates": [credentials[2]], **changes})
    host.check_output("cp -p /var/lib/m365-relay/tokens/%s /root/kept", MAILBOX)
    expired = dict(json.loads(before), expiry="1")
    host.check_output("printf %%s %s > /var/lib/m365-relay/tokens/%s", json.dumps(expired), MAILBOX)
    done = play("site", variables={**variables(grant, credentials), **more})
    after = token_file(host)
    host.check_output("mv /root/kept /var/lib/m365-relay/tokens/%s", MAILBOX)
    assert done.returncode == 2, done.stdout
    assert [word for word in words if word not in done.stdout] == [], done.stdout
    assert json.loads(after) == expired
    assert command(host, "token", "show")[1][0]["last_error"]["name"]
