# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a certificate and its key, in one sentence (private to the collection)."""

from __future__ import annotations

import contextlib
import os
import ssl

from ._commands import CommandError, run


def certificate_problem(certificate, key):
    """Return None when the server can use the PEM files `certificate` and `key`, or a sentence that says why not."""
    for what, path in (("certificate", certificate), ("key", key)):
        if not os.path.isfile(path):
            return f"The {what} {path} does not exist or is not a file."
        if not os.access(path, os.R_OK):
            return f"The {what} {path} cannot be read."
    return _key_problem(certificate, key) or _date_problem(certificate)


def leaf(certificate):
    """Return the first certificate of a PEM file as DER bytes: the one that a server shows. Raises OSError, ValueError."""
    with open(certificate, encoding="ascii", errors="replace") as stream:
        text = stream.read()
    end = "-----END CERTIFICATE-----"
    start = text.find("-----BEGIN CERTIFICATE-----")
    if start < 0 or end not in text[start:]:
        raise ValueError(f"{certificate} holds no PEM certificate")
    return ssl.PEM_cert_to_DER_cert(text[start:text.index(end, start) + len(end)])


def _key_problem(certificate, key):
    asked = []

    def passphrase():
        asked.append(True)
        return b""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=passphrase)
    except ssl.SSLError as error:
        if asked:
            return f"The key {key} is protected by a passphrase; Postfix needs it without one."
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"The key {key} does not belong to the certificate {certificate}."
        return f"The certificate {certificate} and the key {key} cannot be loaded as PEM files: {error.reason or error}."
    except (OSError, ValueError) as error:
        return f"The certificate {certificate} and the key {key} cannot be loaded: {error}."
    return None


def _date_problem(certificate):
    """Python cannot read the dates of a certificate that it does not trust; without openssl (a bare host) they stay unjudged."""
    with contextlib.suppress(CommandError):
        if run(["openssl", "x509", "-noout", "-checkend", "0", "-in", certificate], check=False).returncode == 1:
            return f"The certificate {certificate} has expired."
    return None
