# SPDX-License-Identifier: GPL-3.0-or-later
"""The control API: how people and tests look into the lab and play Microsoft's part. HTTP and JSON; the routes are the table at the end."""
from __future__ import annotations

import json
import time
import urllib.parse

from . import faults, grants, web
from .errors import EntraError
from .settings import SETTINGS

KINDS = {"tenant": str, "name": str, "public": bool, "sign_in": bool, "send_as": list, "users": list, "secrets": list, "certificates": list,
         "mailboxes": list, "roles": list}


def message(entry: dict, with_data: bool) -> dict:
    """For JSON the raw bytes become text, byte for byte (latin-1)."""
    shown = {name: value for name, value in entry.items() if name != "data"}
    if with_data:
        shown["data"] = None if entry["data"] is None else entry["data"].decode("latin-1")
    return shown


def state(lab, _path, _query, _body) -> dict:
    with lab.state.lock:
        apps = {client: {name: value for name, value in app.items() if name != "secrets"} for client, app in lab.state.directory["apps"].items()}
        return {
            "settings": lab.state.settings, "faults": lab.state.faults, "person": lab.state.person, "counters": dict(sorted(lab.state.counters.items())),
            "accounts": lab.state.directory["accounts"], "apps": apps, "inbox": len(lab.state.inbox), "codes": lab.state.pending_codes(),
            "ports": {"signin": lab.signin.port, "smtp": lab.smtp.port, "control": lab.control.port, "dns": lab.dns.port if lab.dns else None},
            "connections": len(lab.smtp.connections),
        }


def inbox(lab, path, query, _body):
    with lab.state.lock:
        if path:
            found = next((entry for entry in lab.state.inbox if str(entry["id"]) == path), None)
            if found is None:
                raise LookupError(f"message {path}: not in the inbox")
            return found["data"] or b""
        return [message(entry, query.get("data") == "1") for entry in lab.state.inbox]


def clear_inbox(lab, _path, _query, _body) -> dict:
    with lab.state.lock:
        removed, lab.state.inbox = len(lab.state.inbox), []
        lab.state.counters["bytes kept"] = 0
        return {"removed": removed}


def requests(lab, _path, _query, _body) -> list:
    with lab.state.lock:
        return list(lab.state.requests)


def clear_requests(lab, _path, _query, _body) -> dict:
    with lab.state.lock:
        removed = len(lab.state.requests)
        lab.state.requests.clear()
        lab.state.counters.clear()
        return {"removed": removed}


def approve(lab, _path, _query, body) -> dict:
    user_code, account = str(body.get("code", "")), body.get("account")
    if body.get("decline"):
        code = lab.state.answer(user_code, None)
    elif not account:
        raise ValueError("approve: say who signs in (account), or decline")
    else:
        with lab.state.lock:
            code = next((code for code in lab.state.codes.values() if code["user_code"] == user_code.strip().upper()), None)
            if code:
                account = grants.sign_in(lab.state, code, account)
            code = lab.state.answer(user_code, account)
    lab.state.event("person", result=code["status"], account=code["account"])
    return {"code": code["user_code"], "status": code["status"], "account": code["account"]}


def person(lab, _path, _query, body) -> dict:
    account, decline = body.get("account"), bool(body.get("decline"))
    if account and lab.state.account(account) is None:
        raise ValueError(f"person: there is no account {account}")
    with lab.state.lock:
        lab.state.person = {"account": account, "delay": float(body.get("delay") or 0), "decline": decline} if account or decline else None
        return {"person": lab.state.person}


def codes(lab, _path, _query, _body) -> list:
    now = time.time()
    with lab.state.lock:
        return [{"code": code["user_code"], "client_id": code["client"], "tenant": code["tenant"], "scope": code["scope"],
                 "expires_in": int(code["expires"] - now)}
                for code in lab.state.codes.values() if code["status"] == "pending" and code["expires"] > now]


def settings(lab, _path, _query, _body) -> dict:
    with lab.state.lock:
        return {name: {"value": lab.state.settings[name], "default": default, "about": meaning} for name, (default, _accepted, meaning) in SETTINGS.items()}


def change_settings(lab, _path, _query, body) -> dict:
    lab.state.change_settings(body)
    return lab.state.settings


def catalogue(_lab, _path, _query, _body) -> dict:
    return faults.CATALOGUE


def add_fault(lab, _path, _query, body) -> dict:
    made = lab.state.add_fault(body)
    lab.state.event("fault", fault=made["name"], times=made["times"])
    return made


def remove_faults(lab, path, _query, _body) -> dict:
    removed = lab.state.remove_faults(path or None)
    lab.state.event("fault removed", fault=path or "all")
    return {"removed": removed}


def revoke(lab, _path, _query, body) -> dict:
    account = str(body.get("account", "")).lower()
    if lab.state.account(account) is None:
        raise ValueError(f"revoke: there is no account {body.get('account')}")
    with lab.state.lock:
        lab.state.revoked[account] = time.time()
        if body.get("access"):
            lab.state.access_revoked[account] = time.time()
    lab.state.event("revoked", account=account)
    return {"account": account}


def change_directory(kind: str, key: str):
    """Accounts and apps: the body's fields replace those of the entry; a new entry has to name its tenant."""
    def change(lab, _path, _query, body) -> dict:
        name = str(body.get(key, "")).lower()
        fields = {field: value for field, value in body.items() if field != key}
        with lab.state.lock:
            entries = lab.state.directory[kind]
            example = next(iter(entries.values()))
            for field, value in fields.items():
                if field not in example or not isinstance(value, KINDS[field]):
                    raise ValueError(f"{kind}: {field}={value!r}; there are " + ", ".join(f"{field} ({KINDS[field].__name__})" for field in example))
            if not name or (name not in entries and "tenant" not in fields):
                raise ValueError(f"{kind}: {key} {name!r} is not there; a new one needs {key} and tenant")
            empty = {field: KINDS[field]() for field in example} | ({"sign_in": True} if kind == "accounts" else {"name": "Mail relay"})
            entries[name] = entries.get(name, empty) | fields
            return {key: name, **{field: value for field, value in entries[name].items() if field != "secrets"}}
    return change


def reset(lab, _path, _query, _body) -> dict:
    lab.state.reset()
    return {"reset": True}


def authority(lab, _path, _query, _body) -> bytes:
    return (lab.folder / "ca.pem").read_bytes()


ROUTES = {
    ("GET", "state"): state, ("GET", "ca.pem"): authority,
    ("GET", "inbox"): inbox, ("DELETE", "inbox"): clear_inbox,
    ("GET", "requests"): requests, ("DELETE", "requests"): clear_requests,
    ("GET", "codes"): codes, ("POST", "approve"): approve, ("POST", "person"): person,
    ("GET", "settings"): settings, ("POST", "settings"): change_settings,
    ("GET", "faults"): catalogue, ("POST", "faults"): add_fault, ("DELETE", "faults"): remove_faults,
    ("POST", "accounts"): change_directory("accounts", "account"), ("POST", "apps"): change_directory("apps", "client_id"),
    ("POST", "revoke"): revoke, ("POST", "reset"): reset,
}


def handler(lab):
    """The request handler for this lab."""

    class Control(web.Handler):
        server_version = "lab"

        def answer(self, method: str, body: bytes):
            url = urllib.parse.urlsplit(self.path)
            name, _slash, path = url.path.strip("/").partition("/")
            try:
                if (method, name) not in ROUTES:
                    raise LookupError(f"{method} /{name}: there are " + ", ".join(f"{method} /{name}" for method, name in ROUTES))
                asked = json.loads(body) if body else {}
                if not isinstance(asked, dict):
                    raise ValueError("the body has to be a JSON object")
                made = ROUTES[method, name](lab, urllib.parse.unquote(path), dict(urllib.parse.parse_qsl(url.query)), asked)
                status = 200
            except EntraError as error:
                status, made = 409, {"error": error.body()["error_description"]}
            except LookupError as error:
                status, made = 404, {"error": str(error.args[0])}
            except (ValueError, TypeError) as error:
                status, made = 400, {"error": str(error)}
            if isinstance(made, bytes):
                return status, {"Content-Type": "application/octet-stream"}, made
            return status, {"Content-Type": "application/json"}, json.dumps(made).encode()

    return Control
