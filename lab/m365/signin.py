# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign-in over HTTPS: OpenID discovery, device code and token endpoints, as login.microsoftonline.com has them."""
from __future__ import annotations

import json
import time
import urllib.parse

from . import grants, tokens, web
from .directory import SIGN_IN_HOSTS, tenant_id
from .errors import EntraError

JSON = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store, no-cache"}
ALIASES = (("login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"),
           ("login.partner.microsoftonline.cn", "login.chinacloudapi.cn"), ("login.microsoftonline.us", "login.usgovcloudapi.net"))


def discovery(base: str, tenant: str) -> dict:
    ident = "{tenantid}" if tenant.lower() in grants.SHARED_PATHS else tenant_id(tenant)
    if ident is None:
        raise EntraError(90002, tenant=tenant)
    return {
        "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"], "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": f"{base}/{ident}/v2.0",
        "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
        "end_session_endpoint": f"{base}/{tenant}/oauth2/v2.0/logout",
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "name", "preferred_username", "tid", "ver"],
        "tenant_region_scope": "EU", "cloud_instance_name": "microsoftonline.com",
    }


def instance_discovery(base: str, query: dict) -> dict:
    """Where msal asks whether it may trust a host."""
    asked = urllib.parse.urlsplit(query.get("authorization_endpoint", ""))
    if not any(asked.hostname in group for group in ALIASES):
        raise EntraError(50049)
    return {
        "tenant_discovery_endpoint": f"{base}/{asked.path.split('/')[1]}/v2.0/.well-known/openid-configuration", "api-version": "1.1",
        "metadata": [{"preferred_network": group[0], "preferred_cache": group[1], "aliases": list(group)} for group in ALIASES],
    }


def route(path: str) -> tuple[str, str]:
    """(what is asked, tenant) of a path."""
    tenant, _slash, rest = path.strip("/").partition("/")
    what = {
        "v2.0/.well-known/openid-configuration": "discovery", ".well-known/openid-configuration": "discovery",
        "discovery/instance": "instance", "discovery/v2.0/keys": "keys",
        "oauth2/v2.0/devicecode": "devicecode", "oauth2/v2.0/token": "token",
    }.get(rest, "unknown")
    return what, tenant


def handler(lab):
    """The request handler for this lab."""

    class SignIn(web.Handler):
        def answer(self, method: str, body: bytes):
            url = urllib.parse.urlsplit(self.path)
            what, tenant = route(url.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            form = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
            phase = what if what in ("devicecode", "token") else "discovery"
            base = f"https://{self.headers.get('Host') or SIGN_IN_HOSTS[0]}"
            account = grants.who(lab, form) if what == "token" else None
            about = {"host": self.headers.get("Host"), "tenant": tenant, "grant": grants.grant_name(form) or None, "client_id": form.get("client_id"),
                     "account": account, "remote": self.remote, "agent": self.headers.get("User-Agent") or self.headers.get("x-client-SKU")}
            time.sleep(lab.state.delay(phase))
            fault = lab.state.strike(phase, account=account, grant=about["grant"], client_id=form.get("client_id"))
            try:
                if fault and fault.get("act") in ("hang", "drop"):
                    lab.state.event(f"signin {what}", result=fault["act"], fault=fault["name"], **about)
                    if fault["act"] == "hang":
                        lab.wait(3600)
                    raise web.Drop
                if fault and "http" in fault:
                    status, headers, text = fault["http"]
                    lab.state.event(f"signin {what}", result=f"http {status}", fault=fault["name"], **about)
                    return status, {"Content-Type": "text/html", **headers}, text.encode()
                if fault and "aadsts" in fault:
                    raise EntraError(fault["aadsts"], client=form.get("client_id", ""), tenant=tenant, scope=form.get("scope", ""), account=account or "")
                made = self.find(what, tenant, base, query, form)
                if fault and fault.get("act") == "no_refresh_token":
                    made.pop("refresh_token", None)
                account = account or (grants.who(lab, form) if what == "token" else None)
                lab.state.event(f"signin {what}", result="ok", **about | {"account": account})
                return 200, JSON, json.dumps(made).encode()
            except EntraError as error:
                lab.state.event(f"signin {what}", result=error.error, code=error.code, fault=fault["name"] if fault else None, **about)
                headers = {**JSON, **({"Retry-After": "5"} if error.status in (429, 503) else {})}
                return error.status, headers, json.dumps(error.body(self.headers.get("client-request-id", ""))).encode()
            except LookupError:
                lab.state.event(f"signin {what}", result="http 404", path=url.path, **about)
                return 404, {}, b""

        def find(self, what: str, tenant: str, base: str, query: dict, form: dict) -> dict:
            if what == "discovery":
                return discovery(base, tenant)
            if what == "instance":
                return instance_discovery(base, query)
            if what == "keys":
                return tokens.jwks(lab.keys)
            if what == "devicecode":
                return grants.start_device_code(lab, tenant, form)
            if what == "token":
                return grants.token(lab, base, tenant, form)
            raise LookupError(what)

    return SignIn
