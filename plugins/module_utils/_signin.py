# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to Microsoft's sign-in service through msal (private to the collection).

Everything that goes wrong is raised as one SignInError, whose name stands in _catalogue. It never carries msal's own
exception: their texts can quote Microsoft's whole answer, tokens included.
"""

from __future__ import annotations

import functools
import importlib
import logging
import re
import time

from . import _catalogue, _tokens

TIMEOUT = (10, 30)  # seconds to connect, and to wait for an answer
PENDING = ("authorization_pending", "slow_down")


class MsalMissingError(Exception):
    """The library msal is not installed."""


class SignInError(Exception):
    """A sign-in or renewal failed.

    name:      which entry of the catalogue.
    happened:  what happened, in one or two sentences.
    remedy:    what to do.
    answer:    what may be shown of Microsoft's answer (dict), empty if there is none.
    transient: the same may work later, without anybody doing anything.
    """

    def __init__(self, name, identity, detail="", answer=None):
        entry = _catalogue.by_name(name)
        told = _catalogue.explain(entry, **identity)
        said = (answer or {}).get("error_description")
        self.name = name
        self.happened = " ".join(part for part in (told["meaning"], detail, f"Microsoft said: {said}" if said else "") if part)
        self.remedy = told["remedy"]
        self.answer = answer or {}
        self.transient = entry["retry"]
        super().__init__(f"{self.happened} {self.remedy}")


def open_app(identity, credential=None):
    """Return msal's application for an identity, after it has found the sign-in service.

    credential: what an app that signs in by itself shows, as msal takes it.
    """
    msal = libraries()[0]
    make = functools.partial(msal.ConfidentialClientApplication, client_credential=credential) if credential else msal.PublicClientApplication
    return ask(identity, lambda: make(
        identity["client_id"],
        authority=f"https://{identity['login_host']}/{identity['tenant_id']}",
        http_client=session(identity),
        instance_discovery=False,
    ))


def session(identity):
    """Return the HTTP session in which everything is asked: verified, with timeouts, and by the proxy of the settings alone."""
    made = libraries()[1].Session()
    made.trust_env = False  # Environment variables could name another CA bundle or a proxy.
    made.verify = identity["ca_file"]
    made.proxies = {"http": identity["proxy"], "https": identity["proxy"]} if identity["proxy"] else {}
    made.max_redirects = 0  # A redirect would carry tokens elsewhere.
    made.hooks["response"] = [_raise_for_server_errors]  # Each version of msal does something else here.
    made.request = functools.partial(made.request, timeout=TIMEOUT)
    return made


def libraries():
    """Return the modules msal and requests. Raises MsalMissingError."""
    try:
        msal, requests = importlib.import_module("msal"), importlib.import_module("requests")
    except ImportError as error:
        raise MsalMissingError("msal is not installed") from error
    logging.getLogger("msal").setLevel(logging.CRITICAL + 1)  # It logs answers that it cannot read, tokens included.
    return msal, requests


def _raise_for_server_errors(response, *_args, **_kwargs):
    if response.status_code >= 500:
        response.raise_for_status()


def start_device_flow(identity):
    """Ask Microsoft for a code that a person enters to sign the relay in. Returns msal's flow: it holds a secret."""
    app = open_app(identity)
    flow = ask(identity, lambda: app.initiate_device_flow([identity["scope"]]))
    if "user_code" not in flow:
        raise refusal(flow, identity)
    if not (re.fullmatch(r"[\w-]{1,40}", flow["user_code"]) and re.fullmatch(r"https://[!-~]{1,200}", flow["verification_uri"])):
        raise SignInError("unexpected_answer", identity)  # It will be printed on somebody's terminal.
    return flow


def finish_device_flow(identity, flow, sleep=time.sleep, clock=time.time):
    """Wait until the person has signed in, asking as often as Microsoft wants it. Returns Microsoft's answer.

    Trouble on the way does not end it: the person may be typing. Raises SignInError when the sign-in failed for good,
    or when the code has expired.
    """
    trouble = None
    app = None
    while clock() < flow["expires_at"]:
        try:
            app = app or open_app(identity)
            answer = _poll(app, identity, flow)
            if "access_token" in answer:
                return answer
            trouble = None
            if answer.get("error") not in PENDING:
                raise refusal(answer, identity)
        except SignInError as error:
            if not error.transient:
                raise
            trouble = error
        sleep(flow["interval"])
    raise SignInError("code_expired", identity, f"At the end: {trouble.happened}" if trouble else "")


def _poll(app, identity, flow):
    return ask(identity, lambda: app.acquire_token_by_device_flow(flow, exit_condition=lambda _flow: True))


def refresh(identity, refresh_token):
    """Exchange a refresh token for new tokens. Returns Microsoft's answer."""
    app = open_app(identity)
    answer = ask(identity, lambda: app.acquire_token_by_refresh_token(refresh_token, [identity["scope"]]))
    if "access_token" not in answer:
        raise refusal(answer, identity)
    return answer


def check_result(identity, answer):
    """Raise SignInError unless Microsoft's answer to a person's sign-in is a renewable token of this identity's, for its service and permission."""
    if not answer.get("refresh_token"):
        raise SignInError("no_refresh_token", identity)
    about_person = answer.get("id_token_claims") or {}
    about_access = _tokens.claims(answer["access_token"])
    wrong = _tokens.mismatch(dict(about_person, aud=None, azp=about_person.get("aud")), identity) or _tokens.mismatch(about_access, identity)
    if wrong:
        raise SignInError(wrong[0], identity, wrong[1])
    if not (_tokens.person_of(about_person) or _tokens.person_of(about_access)):
        raise SignInError("wrong_person", identity, "It does not say whose it is.")
    granted = str(about_access.get("scp") or answer.get("scope") or "").lower().split()
    if not any(scope.rpartition("/")[2] == _tokens.permission(identity) for scope in granted):
        raise SignInError("wrong_scope", identity, "It does not say that it allows it.")


def ask(identity, call):
    """Return what `call` returns; turn every exception of msal and requests into a SignInError without a trace of it."""
    msal, requests = libraries()
    try:
        return call()
    except (OSError, msal.exceptions.MsalError, KeyError, ValueError, RuntimeError) as error:  # requests' own are OSErrors
        problem = _named(error, identity, requests)
    raise problem


def _named(error, identity, requests):
    known = requests.exceptions
    if isinstance(error, known.HTTPError):
        return SignInError("service_trouble", identity, f"It answered HTTP {error.response.status_code}.")
    for kind, name in (
        (known.ProxyError, "proxy_unreachable"), (known.SSLError, "tls_failure"),
        ((known.ConnectionError, known.Timeout), "sign_in_page_unreachable"),
    ):
        if isinstance(error, kind):
            return SignInError(name, identity, _reason(error))
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):  # what requests says when there is no such file
        return SignInError("ca_file_missing", identity)
    if isinstance(error, RuntimeError):  # msal up to 1.37 looks at the ID token itself.
        return SignInError("wrong_client" if "aud (audience)" in str(error) else "clock_wrong", identity)
    codes = [int(code) for code in re.findall(r"AADSTS(\d+)", str(error.__context__))]
    if codes:
        answer = {"error_codes": codes[:1]}
        return SignInError(_catalogue.by_signin_answer(answer)["name"], identity, answer=answer)
    return SignInError("unexpected_answer", identity)


def _reason(error):
    """Return the innermost words of a network error, which is the part that a person can use."""
    found = re.search(r"(certificate verify failed: [^(]*[^( ]|\[Errno -?\d+\] [A-Z][A-Za-z ]+|timed out|[a-z]+ timeout)", str(error))
    return f"({found.group(1)})" if found else ""


def refusal(answer, identity):
    """Return the SignInError for an answer of Microsoft's that is not what was asked for."""
    shown = presentable(answer)
    entry = _catalogue.by_signin_answer(dict(shown, suberror=answer.get("suberror"))) or _catalogue.by_name("refused")
    return SignInError(entry["name"], identity, answer=shown)


def presentable(answer):
    """Return the parts of an error answer that may be shown: no token, no device code, no trace ids."""
    lines = str(answer.get("error_description") or "").splitlines() or [""]
    description = re.split(r" *(?:Trace ID|Correlation ID|Timestamp):", lines[0])[0]
    codes = answer.get("error_codes") or re.findall(r"^AADSTS(\d+)", description)
    return {
        "error": _redacted(answer.get("error")),
        "error_codes": [int(code) for code in codes if str(code).isdigit()],
        "error_description": _redacted(description),
        "correlation_id": _redacted(answer.get("correlation_id")),
    }


def _redacted(text):
    """Return one short printable line in which nothing is long enough to be a token."""
    printable = "".join(char for char in str(text or "") if char.isprintable())
    return re.sub(r"[\w.~+=-]{40,}", "(removed)", printable)[:300]
