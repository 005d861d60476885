# SPDX-License-Identifier: GPL-3.0-or-later
"""What the device code and token endpoints decide: forms in, answers out, EntraError for every refusal. No HTTP in here."""
from __future__ import annotations

import base64
import hashlib
import secrets
import time

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from . import tokens
from .directory import GRAPH, SMTP_RESOURCES, TENANTS, tenant_id
from .errors import EntraError

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
OPENID = {"openid", "profile", "email", "offline_access"}
ALPHABET = "BCDFGHJKLMNPQRSTVWXYZ23456789"  # as in Entra's user codes: no vowels, nothing that looks like something else
SHARED_PATHS = ("common", "organizations", "consumers")


def grant_name(form: dict) -> str:
    return form.get("grant_type", "").rpartition(":")[2]


def need(form: dict, *parameters: str) -> None:
    for parameter in parameters:
        if not form.get(parameter):
            raise EntraError(900144, parameter=parameter)


def find_app(state, tenant: str, client: str) -> tuple[str, dict]:
    """The tenant id and the app registration that a request is about."""
    app = state.app(client)
    ident = tenant_id(tenant)
    if tenant.lower() in SHARED_PATHS:
        raise EntraError(9002332 if tenant.lower() == "consumers" else 50194, client=client) if app else EntraError(700016, client=client, tenant=tenant)
    if ident is None:
        raise EntraError(90002, tenant=tenant)
    if app is None or app["tenant"] != ident:
        raise EntraError(700016, client=client, tenant=TENANTS[ident])
    return ident, app


def split_scope(scope: str) -> tuple[str, str]:
    """The resource and its permissions out of a scope parameter: one resource in a request."""
    wanted = [part for part in scope.split() if part not in OPENID]
    if not wanted:
        return GRAPH, "openid profile email"
    resources, names = set(), []
    for part in wanted:
        resource, slash, name = part.rpartition("/")
        resource = resource.rstrip("/") if slash and "://" in resource else GRAPH
        if resource not in (*SMTP_RESOURCES, GRAPH) or name not in ("SMTP.Send", "Mail.Send", "User.Read", ".default"):
            raise EntraError(70011, scope=part)
        resources.add(resource)
        names.append("SMTP.Send" if name == ".default" else name)
    if len(resources) > 1:
        raise EntraError(28002, scope=scope)
    return resources.pop(), " ".join(names)


def start_device_code(lab, tenant: str, form: dict) -> dict:
    need(form, "client_id", "scope")
    ident, _app = find_app(lab.state, tenant, form["client_id"])
    split_scope(form["scope"])
    lifetime, interval = lab.state.setting("code_lifetime"), lab.state.setting("interval")
    user_code = "".join(secrets.choice(ALPHABET) for _turn in range(9))
    device_code = f"{user_code[0]}AQABIQE{secrets.token_urlsafe(150)}"
    now = time.time()
    with lab.state.lock:
        lab.state.codes[device_code] = {
            "user_code": user_code, "tenant": ident, "client": form["client_id"].lower(), "scope": form["scope"], "made": now,
            "expires": now + lifetime, "polled": 0.0, "status": "pending", "account": None}
    page = "https://microsoft.com/devicelogin"
    return {
        "user_code": user_code, "device_code": device_code, "verification_uri": page, "expires_in": lifetime, "interval": interval,
        "message": f"To sign in, use a web browser to open the page {page} and enter the code {user_code} to authenticate.",
    }


def sign_in(state, code: dict, account: str) -> str:
    """Whether Entra lets this person sign in for this code; the error is what the person would see in the browser."""
    known = state.account(account)
    words = {"account": account, "tenant": TENANTS[code["tenant"]], "client": code["client"]}
    if known is None:
        raise EntraError(50034, **words)
    if known["tenant"] != code["tenant"]:
        raise EntraError(50020, **words)
    if not known["sign_in"]:
        raise EntraError(50057, **words)
    return account.lower()


def person_answers(state, code: dict) -> None:
    """Somebody who answers every code by himself, once he had the time to."""
    with state.lock:
        person = state.person
        if not person or code["status"] != "pending" or time.time() < code["made"] + person["delay"]:
            return
        if person["decline"]:
            code["status"] = "declined"
            return
        try:
            code["account"] = sign_in(state, code, person["account"])
            code["status"] = "approved"
        except EntraError:
            return  # the page shows it to him; the one who polls sees nothing


def who(lab, form: dict) -> str | None:
    """The account that a token request is for, as far as it can be known: for faults that are meant for one account."""
    grant = grant_name(form)
    if grant == "device_code":
        code = lab.state.codes.get(form.get("device_code", ""))
        if code:
            person_answers(lab.state, code)
        return code["account"] if code else None
    if grant == "refresh_token":
        try:
            return tokens.open_refresh_token(lab.keys, form.get("refresh_token", ""))["user"]
        except tokens.BadToken:
            return None
    return None


def answer(lab, base: str, form: dict, *, tenant: str, client: str, app: dict, user: str, scope: str) -> dict:
    """The token answer for a person's grant."""
    resource, names = split_scope(scope)
    lifetime = lab.state.setting("access_token_lifetime")
    asked = set(scope.split())
    made = {
        "token_type": "Bearer", "scope": " ".join(f"{resource}/{name}" for name in names.split()), "expires_in": int(lifetime),
        "ext_expires_in": int(lifetime),
        "access_token": tokens.access_token(lab.keys, tenant=tenant, client=client, app_name=app["name"], audience=resource, lifetime=lifetime,
                                            user=user, scope=names),
    }
    if "offline_access" in asked:
        made["refresh_token"] = tokens.refresh_token(lab.keys, tenant=tenant, client=client, user=user, scope=scope)
    if "openid" in asked:
        made["id_token"] = tokens.id_token(lab.keys, issuer=f"{base}/{tenant}/v2.0", tenant=tenant, client=client, user=user)
    if form.get("client_info") == "1":
        made["client_info"] = tokens.client_info(tenant, user)
    return made


def public_client(app: dict, form: dict) -> None:
    """A public client shows no credential (sasl-xoauth2 sends an empty one, which Entra takes for none); any other has to."""
    if app["public"]:
        if form.get("client_secret") or form.get("client_assertion"):
            raise EntraError(700025)
    else:
        confidential_client(app, form)


def device_code_grant(lab, base: str, tenant: str, form: dict) -> dict:
    need(form, "client_id", "device_code")
    ident, app = find_app(lab.state, tenant, form["client_id"])
    public_client(app, form)
    client, now = form["client_id"].lower(), time.time()
    with lab.state.lock:
        code = lab.state.codes.get(form["device_code"])
        if code is None or code["client"] != client or code["tenant"] != ident:
            raise EntraError(70018)
        too_early = code["polled"] + lab.state.settings["interval"] * 0.9  # clients sleep the interval, the network may shorten it a little
        code["polled"] = now
        if code["status"] == "redeemed":
            raise EntraError(54005)
        if now > code["expires"]:
            raise EntraError(70019)
        if lab.state.settings["slow_down"] and now < too_early:
            raise EntraError(70016, error="slow_down", text="OAuth 2.0 device flow error. Polled too often, wait longer between two requests.")
        person_answers(lab.state, code)
        if code["status"] == "pending":
            raise EntraError(70016)
        if code["status"] == "declined":
            raise EntraError(70016, error="authorization_declined", text="OAuth 2.0 device flow error. The user declined the authorization request.")
        code["status"] = "redeemed"
    return answer(lab, base, form, tenant=ident, client=client, app=app, user=code["account"], scope=code["scope"])


def refresh_grant(lab, base: str, tenant: str, form: dict) -> dict:
    need(form, "client_id", "refresh_token")
    ident, app = find_app(lab.state, tenant, form["client_id"])
    public_client(app, form)
    try:
        old = tokens.open_refresh_token(lab.keys, form["refresh_token"])
    except tokens.BadToken as error:
        raise EntraError(70000) from error
    if old["client"] != form["client_id"].lower() or old["tenant"] != ident:
        raise EntraError(70000)
    account = lab.state.account(old["user"])
    if account is None:
        raise EntraError(50034, account=old["user"], tenant=TENANTS[ident])
    if not account["sign_in"]:
        raise EntraError(50057)
    with lab.state.lock:
        if old["made"] <= lab.state.revoked.get(old["user"], 0) or old["id"] in lab.state.spent:
            raise EntraError(50173)
        if old["made"] + lab.state.settings["refresh_token_lifetime"] < time.time():
            raise EntraError(700082)
        if lab.state.settings["strict_rotation"]:
            lab.state.spent.add(old["id"])
    scope = form.get("scope") or old["scope"]
    # A refresh always brings a new refresh token, whether or not the client says offline_access again.
    return answer(lab, base, form, tenant=ident, client=old["client"], app=app, user=old["user"], scope=f"{scope} offline_access")


def assertion_is_good(app: dict, form: dict) -> bool:
    """A client assertion is signed by the key of a certificate that is registered for the app."""
    try:
        header = jwt.get_unverified_header(form["client_assertion"])
    except jwt.PyJWTError as error:
        raise EntraError(50012) from error
    for text in app["certificates"]:
        certificate = x509.load_pem_x509_certificate(text.encode())
        prints = {name: base64.urlsafe_b64encode(certificate.fingerprint(kind)).decode().rstrip("=")
                  for name, kind in (("x5t", hashes.SHA1()), ("x5t#S256", hashes.SHA256()))}
        if any(header.get(name, "").rstrip("=") == value for name, value in prints.items()):
            try:
                claims = jwt.decode(form["client_assertion"], certificate.public_key(), ["RS256", "PS256"],
                                    options={"verify_aud": False, "require": ["exp", "iss", "sub", "aud"]})
            except jwt.PyJWTError as error:
                raise EntraError(50012) from error
            if certificate.not_valid_after_utc.timestamp() < time.time():
                raise EntraError(7000222, client=form["client_id"])
            return claims["iss"] == claims["sub"] == form["client_id"]
    return False


def confidential_client(app: dict, form: dict) -> None:
    client = form["client_id"]
    if form.get("client_assertion"):
        if form.get("client_assertion_type") != ASSERTION or not assertion_is_good(app, form):
            raise EntraError(700027)
    elif form.get("client_secret"):
        given = hashlib.sha256(form["client_secret"].encode()).digest()
        if not any(secrets.compare_digest(given, hashlib.sha256(known.encode()).digest()) for known in app["secrets"]):
            raise EntraError(7000215, client=client)
    else:
        raise EntraError(7000218)


def client_credentials_grant(lab, base: str, tenant: str, form: dict) -> dict:
    need(form, "client_id", "scope")
    if tenant.lower() in SHARED_PATHS:
        raise EntraError(9001023)
    ident, app = find_app(lab.state, tenant, form["client_id"])
    confidential_client(app, form)
    resource, slash, name = form["scope"].rpartition("/")
    if not slash or name != ".default" or resource.rstrip("/") not in (*SMTP_RESOURCES, GRAPH):
        raise EntraError(70011, scope=form["scope"])
    lifetime = lab.state.setting("access_token_lifetime")
    return {"token_type": "Bearer", "expires_in": int(lifetime), "ext_expires_in": int(lifetime), "access_token": tokens.access_token(
        lab.keys, tenant=ident, client=form["client_id"].lower(), app_name=app["name"], audience=resource.rstrip("/"), lifetime=lifetime,
        roles=app["roles"])}


GRANTS = {"device_code": device_code_grant, "refresh_token": refresh_grant, "client_credentials": client_credentials_grant}


def token(lab, base: str, tenant: str, form: dict) -> dict:
    need(form, "grant_type")
    if form["grant_type"] not in (DEVICE_CODE, *GRANTS):
        raise EntraError(70003, grant=form["grant_type"])
    return GRANTS[grant_name(form)](lab, base, tenant, form)
