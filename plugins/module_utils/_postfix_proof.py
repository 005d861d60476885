# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the running Postfix do what its configuration promises? (private to the collection)"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import smtplib
import socket
import ssl
import time

from ._certificate import leaf
from ._postfix_checks import certificate_files
from ._postfix_unit import complaints, master_pid

# Seconds for everything to be as it should, and for one answer: after a reload the first ones may come late or break off.
PATIENCE = 30
ONE_ANSWER = 5
# Services that take part in every message. Each says its protocol to whoever connects, if it comes up with its parameters at all.
SERVICES = ("cleanup", "rewrite", "tlsmgr", "smtp", "tlsproxy", "scache", "anvil")


class ProofError(Exception):
    """The running Postfix is not what its configuration says."""


def prove(parameters, ports, since):
    """Return when Postfix runs, its services come up, every port answers as promised, and nothing fatal was logged. Raises ProofError.

    parameters: the effective main.cf parameters. since: when the reload began, in seconds since the epoch.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            attempt(parameters, ports)
            fatal = complaints(since, parameters["syslog_name"])
            if fatal:
                raise ProofError("\n".join(fatal))
            return
        except ProofError as error:
            fatal = complaints(since, parameters["syslog_name"])
            if fatal or time.monotonic() > deadline:
                raise ProofError("\n".join(dict.fromkeys([*str(error).splitlines(), *fatal]))) from None
        time.sleep(0.3)


def attempt(parameters, ports):
    """Look once. Raises ProofError."""
    if master_pid(parameters["queue_directory"]) is None:
        raise ProofError("Postfix does not run: there is no master process")
    for name in SERVICES:
        wake(parameters["queue_directory"], name)
    for port in ports:
        for address in addresses(parameters):
            ask(address, port, parameters)


def wake(queue_directory, name):
    """Let the master start a service, and see it come up. Raises ProofError."""
    paths = [f"{queue_directory}/{folder}/{name}" for folder in ("private", "public")]
    path = next((path for path in paths if os.path.exists(path)), None)
    if path is None:
        raise ProofError(f"the service {name} is missing in master.cf")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ONE_ANSWER)
            connection.connect(path)
            greeting = connection.recv(4096)
    except OSError as error:
        raise ProofError(f"the service {name} does not answer: {error}") from None
    if not greeting:
        raise ProofError(f"the service {name} does not come up")


def addresses(parameters):
    """Return the addresses of this host on which Postfix takes mail, loopback where it listens on all."""
    chosen = parameters["inet_interfaces"].replace(",", " ").split()
    if chosen in (["all"], ["loopback-only"]):
        chosen = ["127.0.0.1", "::1"]
    found = []
    for word in chosen:
        with contextlib.suppress(ValueError):
            found.append(ipaddress.ip_address(word.strip("[]")))
    families = {"all": (4, 6), "ipv4": (4,), "ipv6": (6,)}.get(parameters["inet_protocols"], (4, 6))
    return [str(address) for address in found if address.version in families and (address.version == 4 or has_ipv6())]


def has_ipv6():
    """Tell whether this host has IPv6 at all; where it has not, Postfix does without too."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def ask(address, port, parameters):
    """Talk to one port as a client does. Raises ProofError."""
    where = f"port {port} on {address}"
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE    # it is compared with the file instead
    try:
        if port == 465:
            client = smtplib.SMTP_SSL(address, port, "localhost", timeout=ONE_ANSWER, context=context)
        else:
            client = smtplib.SMTP(address, port, "localhost", timeout=ONE_ANSWER)
    except smtplib.SMTPConnectError as error:
        if error.smtp_code == 421 and error.smtp_error.startswith(b"4.7.0"):
            return    # it runs, and has had enough of another client at this address
        raise ProofError(f"{where} answers {error.smtp_code} {error.smtp_error.decode('utf-8', 'replace')}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise ProofError(f"{where} does not answer as an SMTP server: {error}") from None
    try:
        with client:
            converse(client, where, port, parameters, context)
    except (OSError, smtplib.SMTPException) as error:
        raise ProofError(f"{where} breaks off: {error}") from None


def converse(client, where, port, parameters, context):
    """Look at what is offered before and after TLS. Raises ProofError."""
    client.ehlo()
    if port != 465:
        if client.has_extn("auth"):
            raise ProofError(f"{where} offers AUTH before TLS")
        if not client.has_extn("starttls"):
            raise ProofError(f"{where} does not offer STARTTLS")
        client.starttls(context=context)
        client.ehlo()
    if port != 25 and not client.has_extn("auth"):
        raise ProofError(f"{where} does not offer AUTH after TLS")
    if not shows(client.sock, parameters):
        raise ProofError(f"{where} does not show the certificate {certificate_files(parameters)[0]}")


def shows(connection, parameters):
    """Tell whether a TLS connection to Postfix shows the certificate that lies in the file."""
    files = certificate_files(parameters)
    return files is None or connection.getpeercert(binary_form=True) == leaf(files[0])


def serves_certificate(parameters, ports):
    """Tell whether Postfix shows clients the certificate that lies in the file now."""
    try:
        for port in ports[:1]:
            for address in addresses(parameters)[:1]:
                ask(address, port, parameters)
    except ProofError:
        return False
    return True
