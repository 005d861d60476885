# SPDX-License-Identifier: GPL-3.0-or-later
"""What the variables make of an identity: its own values, then the role's, then its cloud's."""

from __future__ import annotations

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _clouds, _tokens

ONE = {"mailbox": "Scans@corp.test", "tenant_id": "t", "client_id": "c"}
KEYS = {
    "mailbox", "sign_in_as", "tenant_id", "client_id", "grant", "login_host", "scope", "audiences", "smtp_host", "smtp_port", "refresh_window", "credential",
    "proxy", "ca_file",
}


def made(one=None, **settings):
    """The whole identity of ONE with more keys, under variables without their prefix."""
    return _clouds.identity({**ONE, **(one or {})}, {f"xoauth2_{name}": value for name, value in settings.items()})


def test_every_key_is_there():
    assert set(made()) == KEYS
    assert made() == {
        **ONE, "sign_in_as": "Scans@corp.test", "grant": "device_code", "login_host": "login.microsoftonline.com",
        "scope": "https://outlook.office.com/SMTP.Send", "audiences": ["https://outlook.office.com", "https://outlook.office365.com"],
        "smtp_host": "smtp.office365.com", "smtp_port": 587, "refresh_window": 300, "credential": "", "proxy": "",
        "ca_file": "/etc/ssl/certs/ca-certificates.crt",
    }


@pytest.mark.parametrize("name", [name for name in _clouds.CLOUDS if name != "custom"])
@pytest.mark.parametrize("grant", _clouds.GRANTS)
def test_a_cloud_is_whole(name, grant):
    found = made({"grant": grant}, cloud=name)
    assert found["scope"].endswith("/SMTP.Send" if grant == "device_code" else "/.default")
    assert found["scope"].rpartition("/")[0] in found["audiences"]
    assert found["smtp_host"] == _clouds.CLOUDS[name]["smtp_host"]


def test_no_two_clouds_share_a_mail_server():
    hosts = [place["smtp_host"] for place in _clouds.CLOUDS.values()]
    assert len(set(hosts)) == len(hosts)


SCOPES = {
    "a person's": ("device_code", "https://own.test/SMTP.Send", "https://own.test/SMTP.Send"),
    "an app's from a person's": ("client_secret", "https://own.test/SMTP.Send", "https://own.test/.default"),
    "an app's": ("client_secret", "https://own.test/.default", "https://own.test/.default"),
    "a person's from an app's": ("device_code", "https://own.test/.default", "https://own.test/SMTP.Send"),
    "the cloud's own": ("client_secret", "https://outlook.office.com/SMTP.Send", "https://outlook.office365.com/.default"),
}


@pytest.mark.parametrize(("grant", "scope", "expected"), SCOPES.values(), ids=SCOPES)
def test_a_scope_fits_its_grant(grant, scope, expected):
    assert made({"grant": grant}, scope=scope)["scope"] == expected


def test_an_identity_of_another_cloud_takes_nothing_from_the_others():
    settings = {"cloud": "usgov", "login_host": "login.own.test", "smtp_host": "smtp.own.test", "scope": "https://own.test/SMTP.Send"}
    assert made({"cloud": "china"}, **settings)["smtp_host"] == "smtp.partner.outlook.cn"
    assert made({"cloud": "china"}, **settings)["login_host"] == "login.partner.microsoftonline.cn"
    assert made(**settings)["smtp_host"] == "smtp.own.test"
    assert made({"smtp_host": "smtp.hve.mx.microsoft"}, **settings)["smtp_host"] == "smtp.hve.mx.microsoft"


@pytest.mark.parametrize(("one", "path"), [
    ({"grant": "client_secret"}, "scans@corp.test.secret"),
    ({"grant": "client_certificate", "client_certificate": "/srv/a.pem"}, "scans@corp.test.pem"),
    ({"grant": "client_certificate", "client_certificate": "/srv/a.P12"}, "scans@corp.test.pfx"),
])
def test_where_a_credential_lies(one, path):
    assert made({**one, "client_secret": "planted"})["credential"] == f"/etc/m365-relay/credentials/{path}"
    assert "planted" not in repr(made({**one, "client_secret": "planted"}))


def test_managed_identities_and_persons_have_no_credential():
    assert made({"grant": "managed_identity"})["credential"] == made()["credential"] == ""
    assert _tokens.is_app_only(made({"grant": "managed_identity"}))
