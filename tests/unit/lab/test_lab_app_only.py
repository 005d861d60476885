# SPDX-License-Identifier: GPL-3.0-or-later
"""client_credentials with a secret and with a certificate, driven by msal; the token opens the mailboxes in the app's scope."""
from __future__ import annotations

import base64
import time

import jwt
import msal
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from m365 import certificates, directory
from tester import APP_ONLY, MAILBOX, authenticate, claims, send

SCOPE = "https://outlook.office365.com/.default"


def app_only(lab, credential) -> dict:
    app = msal.ConfidentialClientApplication(APP_ONLY, client_credential=credential, authority=f"{lab.authority}/{directory.CORP}",
                                             instance_discovery=False, http_client=lab.session())
    return app.acquire_token_for_client([SCOPE])


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def check(lab, result: dict) -> None:
    found = claims(result["access_token"])
    assert (found["appid"], found["tid"], found["aud"], found["idtyp"]) == (APP_ONLY, directory.CORP, "https://outlook.office365.com", "app")
    assert "upn" not in found and "scp" not in found and "refresh_token" not in result
    with lab.smtp() as client:
        assert authenticate(client, MAILBOX, result["access_token"])[0] == 235
        assert send(client)[0] == 250


def test_secret(lab):
    check(lab, app_only(lab, directory.APPS[APP_ONLY]["secrets"][0]))


def test_wrong_secret(lab):
    answer = app_only(lab, "wrong")
    assert (answer["error"], answer["error_codes"]) == ("invalid_client", [7000215])


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_certificate(lab, key, kind):
    certificate = certificates.certificate("relay", key)
    lab.control("POST", "/apps", {"client_id": APP_ONLY, "certificates": [pem(certificate)]})
    thumbprint = {"thumbprint": certificate.fingerprint(hashes.SHA1()).hex()} if kind == "sha1" else {"public_certificate": pem(certificate)}
    check(lab, app_only(lab, {"private_key": certificates.pem(key).decode(), **thumbprint}))


def test_certificate_that_is_not_registered(lab, key):
    answer = app_only(lab, {"private_key": certificates.pem(key).decode(), "public_certificate": pem(certificates.certificate("relay", key))})
    assert answer["error_codes"] == [700027]


def test_registered_certificate_but_another_key(lab, key):
    certificate = certificates.certificate("relay", key)
    lab.control("POST", "/apps", {"client_id": APP_ONLY, "certificates": [pem(certificate)]})
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    answer = app_only(lab, {"private_key": certificates.pem(other).decode(), "public_certificate": pem(certificate)})
    assert answer["error_codes"] == [50012]


def test_expired_certificate(lab, key):
    certificate = certificates.certificate("relay", key, days=(-9, -1))
    lab.control("POST", "/apps", {"client_id": APP_ONLY, "certificates": [pem(certificate)]})
    answer = app_only(lab, {"private_key": certificates.pem(key).decode(), "public_certificate": pem(certificate)})
    assert answer["error_codes"] == [7000222]


@pytest.mark.parametrize(("subject", "assertion", "code"), [(APP_ONLY, None, None), ("somebody else", None, 700027), (APP_ONLY, "nonsense", 50012)])
def test_an_assertion_has_to_be_about_the_app_itself(lab, key, subject, assertion, code):
    certificate = certificates.certificate("relay", key)
    lab.control("POST", "/apps", {"client_id": APP_ONLY, "certificates": [pem(certificate)]})
    thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).decode().rstrip("=")
    made = jwt.encode({"iss": APP_ONLY, "sub": subject, "aud": "x", "exp": time.time() + 60}, key, "RS256", {"x5t#S256": thumbprint})
    answer = lab.post(f"{directory.CORP}/oauth2/v2.0/token", {
        "grant_type": "client_credentials", "client_id": APP_ONLY, "scope": SCOPE, "client_assertion": assertion or made,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}).json()
    assert answer.get("error_codes") == (code and [code])


def test_roles_of_the_classic_way_stand_in_the_token(lab):
    lab.control("POST", "/apps", {"client_id": APP_ONLY, "roles": ["SMTP.SendAsApp"]})
    assert claims(app_only(lab, directory.APPS[APP_ONLY]["secrets"][0])["access_token"])["roles"] == ["SMTP.SendAsApp"]
