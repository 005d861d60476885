# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of the app itself: by a secret, a certificate, or the host's managed identity (private to the collection)."""

from __future__ import annotations

import re

from . import _credentials, _signin, _tokens

PFX_SINCE, SHA256_SINCE, MANAGED_SINCE = (1, 29), (1, 35), (1, 29)  # versions of msal


def request(identity):
    """Ask Microsoft for a token of the app. Returns its answer. Raises SignInError."""
    answer = _managed(identity) if identity["grant"] == "managed_identity" else _confidential(identity)
    if "access_token" not in answer:
        raise _signin.refusal(answer, identity)
    return answer


def _confidential(identity):
    try:
        credential = _credential(identity)
    except _credentials.UnusableError as error:
        problem = _signin.SignInError("credential_unusable", identity, str(error))
    else:
        app = _signin.open_app(identity, credential)
        return _signin.ask(identity, lambda: app.acquire_token_for_client([identity["scope"]]))
    raise problem


def _credential(identity):
    """Return the app's secret or certificate in the form that this msal takes. Raises UnusableError."""
    path = identity["credential"]
    if identity["grant"] == "client_secret":
        return _credentials.read_secret(path)
    found = _credentials.read_certificate(path)
    if _version() >= SHA256_SINCE:
        return {"private_key": found.key, "public_certificate": found.certificate}
    if _version() >= PFX_SINCE and path.endswith(".pfx"):
        passphrase = _credentials.read_if_there(_credentials.passphrase_path(path))
        return {"private_key_pfx_path": path, "passphrase": passphrase.decode().strip() if passphrase else None}
    return {"private_key": found.key, "thumbprint": found.thumbprint}


def _managed(identity):
    """Ask the host's own identity service; it is reached without a proxy."""
    if _version() < MANAGED_SINCE:
        raise _signin.SignInError("managed_identity_unsupported", identity, f"This host has msal {_signin.libraries()[0].__version__}.")
    msal = _signin.libraries()[0]
    client = _signin.ask(identity, lambda: msal.ManagedIdentityClient(
        msal.UserAssignedManagedIdentity(client_id=identity["client_id"]), http_client=_signin.session(dict(identity, proxy="")),
    ))
    return _signin.ask(identity, lambda: client.acquire_token_for_client(resource=identity["scope"].removesuffix("/.default")))


def _version():
    return tuple(int(part) for part in re.findall(r"\d+", _signin.libraries()[0].__version__)[:2])


def check_result(identity, answer):
    """Raise SignInError unless Microsoft's answer is a token of this app, for its tenant, service and permission."""
    found = _tokens.claims(answer["access_token"])
    wrong = _tokens.mismatch(found, identity)
    for name, claim in (("wrong_client", "appid"), ("wrong_tenant", "tid"), ("wrong_audience", "aud")):
        if not wrong and not (found.get(claim) or (claim == "appid" and found.get("azp"))):
            wrong = (name, "It does not say.")
    if wrong:
        raise _signin.SignInError(wrong[0], identity, wrong[1])


def expires_at(identity):
    """Return when the certificate of an identity expires, in seconds since 1970; 0 when that is not known."""
    if identity["grant"] != "client_certificate":
        return 0
    try:
        return _credentials.read_certificate(identity["credential"]).expires_at
    except _credentials.UnusableError:
        return 0
