# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and secrets: every form is read, what cannot be used is named, and the files are root's alone."""

from __future__ import annotations

import base64
import datetime
import importlib
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _clouds, _credentials

PASSPHRASE = "planted-passphrase"


def expired(key):
    """Return a certificate (PEM) for a key (PEM) that ended a week ago."""
    x509, serialization, hashes = (importlib.import_module(f"cryptography.{name}") for name in (
        "x509", "hazmat.primitives.serialization", "hazmat.primitives.hashes"))
    loaded, name = serialization.load_pem_private_key(key, None), x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "old")])
    week = datetime.timedelta(days=7)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(loaded.public_key()).serial_number(1)
    now = datetime.datetime.now(datetime.UTC)
    return made.not_valid_before(now - 2 * week).not_valid_after(now - week).sign(loaded, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def openssl(*arguments):
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def files(certificate, tmp_path_factory):
    """The certificate and key of the tests in every form: {name: content}."""
    folder = tmp_path_factory.mktemp("forms")
    cert, key = certificate
    openssl("rsa", "-in", key, "-aes256", "-passout", f"pass:{PASSPHRASE}", "-traditional", "-out", folder / "old.key")
    openssl("pkcs8", "-topk8", "-in", key, "-passout", f"pass:{PASSPHRASE}", "-out", folder / "new.key")
    for name, secret in (("plain", ""), ("locked", PASSPHRASE)):
        openssl("pkcs12", "-export", "-in", cert, "-inkey", key, "-out", folder / f"{name}.pfx", "-passout", f"pass:{secret}")
    openssl("genrsa", "-out", folder / "other.key", "2048")
    (folder / "old.pem").write_bytes(expired(Path(key).read_bytes()))
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "ec.key")
    openssl("req", "-x509", "-new", "-key", folder / "ec.key", "-days", "1", "-subj", "/CN=ec", "-out", folder / "ec.pem")

    def read(*names):
        return b"".join((folder / name).read_bytes() for name in names)

    return {
        "pem": read(cert, key), "pem, key first": read(key, cert), "pem with a passphrase": read(cert, "new.key"),
        "pem with a passphrase in the old form": read(cert, "old.key"), "pfx": read("plain.pfx"), "pfx with a passphrase": read("locked.pfx"),
        "no key": read(cert), "no certificate": read(key), "another key": read(cert, "other.key"), "expired": read("old.pem", key),
        "not RSA": read("ec.pem", "ec.key"),
    }


@pytest.mark.parametrize(("name", "passphrase"), [
    ("pem", ""), ("pem", PASSPHRASE), ("pem, key first", ""), ("pem with a passphrase", PASSPHRASE), ("pem with a passphrase in the old form", PASSPHRASE),
    ("pfx", ""), ("pfx with a passphrase", PASSPHRASE),
])
def test_every_form_is_the_same_certificate(files, name, passphrase):
    found, plain = _credentials.parse(files[name], passphrase), _credentials.parse(files["pem"])
    assert found[1:] == plain[1:]
    assert found.key.startswith("-----BEGIN PRIVATE KEY-----") and found.expires_at > time.time() > found.begins_at - 5


@pytest.mark.parametrize(("name", "passphrase", "words"), [
    ("pem with a passphrase", "", "has a passphrase, and none is given"), ("pem with a passphrase", "wrong", "passphrase does not open it"),
    ("pfx with a passphrase", "", "needs a passphrase"), ("pfx with a passphrase", "wrong", "passphrase does not open it"),
    ("no key", "", "no private key"), ("no certificate", "", "no certificate"), ("another key", "", "does not belong"), ("not RSA", "", "not an RSA key"),
])
def test_what_cannot_be_used_is_named(files, name, passphrase, words):
    with pytest.raises(_credentials.UnusableError, match=words):
        _credentials.parse(files[name], passphrase)


@pytest.mark.parametrize("content", [
    b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nplanted\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----",
])
def test_damaged_files_are_not_quoted(content):
    with pytest.raises(_credentials.UnusableError) as raised:
        _credentials.parse(content)
    assert "planted" not in str(raised.value) and raised.value.__cause__ is None


def test_dates(files):
    found = _credentials.parse(files["expired"])
    assert "has expired on" in _credentials.date_problem(found, time.time())
    assert "is not valid before" in _credentials.date_problem(found, found.begins_at - 86400)
    assert _credentials.date_problem(_credentials.parse(files["pem"]), time.time()) is None


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The directory of credentials."""
    for module, name in ((_credentials, "FOLDER"), (_clouds, "CREDENTIALS")):
        monkeypatch.setattr(module, name, str(tmp_path / "credentials"))
    return tmp_path / "credentials"


def identities(files):
    """Two apps, as the inventory has them once the certificate was read."""
    return [
        {"mailbox": "Scans@corp.test", "grant": "client_secret", "client_secret": "planted-secret"},
        {"mailbox": "billing@corp.test", "grant": "client_certificate", "client_certificate": "/srv/app.p12", "client_certificate_passphrase": PASSPHRASE,
         "content": base64.b64encode(files["pfx with a passphrase"]).decode()},
        {"mailbox": "person@corp.test"},
    ]


def test_files_are_stored_for_root_alone_and_only_when_they_change(files, folder):
    wanted = identities(files)
    assert len(_credentials.store(wanted, check_only=True)) == 3 and not folder.exists()
    assert len(_credentials.store(wanted)) == 3
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == dict.fromkeys(
        ("scans@corp.test.secret", "billing@corp.test.pfx", "billing@corp.test.passphrase"), 0o600)
    assert _credentials.store(wanted) == []
    assert _credentials.read_secret(str(folder / "scans@corp.test.secret")) == "planted-secret"
    assert _credentials.read_certificate(str(folder / "billing@corp.test.pfx")).thumbprint == _credentials.parse(files["pem"]).thumbprint


def test_a_passphrase_goes_with_the_form_that_had_it(files, folder):
    wanted = identities(files)
    _credentials.store(wanted)
    wanted[1].update(client_certificate_passphrase="", content=base64.b64encode(files["pfx"]).decode())
    assert sorted(os.path.basename(path) for path in _credentials.store(wanted)) == ["billing@corp.test.passphrase", "billing@corp.test.pfx"]
    assert sorted(os.listdir(folder)) == ["billing@corp.test.pfx", "scans@corp.test.secret"]


@pytest.mark.parametrize("name", ["expired", "another key", "no key"])
def test_a_certificate_that_cannot_be_used_leaves_everything(files, folder, name):
    wanted = identities(files)
    wanted[1].update(client_certificate="/srv/app.pem", client_certificate_passphrase="", content=base64.b64encode(files[name]).decode())
    with pytest.raises(_credentials.UnusableError, match=r"billing@corp\.test"):
        _credentials.store(wanted)
    assert not folder.exists()


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_secret_that_is_not_there(tmp_path, content):
    if content is not None:
        (tmp_path / "x.secret").write_bytes(content)
    with pytest.raises(_credentials.UnusableError, match=r"x\.secret"):
        _credentials.read_secret(str(tmp_path / "x.secret"))
