# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor asks the network: names, ports, greetings, certificates, and a login that sends no mail (private to the collection).

Every probe returns words about what it proved, or raises Failed with the name of the catalogue's entry. A token is sent only after the
name and the chain of the server's certificate were verified, and stands in no text.
"""

from __future__ import annotations

import base64
import email.utils
import errno
import http.client
import json
import re
import smtplib
import socket
import ssl
import time
import urllib.parse
from typing import NamedTuple

from . import _catalogue
from ._mail_log import redacted

PATIENCE = 10    # seconds for one answer
CLOCK_SECONDS = 300    # Microsoft takes a clock that is wrong by less
UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH}


class Failed(Exception):
    """A stage failed. name: of the entry in the catalogue; the text says what was seen."""

    def __init__(self, name, seen=""):
        self.name = name
        super().__init__(seen)


class SignInAnswer(NamedTuple):
    """What the sign-in service said when it was asked what it is: nothing secret is asked or told. error: why there is no answer."""

    status: int = 0
    body: bytes = b""
    date: str = ""
    error: str = ""


def resolve(host, port, not_found, unavailable):
    """Return the addresses of a name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Failed(unavailable if error.errno == socket.EAI_AGAIN else not_found, f"{host}: {error.strerror}") from None
    return [entry[4][0] for entry in found]


def connect(host, port, addresses, refused, timed_out):
    """Return the address that takes a connection."""
    name, seen = timed_out, []
    for address in addresses:
        try:
            with socket.create_connection((address, port), timeout=PATIENCE):
                return address
        except OSError as error:
            seen.append(f"{address} port {port}: {error.strerror or error}")
            if error.errno == errno.ECONNREFUSED:
                name = refused
            elif error.errno in UNREACHABLE and name == timed_out:
                name = "network_unreachable"
    raise Failed(name, f"{host}: {'; '.join(seen)}")


def sign_in_endpoint(identity):
    """Return (host, port) to which the relay connects in order to sign in: the service itself, or the proxy."""
    if not identity["proxy"]:
        host, _colon, port = identity["login_host"].partition(":")
        return host, int(port or 443)
    proxy = urllib.parse.urlsplit(identity["proxy"])
    return proxy.hostname, proxy.port or 80


def sign_in_connection(identity, context):
    """Return a connection to the sign-in service, through the proxy if there is one; it is not opened yet."""
    host, port = sign_in_endpoint(identity)
    connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=context)
    if identity["proxy"]:
        connection.set_tunnel(identity["login_host"], 443)
    return connection


def ask_sign_in(identity):
    """Ask the sign-in service what it is. Its certificate is not looked at: its clock is wanted even if ours is wrong."""
    connection = sign_in_connection(identity, unverified())
    try:
        connection.request("GET", f"/{identity['tenant_id']}/v2.0/.well-known/openid-configuration")
        answer = connection.getresponse()
        return SignInAnswer(answer.status, answer.read(100_000), answer.getheader("Date", ""))
    except (OSError, http.client.HTTPException) as error:
        return SignInAnswer(error=str(error) or type(error).__name__)
    finally:
        connection.close()


def sign_in_service(identity, answer):
    """See that the answer is one of Microsoft's sign-in service, which knows the tenant."""
    if answer.error:
        raise Failed("sign_in_page_unreachable", f"{identity['login_host']}: {answer.error}")
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = None
    refusal = isinstance(told, dict) and _catalogue.by_signin_answer(told)
    if answer.status >= 500 or answer.status == 429:
        raise Failed("service_trouble", f"{identity['login_host']} answers HTTP {answer.status}")
    if refusal:
        raise Failed(refusal["name"], redacted(str(told.get("error_description") or told.get("error")))[:200])
    if answer.status != 200 or not isinstance(told, dict) or "token_endpoint" not in told:
        raise Failed("unexpected_answer", f"{identity['login_host']} answers HTTP {answer.status}")
    return f"{identity['login_host']} knows the tenant"


def clock(answer, now=None):
    """Compare the host's clock with the sign-in service's."""
    try:
        theirs = email.utils.parsedate_to_datetime(answer.date).timestamp()
    except (TypeError, ValueError):
        raise Failed("unexpected_answer", "its answer has no date") from None
    ahead = (time.time() if now is None else now) - theirs
    if abs(ahead) > CLOCK_SECONDS:
        raise Failed("clock_wrong", f"the host's clock is {int(abs(ahead))} seconds {'ahead' if ahead > 0 else 'behind'}")
    return f"within {max(1, round(abs(ahead)))} seconds of Microsoft's"


def unverified():
    """Return a TLS context for what is nobody's secret."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def sign_in_certificate(identity):
    """Verify name and chain of the sign-in service's certificate, with the CA bundle that the renewal uses."""
    try:
        connection = sign_in_connection(identity, ssl.create_default_context(cafile=identity["ca_file"]))
        connection.connect()
        connection.close()
    except ssl.SSLError as error:
        raise Failed("tls_failure", f"{identity['login_host']}: {getattr(error, 'verify_message', '') or error.reason or error}") from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed("sign_in_page_unreachable", f"{identity['login_host']}: {error}") from None
    return identity["login_host"]


class Session:
    """A conversation with the SMTP host, up to and without any mail. Its replies are named by the catalogue."""

    def __init__(self, identity):
        self.host, self.port = identity["smtp_host"], identity["smtp_port"]
        self.client = None

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        if self.client:
            self.client.close()

    def open(self):
        """Connect; return the greeting."""
        try:
            self.client = smtplib.SMTP(self.host, self.port, socket.gethostname(), PATIENCE)
        except smtplib.SMTPConnectError as error:    # any greeting but 220
            return error.smtp_code, error.smtp_error
        return 220, b""

    def named(self, step, *arguments, phase=None, expected=(220, 250)):
        """Do one step; return its reply as (code, words). Raises Failed for a refusal, silence or a cut."""
        try:
            code, words = step(*arguments)
        except smtplib.SMTPServerDisconnected as error:    # smtplib says it of a timeout too
            silent = "timed out" in str(error)
            raise Failed("smtp_silent" if silent else "connection_lost", f"{self.host}: {'no answer' if silent else 'the connection was cut'}") from None
        except TimeoutError:
            raise Failed("smtp_silent", f"{self.host}: no answer within {PATIENCE} seconds") from None
        except (OSError, smtplib.SMTPException) as error:
            raise Failed("connection_lost", f"{self.host}: {error}") from None
        text = words.decode("utf-8", "replace")
        if code not in expected:
            entry = _catalogue.by_smtp_reply(f"{code} {text}", phase)
            raise Failed(entry["name"] if entry else "connection_lost", f"{self.host} said: {redacted(f'{code} {text}')}")
        return code, text

    def greet(self):
        """Take the greeting, and see that TLS is offered."""
        self.named(self.open)
        self.named(self.client.ehlo)
        if not self.client.has_extn("starttls"):
            raise Failed("tls_not_offered", f"{self.host} does not offer STARTTLS")

    def start_tls(self, ca_file):
        """Start TLS, and verify name and chain as Postfix does."""
        try:
            self.named(lambda: self.client.starttls(context=ssl.create_default_context(cafile=ca_file or None)))
        except Failed as failed:
            self.judge(failed)
            raise

    def judge(self, failed):
        """Raise a better name for a certificate that was not accepted."""
        seen = str(failed)
        if "CERTIFICATE_VERIFY_FAILED" not in seen:
            if "SSL" in seen:
                raise Failed("tls_handshake_failed", seen) from None
            return
        names = {"certificate has expired": "smtp_certificate_expired", "certificate is not yet valid": "smtp_certificate_not_yet_valid"}
        name = next((name for words, name in names.items() if words in seen), "smtp_certificate_unverified")
        found = re.search(r"certificate verify failed: (.*?)(?: \(_ssl|$)", seen)
        raise Failed(name, f"{self.host}: {found.group(1) if found else 'certificate verify failed'}") from None

    def login(self, mailbox, access_token):
        """Log in with XOAUTH2. Call it after start_tls only."""
        self.named(self.client.ehlo)
        if "XOAUTH2" not in self.client.esmtp_features.get("auth", "").upper().split():
            raise Failed("mechanism_filtered", f"{self.host} does not offer XOAUTH2")
        words = base64.b64encode(f"user={mailbox}\x01auth=Bearer {access_token}\x01\x01".encode()).decode()
        code, _text = self.named(self.client.docmd, "AUTH", f"XOAUTH2 {words}", phase="auth", expected=(235, 334))
        if code == 334:    # it says why in its challenge, and refuses after the answer
            self.named(self.client.docmd, "", phase="auth", expected=(235,))

    def end(self):
        """Say goodbye, so that nothing is cut off at the server."""
        self.named(self.client.quit, expected=(221,))
