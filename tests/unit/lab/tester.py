# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the lab use: its control API, the real msal, the real smtplib."""
from __future__ import annotations

import base64
import contextlib
import json
import smtplib
import ssl
import time

import msal
import requests
from control import call
from m365 import directory, tokens
from m365.lab import Lab

CLIENT = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
APP_ONLY = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
SCOPE = "https://outlook.office.com/SMTP.Send"
MAILBOX = "scans@corp.test"


class LabClient:
    """What a test needs of the lab: the control API, msal, SMTP."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.url = f"http://127.0.0.1:{lab.control.port}"
        self.authority = f"https://localhost:{lab.signin.port}"
        self.ca = str(lab.folder / "ca.pem")
        self.tls = ssl.create_default_context(cafile=self.ca)
        self.http = self.session()

    def control(self, method: str, path: str, body=None):
        return call(self.url, method, path, body)

    def set(self, **settings) -> None:
        self.control("POST", "/settings", settings)

    def fault(self, name: str, **options) -> None:
        self.control("POST", "/faults", {"name": name, **options})

    def session(self) -> requests.Session:
        """Without the environment's CA bundle and proxies."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.ca
        session.request = lambda *args, _ask=session.request, **options: _ask(*args, **{"timeout": 5, **options})
        return session

    def msal(self, tenant: str = directory.CORP, client: str = CLIENT) -> msal.PublicClientApplication:
        return msal.PublicClientApplication(client, authority=f"{self.authority}/{tenant}", instance_discovery=False, http_client=self.session())

    def sign_in(self, account: str = MAILBOX) -> dict:
        """A device code flow that the account approves at once."""
        app = self.msal()
        flow = app.initiate_device_flow([SCOPE])
        self.control("POST", "/approve", {"code": flow["user_code"], "account": account})
        return app.acquire_token_by_device_flow(flow, exit_condition=lambda _flow: True)

    def token(self, user: str = MAILBOX, **changes) -> str:
        """An access token without the sign-in, for tests of SMTP alone."""
        claims = {"tenant": directory.CORP, "client": CLIENT, "app_name": "Mail relay", "audience": "https://outlook.office.com",
                  "lifetime": 3600, "user": user, "scope": "SMTP.Send"}
        return tokens.access_token(self.lab.keys, **{**claims, **changes})

    def post(self, path: str, form: dict, **options) -> requests.Response:
        return self.http.post(f"{self.authority}/{path}", data=form, **options)

    @contextlib.contextmanager
    def smtp(self, tls: bool = True):
        with smtplib.SMTP("localhost", self.lab.smtp.port, timeout=5) as client:
            if tls:
                client.starttls(context=self.tls)
                client.ehlo()
            yield client

    @contextlib.contextmanager
    def mailbox(self, mailbox: str = MAILBOX):
        """An authenticated SMTP session."""
        with self.smtp() as client:
            assert authenticate(client, mailbox, self.token(mailbox)) == (235, b"2.7.0 Authentication successful")
            yield client

    def events(self, what: str) -> list[dict]:
        return [entry for entry in self.control("GET", "/requests") if entry["what"] == what]

    def inbox(self, data: bool = False) -> list[dict]:
        return self.control("GET", "/inbox?data=1" if data else "/inbox")


def blob(mailbox: str, token: str) -> str:
    return base64.b64encode(f"user={mailbox}\x01auth=Bearer {token}\x01\x01".encode()).decode()


def authenticate(client: smtplib.SMTP, mailbox: str, token: str, one_line: bool = False) -> tuple[int, bytes]:
    if one_line:
        return client.docmd("AUTH", "XOAUTH2 " + blob(mailbox, token))
    assert client.docmd("AUTH", "XOAUTH2") == (334, b"")
    return client.docmd(blob(mailbox, token))


def send(client: smtplib.SMTP, sender: str = MAILBOX, header_from: str | None = None, to=("someone@example.org",), text: str = "") -> tuple[int, bytes]:
    """The reply that ends the transaction, whichever phase it comes from."""
    head = f"From: {sender if header_from is None else header_from}\r\n" if header_from != "" else ""
    reply = client.mail(sender)
    for address in to:
        reply = client.rcpt(address) if reply[0] == 250 else reply
    if reply[0] != 250:
        return reply
    return client.data(text or f"{head}To: someone@example.org\r\nSubject: A scan\r\nMessage-ID: <1@corp.test>\r\n\r\nHello.\r\n")


def claims(token: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def until(condition, seconds: float = 5) -> None:
    """Waits for something that happens in another thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)
