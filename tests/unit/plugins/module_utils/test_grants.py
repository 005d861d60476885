# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of the app itself, with the real msal against a scripted service; passes with every msal of Debian 12, 13 and 14."""

from __future__ import annotations

import base64
import http.server
import importlib
import json
import subprocess
import threading
from pathlib import Path

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _credentials, _grants, _renewal, _signin, _tokens
from ansible_collections.simple_m365.relay.tests.unit.plugins.sign_in_service import CLIENT, DISCOVERY, TENANT, access_token, failure

SECRET = "planted-client-secret"
VERSION = _grants._version()


def app_token(**claims):
    """Return an access token of the app, changed by `claims`."""
    return access_token(**{"upn": None, "scp": None, **claims})


def answer(**claims):
    """Return Microsoft's answer to an app."""
    return "token", (200, {"token_type": "Bearer", "expires_in": 3599, "access_token": app_token(**claims)})


@pytest.fixture
def app(identity, tmp_path):
    """The identity of an app with a secret."""
    path = tmp_path / "scans@corp.test.secret"
    path.write_text(f"{SECRET}\n", encoding="utf-8")
    return dict(identity, grant="client_secret", scope="https://outlook.office.com/.default", credential=str(path))


def certified(app, certificate, tmp_path, kind):
    """The identity of an app with a certificate as PEM or PFX, the PFX with a passphrase."""
    path = tmp_path / f"scans@corp.test.{kind}"
    if kind == "pem":
        path.write_bytes(b"".join(Path(part).read_bytes() for part in certificate))
    else:
        subprocess.run(["openssl", "pkcs12", "-export", "-in", certificate[0], "-inkey", certificate[1], "-out", path, "-passout", "pass:planted"],
                       check=True, capture_output=True)
        (tmp_path / "scans@corp.test.passphrase").write_text("planted\n", encoding="utf-8")
    return dict(app, grant="client_certificate", credential=str(path))


def test_secret(microsoft, app):
    microsoft.expects(DISCOVERY, answer())
    _grants.check_result(app, _grants.request(app))
    form = microsoft.requests[-1][1]
    assert (form["grant_type"], form["client_secret"], form["scope"]) == ("client_credentials", SECRET, "https://outlook.office.com/.default")


@pytest.mark.parametrize("kind", ["pem", "pfx"])
def test_certificate_signs_with_the_best_that_msal_has(microsoft, app, certificate, tmp_path, kind):
    identity = certified(app, certificate, tmp_path, kind)
    microsoft.expects(DISCOVERY, answer())
    _grants.check_result(identity, _grants.request(identity))
    form = microsoft.requests[-1][1]
    assert "client_secret" not in form and form["client_assertion_type"].endswith("jwt-bearer")
    jwt = importlib.import_module("jwt")
    header = jwt.get_unverified_header(form["client_assertion"])
    best = VERSION >= (1, 35) or (VERSION >= (1, 29) and kind == "pfx")
    assert (header["alg"], "x5t#S256" in header, "x5t" in header) == (("PS256", True, False) if best else ("RS256", False, True))
    found = _credentials.read_certificate(identity["credential"])
    if not best:
        assert base64.urlsafe_b64decode(header["x5t"] + "==").hex() == found.thumbprint
    public = importlib.import_module("cryptography.x509").load_pem_x509_certificate(found.certificate.encode()).public_key()
    claims = jwt.decode(form["client_assertion"], public, ["PS256", "RS256"], options={"verify_aud": False})
    assert claims["iss"] == claims["sub"] == CLIENT


REFUSED = {
    "wrong secret": (("token", failure("invalid_client", 7000215)), "client_secret_wrong"),
    "expired secret": (("token", failure("invalid_client", 7000222)), "client_secret_expired"),
    "app unknown": (("token", failure("unauthorized_client", 700016)), "app_unknown"),
    "Microsoft in trouble": (("token", (503, "oops")), "service_trouble"),
    "another tenant's": (answer(tid="66666666-7777-4888-8999-000000000000"), "wrong_tenant"),
    "of no tenant": (answer(tid=None), "wrong_tenant"),
    "another app's": (answer(appid=TENANT), "wrong_client"),
    "nobody's": (answer(appid=None), "wrong_client"),
    "for Graph": (answer(aud="https://graph.microsoft.com"), "wrong_audience"),
    "for nothing": (answer(aud=None), "wrong_audience"),
    "for reading mail": (answer(roles=["IMAP.AccessAsApp"]), "wrong_role"),
    "a person's": (answer(upn="scans@corp.test", scp="SMTP.Send"), "wrong_person"),
    "opaque": (("token", (200, {"token_type": "Bearer", "expires_in": 3599, "access_token": "opaque"})), "wrong_client"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_not_the_apps_own_token_is_never_stored(relay, microsoft, app, case):
    _tokens.store("scans@corp.test", b"what was there")
    microsoft.expects(DISCOVERY, case[0])
    found = _renewal.renew(app)
    assert (found["outcome"], found["error"].name) == ("failed", case[1])
    assert (relay / "tokens/scans@corp.test").read_bytes() == b"what was there"
    state = _renewal.known("scans@corp.test")
    assert state["last_error"]["name"] == case[1] and state["failures"] == 1
    assert SECRET not in str(found["error"]) + json.dumps(state)


def test_token_file_of_an_app_lets_the_plugin_send_nothing(relay, microsoft, app):
    microsoft.expects(DISCOVERY, answer(roles=["SMTP.SendAsApp"]))
    assert _renewal.renew(app)["outcome"] == "renewed"
    written = json.loads((relay / "tokens/scans@corp.test").read_bytes())
    assert (written["refresh_token"], written["user"]) == ("unused", "scans@corp.test")
    assert written["token_endpoint"].startswith("http://127.0.0.1:9/")
    state = _renewal.known("scans@corp.test")
    assert (state["whose"], state["granted"], state["grant"]) == (CLIENT, "SMTP.SendAsApp", "client_secret")
    assert _renewal.renew(app)["outcome"] == "fresh"


def test_the_certificates_end_is_known(relay, microsoft, app, certificate, tmp_path):
    identity = certified(app, certificate, tmp_path, "pfx")
    microsoft.expects(DISCOVERY, answer())
    _renewal.renew(identity)
    assert _renewal.known("scans@corp.test")["credential_expires_at"] == _credentials.read_certificate(identity["credential"]).expires_at


@pytest.mark.parametrize("name", ["", "secret", "pem"])
def test_credential_that_is_missing_is_named_without_asking(relay, app, name):
    found = _renewal.renew(dict(app, credential=f"/nonexistent/{name}", grant="client_certificate" if name == "pem" else "client_secret"))
    assert (found["outcome"], found["error"].name) == ("failed", "credential_unusable")
    assert "/nonexistent" in found["error"].happened


def test_a_grant_is_changed_by_an_ordinary_run(relay, microsoft, identity, app):
    _tokens.store("scans@corp.test", _tokens.content(identity, access_token(), "a person's", 4000000000))
    before = (relay / "tokens/scans@corp.test").read_bytes()
    microsoft.expects(DISCOVERY, ("token", failure("invalid_client", 7000215)))
    assert _renewal.renew(app)["outcome"] == "failed"
    assert (relay / "tokens/scans@corp.test").read_bytes() == before
    microsoft.expects(DISCOVERY, answer())
    assert _renewal.renew(app, impatient=True)["outcome"] == "renewed"
    back = _renewal.renew(identity)
    assert (back["outcome"], back["error"].name) == ("sign_in_required", "token_missing")


class Metadata(http.server.BaseHTTPRequestHandler):
    """The identity service of a virtual machine."""

    def do_GET(self):
        self.server.asked.append(self.path)
        payload = json.dumps({"access_token": app_token(), "expires_in": "3599", "resource": "x", "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_args):
        pass


def test_managed_identity(relay, app, monkeypatch):
    identity = dict(app, grant="managed_identity", credential="", proxy="http://127.0.0.1:9")
    server = http.server.HTTPServer(("127.0.0.1", 0), Metadata)
    server.asked = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{server.server_port}")
    found = _renewal.renew(identity)
    server.shutdown()
    server.server_close()
    if VERSION < (1, 29):
        assert (found["outcome"], found["error"].name) == ("failed", "managed_identity_unsupported")
        assert _signin.libraries()[0].__version__ in found["error"].happened
    else:
        assert found["outcome"] == "renewed", found["error"]
        assert len(server.asked) == 1 and "resource=https%3A%2F%2Foutlook.office.com" in server.asked[0] and CLIENT in server.asked[0]
