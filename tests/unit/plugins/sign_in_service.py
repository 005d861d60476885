# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted sign-in service, and what Microsoft answers, for the tests of everything that signs in."""

from __future__ import annotations

import base64
import http.server
import json
import urllib.parse

TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
ACCESS_MARK, REFRESH_MARK, DEVICE_MARK = "planted-access", "planted-refresh", "planted-device"


def jwt(**claims):
    """Return an unsigned token with these claims, and a mark in its signature by which a leak is found."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, claims)]
    return ".".join([*parts, ACCESS_MARK + "x" * 60])


def access_token(**claims):
    """Return a good access token of the identity, changed by `claims`; None takes one away."""
    good = {"aud": "https://outlook.office.com", "tid": TENANT, "appid": CLIENT, "upn": "scans@corp.test", "scp": "SMTP.Send"}
    return jwt(**{name: value for name, value in {**good, **claims}.items() if value is not None})


def id_token(**claims):
    """Return a good ID token of the identity, changed by `claims`."""
    good = {"iss": "x", "sub": "x", "exp": 4102444800, "aud": CLIENT, "tid": TENANT, "preferred_username": "scans@corp.test"}
    return jwt(**{name: value for name, value in {**good, **claims}.items() if value is not None})


def success(**changes):
    """Return Microsoft's answer to a sign-in or renewal that worked, changed by `changes`; None takes a key away."""
    good = {
        "token_type": "Bearer",
        "scope": "https://outlook.office.com/SMTP.Send",
        "expires_in": 3600,
        "access_token": access_token(),
        "refresh_token": REFRESH_MARK + "y" * 60,
        "id_token": id_token(),
    }
    return 200, {key: value for key, value in {**good, **changes}.items() if value is not None}


def failure(error, code=None, text="something"):
    """Return Microsoft's answer to a request that it refuses."""
    description = f"AADSTS{code}: {text}.\r\nTrace ID: 99999999-trace\r\nCorrelation ID: 88888888-correlation\r\nTimestamp: now" if code else text
    return 400, {"error": error, "error_codes": [code] if code else [], "error_description": description, "correlation_id": "88888888-correlation"}


DISCOVERY = ("discovery", "good discovery")
CODE = {
    "device_code": DEVICE_MARK + "z" * 60,
    "user_code": "ABCD1234",
    "verification_uri": "https://microsoft.com/devicelogin",
    "expires_in": 900,
    "interval": 0,
    "message": "Microsoft's own words",
}
CODE_GIVEN = ("devicecode", (200, CODE))
PENDING = ("token", failure("authorization_pending", 70016))


class Service:
    """An HTTPS server that expects a list of requests in order: (what, answer), with what = discovery, devicecode or token.

    An answer is (status, dict or text). A request that comes out of order, and one that does not come, fails the test.
    """

    def __init__(self):
        self.script, self.requests, self.problems, self.headers = [], [], [], {}

    def expects(self, *calls):
        """Add calls to the script."""
        self.script += calls

    def answer(self, what, form):
        """Return the next answer, if the request is the one that the script expects."""
        self.requests.append((what, form))
        if not self.script or self.script[0][0] != what:
            self.problems.append(f"got {what}, expected {self.script[0][0] if self.script else 'nothing more'}")
            return 500, "unexpected request"
        return self.script.pop(0)[1]


def handler_for(service, host):
    """Return a request handler class that plays the script."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply("discovery", {})

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.reply(urllib.parse.urlparse(self.path).path.rpartition("/")[2], dict(urllib.parse.parse_qsl(body)))

        def reply(self, what, form):
            answer = service.answer(what, form)
            if answer == "good discovery":
                base = f"https://{host}/{TENANT}/oauth2/v2.0"
                answer = 200, {"issuer": base, "authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token",
                               "device_authorization_endpoint": f"{base}/devicecode"}
            status, content = answer
            payload = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(payload)), **service.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_args):
            pass

    return Handler


class Server(http.server.ThreadingHTTPServer):
    """A server that does not print a client's broken connections: some tests break them on purpose."""

    def handle_error(self, *_args):
        """Say nothing."""
