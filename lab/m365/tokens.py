# SPDX-License-Identifier: GPL-3.0-or-later
"""Access tokens, id tokens and refresh tokens: made and checked here only.

Access tokens look like the version 1.0 tokens that Entra makes for Exchange. Refresh tokens are opaque to clients; inside is what the lab needs to
know, encrypted, so that nothing has to be stored and tokens outlive a restart.
"""
from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import jwt
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .certificates import pem, write
from .directory import SMTP_RESOURCES, TENANTS


class Keys(NamedTuple):
    private: rsa.RSAPrivateKey
    public: rsa.RSAPublicKey
    kid: str
    fernet: Fernet


class BadToken(Exception):
    """Why a token is not good; for the lab's own log, clients only see that it is not."""


def keys(folder: Path) -> Keys:
    """The signing key and the key of the refresh tokens, made once."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / "signing.pem").exists():
        write(folder / "signing.pem", pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
    if not (folder / "refresh.key").exists():
        write(folder / "refresh.key", Fernet.generate_key())
    private = serialization.load_pem_private_key((folder / "signing.pem").read_bytes(), None)
    public = private.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    kid = base64.urlsafe_b64encode(hashlib.sha1(der).digest()).decode().rstrip("=")
    return Keys(private, public, kid, Fernet((folder / "refresh.key").read_bytes()))


def ident(*parts: str) -> str:
    """A GUID that is always the same for the same thing: object ids of accounts and apps."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(parts)))


def jwks(keys: Keys) -> dict:
    made = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(keys.public))
    return {"keys": [{"kty": "RSA", "use": "sig", "kid": keys.kid, "x5t": keys.kid, "n": made["n"], "e": made["e"]}]}


def access_token(keys: Keys, *, tenant: str, client: str, app_name: str, audience: str, lifetime: float, user: str = "", scope: str = "",
                 roles=()) -> str:
    """For a user with a scope, or for the app itself with roles."""
    now = time.time()
    oid = ident("account", user) if user else ident("service principal", client)
    claims = {
        "aud": audience, "iss": f"https://sts.windows.net/{tenant}/", "iat": int(now), "nbf": int(now), "exp": int(now + lifetime),
        "aio": base64.b64encode(secrets.token_bytes(96)).decode(), "app_displayname": app_name, "appid": client, "appidacr": "0" if user else "1",
        "enfpolids": [], "idtyp": "user" if user else "app", "oid": oid, "rh": "1." + secrets.token_urlsafe(60), "sid": str(uuid.uuid4()),
        "sub": hashlib.sha256(oid.encode()).hexdigest()[:43], "tid": tenant, "uti": secrets.token_urlsafe(16), "ver": "1.0",
        "tenant_region_scope": "EU", "xms_acd": 1767225600, "xms_act_fct": "3 9", "xms_ftd": secrets.token_urlsafe(44),
        "xms_idrel": "1 16", "xms_sub_fct": "3 4", "xms_tcdt": 1577836800, "xms_tnt_fct": "3 16", "xms_tdbr": "EU",
    }
    if user:
        name = user.partition("@")[0]
        claims |= {
            "acct": 0, "acr": "1", "amr": ["pwd", "mfa"], "family_name": name.title(), "given_name": "Relay", "ipaddr": "192.0.2.10", "name": name.title(),
            "puid": "1003" + oid.replace("-", "")[:12].upper(), "scp": scope, "signin_state": ["kmsi"], "unique_name": user, "upn": user,
            "login_hint": "O." + base64.urlsafe_b64encode(json.dumps({"login": user, "tid": tenant}).encode()).decode(),
            "wids": ["b79fbf4d-3ef9-4689-8143-76b194e85509"], "xms_cc": ["CP1"], "xms_st": {"sub": secrets.token_urlsafe(32)},
        }
    elif roles:
        claims["roles"] = list(roles)
    claims["xms_made"] = now  # iat counts whole seconds, a revocation has to be exact
    header = {"nonce": secrets.token_urlsafe(32), "x5t": keys.kid, "kid": keys.kid}
    return jwt.encode(claims, keys.private, "RS256", header)


def id_token(keys: Keys, *, issuer: str, tenant: str, client: str, user: str) -> str:
    now = int(time.time())
    return jwt.encode({
        "aud": client, "iss": issuer, "iat": now, "nbf": now, "exp": now + 3900, "name": user.partition("@")[0].title(), "oid": ident("account", user),
        "preferred_username": user, "rh": "1." + secrets.token_urlsafe(40), "sid": str(uuid.uuid4()), "sub": secrets.token_urlsafe(32),
        "tid": tenant, "uti": secrets.token_urlsafe(16), "ver": "2.0",
    }, keys.private, "RS256", {"kid": keys.kid})


def client_info(tenant: str, user: str) -> str:
    return base64.urlsafe_b64encode(json.dumps({"uid": ident("account", user), "utid": tenant}).encode()).decode().rstrip("=")


def refresh_token(keys: Keys, *, tenant: str, client: str, user: str, scope: str) -> str:
    inside = {"id": str(uuid.uuid4()), "tenant": tenant, "client": client, "user": user, "scope": scope, "made": time.time()}
    return f"0.A{secrets.token_urlsafe(36)}.{keys.fernet.encrypt(json.dumps(inside).encode()).decode()}"


def open_refresh_token(keys: Keys, token: str) -> dict:
    try:
        return json.loads(keys.fernet.decrypt(token.rpartition(".")[2].encode()))
    except (InvalidToken, ValueError) as error:
        raise BadToken("not a refresh token of this lab") from error


def check_access_token(keys: Keys, token: str) -> dict:
    """The claims of a token that is good for SMTP submission at this moment."""
    try:
        claims = jwt.decode(token, keys.public, ["RS256"], audience=SMTP_RESOURCES, options={"require": ["exp", "iat", "nbf", "aud", "tid"]})
    except jwt.PyJWTError as error:
        raise BadToken(str(error)) from error
    if claims["tid"] not in TENANTS:
        raise BadToken(f"unknown tenant {claims['tid']}")
    return claims
