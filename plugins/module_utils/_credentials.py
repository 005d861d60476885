# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret or certificate with which an app signs in by itself (private to the collection).

On a host they are files that only root can read: <mailbox>.secret, .pem or .pfx, and .passphrase. Used on the controller too, to
judge a certificate before anything is touched.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import importlib
import os
import re
import stat
import time
from typing import NamedTuple

from ._clouds import CREDENTIALS as FOLDER
from ._clouds import credential as path_of
from ._files import read_if_there, write_atomically

PEM_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
PEM_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


class UnusableError(ValueError):
    """A secret or certificate that cannot be used; the text says why and holds nothing of it."""


class Certificate(NamedTuple):
    """A certificate with its key."""

    key: str              # PEM, without passphrase: it never leaves the process
    certificate: str      # PEM
    thumbprint: str       # SHA-1 in hexadecimal digits, as Entra's pages show it
    begins_at: int
    expires_at: int


def passphrase_path(path):
    """Return where the passphrase of a certificate's file stands."""
    return os.path.splitext(path)[0] + ".passphrase"


def read_secret(path):
    """Return the secret in a file. Raises UnusableError."""
    content = _read(path)
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret:
        raise UnusableError(f"{path} holds no secret.")
    return secret


def read_certificate(path):
    """Return the Certificate in a file. Raises UnusableError."""
    passphrase = read_if_there(passphrase_path(path))
    return parse(_read(path), passphrase.decode().strip() if passphrase else "")


def _read(path):
    try:
        content = read_if_there(path)
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror}.") from error
    if content is None:
        raise UnusableError(f"There is no file {path}.")
    return content


def parse(content, passphrase=""):
    """Return the Certificate in the content (bytes) of a PEM or PFX file. Raises UnusableError."""
    secret = passphrase.encode() or None
    try:
        key, certificate = (_from_pem if b"-----BEGIN" in content else _from_pfx)(content, secret)
    except (ValueError, TypeError) as error:
        trouble = error if isinstance(error, UnusableError) else UnusableError(_why(content, secret))
    else:
        return _certificate(key, certificate)
    raise trouble  # Outside, because the error's own text may quote the file.


def is_pfx(content):
    """Tell whether the content of a file is PFX (PKCS 12) and not PEM."""
    return b"-----BEGIN" not in content


def _why(content, secret):
    kind = "PFX" if is_pfx(content) else "PEM"
    words = "The passphrase does not open it" if secret else "It is damaged, or needs a passphrase"
    return f"The {kind} file cannot be read. {words}."


def _from_pem(content, secret):
    x509, serialization = importlib.import_module("cryptography.x509"), importlib.import_module("cryptography.hazmat.primitives.serialization")
    certificates, key = PEM_CERTIFICATE.findall(content), PEM_KEY.search(content)
    if not certificates or not key:
        raise UnusableError(f"The PEM file holds no {'private key' if certificates else 'certificate'}; it has to hold both.")
    encrypted = b"ENCRYPTED" in key.group()
    if encrypted and not secret:
        raise UnusableError("The private key in the PEM file has a passphrase, and none is given.")
    loaded = serialization.load_pem_private_key(key.group(), secret if encrypted else None)
    for text in certificates:
        certificate = x509.load_pem_x509_certificate(text)
        if _belongs(loaded, certificate):
            return loaded, certificate
    raise UnusableError("The private key does not belong to the certificate.")


def _from_pfx(content, secret):
    pkcs12 = importlib.import_module("cryptography.hazmat.primitives.serialization.pkcs12")
    key, certificate, _chain = pkcs12.load_key_and_certificates(content, secret)
    if not key or not certificate:
        raise UnusableError("The PFX file has to hold a certificate and its private key.")
    if not _belongs(key, certificate):
        raise UnusableError("The private key does not belong to the certificate.")
    return key, certificate


def _belongs(key, certificate):
    serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form)


def _certificate(key, certificate):
    serialization, hashes = (importlib.import_module(f"cryptography.hazmat.primitives.{name}") for name in ("serialization", "hashes"))
    if not hasattr(key, "private_numbers") or not hasattr(key.public_key().public_numbers(), "n"):
        raise UnusableError("Its key is not an RSA key, the only kind that Entra accepts for an app.")
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return Certificate(
        text, certificate.public_bytes(serialization.Encoding.PEM).decode(), certificate.fingerprint(hashes.SHA1()).hex(),
        _seconds(certificate, "not_valid_before"), _seconds(certificate, "not_valid_after"),
    )


def _seconds(certificate, name):
    """Return a date of a certificate in seconds since 1970; Debian 12 only has the names without _utc."""
    moment = getattr(certificate, f"{name}_utc", None) or getattr(certificate, name).replace(tzinfo=datetime.UTC)
    return int(moment.timestamp())


def date_problem(found, now):
    """Return why a certificate is not good at a time, as a sentence, or None."""
    day = "%Y-%m-%d"
    if found.expires_at <= now:
        when = time.strftime(day, time.gmtime(found.expires_at))
        return f"has expired on {when}. Write the path of a new one, and upload that in Entra too (your app > Certificates & secrets > Certificates)."
    if found.begins_at > now:
        return f"is not valid before {time.strftime(day, time.gmtime(found.begins_at))}. Write the path of one that is valid now, or set the clock."
    return None


def wanted_files(identities):
    """Return {path: content, None for one that is not to be there} for identities as the inventory has them.

    client_certificate is a path on the controller; `content` is what it holds, in base 64. Raises UnusableError.
    """
    wanted = {}
    for one in identities:
        path = path_of(one)
        if one.get("grant") == "client_secret":
            wanted[path] = f"{one.get('client_secret') or ''}\n".encode()
        elif one.get("grant") == "client_certificate":
            passphrase = one.get("client_certificate_passphrase") or ""
            wanted[path] = _judged(one, passphrase)
            wanted[passphrase_path(path)] = f"{passphrase}\n".encode() if passphrase else None
    return wanted


def _judged(one, passphrase):
    """Return the content of a certificate's file, if it can be used."""
    try:
        content = base64.b64decode(one.get("content") or "", validate=True)
    except binascii.Error:
        content = b""
    try:
        problem = date_problem(parse(content, passphrase), time.time())
    except ImportError:  # In check mode, on a host that has no packages yet.
        problem = None
    if problem:
        raise UnusableError(f"The certificate of {one['mailbox']} {problem}")
    return content


def store(identities, check_only=False):
    """Write the credentials of identities. Returns the paths that changed. Raises UnusableError, and then nothing was written."""
    wanted = wanted_files(identities)
    changed = [path for path, content in wanted.items() if not _is_there(path, content)]
    if changed and not check_only:
        os.makedirs(FOLDER, mode=0o700, exist_ok=True)
        os.chmod(FOLDER, 0o700)
        for path in changed:
            if wanted[path] is None:
                os.unlink(path)
            else:
                write_atomically(path, wanted[path], 0o600, os.getuid(), os.getgid())
    return changed


def _is_there(path, content):
    if read_if_there(path) != content:
        return False
    if content is None:
        return True
    status = os.lstat(path)
    return (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.getuid())
