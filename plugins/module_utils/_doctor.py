# SPDX-License-Identifier: GPL-3.0-or-later
"""Every hop of the way to Microsoft, proven by itself: the first that fails is named, with its cause and its remedy (private to the collection).

The doctor changes nothing; only when it is told to, it renews the token. A finding is a dict: stage, identity (mailbox, or None for what
concerns the host), status (ok, failed, not_tried), seen (what was proven or seen), and with "failed" name, meaning, remedy and mail of the catalogue.
"""

from __future__ import annotations

import syslog
import time

from . import _catalogue, _doctor_host, _doctor_network, _doctor_token, _relay_settings
from ._commands import CommandError
from ._doctor_network import Failed

# In this order; the number is the exit code when it is the first that fails.
STAGES = {
    "plugin": (10, "the SASL plugin XOAUTH2 loads"),
    "configuration": (11, "Postfix's configuration and the relay's settings parse, and Postfix runs"),
    "token_file": (12, "Postfix reaches the token file, and may write beside it"),
    "dns": (13, "the names of the SMTP host and of the sign-in service (or its proxy) have addresses"),
    "tcp": (14, "both take connections"),
    "service": (15, "the SMTP host greets and offers STARTTLS, the sign-in service knows the tenant"),
    "clock": (16, "the host's clock agrees with Microsoft's"),
    "tls": (17, "name and chain of both certificates are verified"),
    "token": (18, "the token is there, for this mailbox, tenant, app and permission, and has not expired"),
    "renewal": (19, "the timer runs and the last renewal succeeded; with --renew it is renewed now"),
    "login": (20, "a real XOAUTH2 login at the SMTP host, ended with QUIT, without mail"),
    "queue": (21, "nothing waits for a reason that needs somebody"),
}


def examine(mailbox=None, renew=False):
    """Return all findings, in order. mailbox: only this identity. Raises UnusableError for a mailbox that is not an identity."""
    findings = [tried("plugin", None, {}, _doctor_host.plugin), tried("configuration", None, {}, _doctor_host.configuration)]
    try:
        settings = _relay_settings.load()
    except _relay_settings.UnusableError as error:
        settings = {"identities": []}
        if findings[-1]["status"] == "ok":
            findings[-1] = failure("configuration", None, {}, Failed("settings_missing", str(error)))
    else:
        for identity in _relay_settings.chosen(settings, [mailbox] if mailbox else []):
            findings += examine_identity(identity, renew)
    proven = all(finding["status"] == "ok" for finding in findings)
    first = (settings["identities"] or [{}])[0]
    return [*findings, tried("queue", None, first, lambda: _doctor_host.queue(proven))]


def examine_identity(identity, renew):
    """Return the findings of one identity; after the first that failed nothing more is tried."""
    findings = []
    for stage, probe in probes(identity, renew).items():
        if findings and findings[-1]["status"] != "ok":
            findings.append({"stage": stage, "identity": identity["mailbox"], "status": "not_tried", "seen": ""})
        else:
            findings.append(tried(stage, identity["mailbox"], identity, probe))
    return findings


def probes(identity, renew):
    """Return {stage: function} of an identity."""
    known = {}    # what one stage learns for the next

    def dns():
        known["smtp"] = _doctor_network.resolve(identity["smtp_host"], identity["smtp_port"], "smtp_host_not_found", "dns_unavailable")
        known["sign_in"] = _doctor_network.resolve(*_doctor_network.sign_in_endpoint(identity), "login_host_not_found", "login_dns_unavailable")
        return f"{identity['smtp_host']}: {', '.join(dict.fromkeys(known['smtp']))}"

    def tcp():
        address = _doctor_network.connect(identity["smtp_host"], identity["smtp_port"], known["smtp"], "smtp_port_closed", "smtp_port_blocked")
        host, port = _doctor_network.sign_in_endpoint(identity)
        _doctor_network.connect(host, port, known["sign_in"], "sign_in_page_unreachable", "sign_in_page_unreachable")
        return f"{address} port {identity['smtp_port']}, {host} port {port}"

    def service():
        with _doctor_network.Session(identity) as session:
            session.greet()
        known["answer"] = _doctor_network.ask_sign_in(identity)
        return _doctor_network.sign_in_service(identity, known["answer"])

    def clock():
        return _doctor_network.clock(known["answer"])

    def tls():
        with _doctor_network.Session(identity) as session:
            session.greet()
            session.start_tls(_doctor_host.smtp_ca_file())
        _doctor_network.sign_in_certificate(identity)
        return f"{identity['smtp_host']}, {identity['login_host']}"

    def login():
        with _doctor_network.Session(identity) as session:
            session.greet()
            session.start_tls(_doctor_host.smtp_ca_file())
            session.login(identity["mailbox"], _doctor_token.access_token(identity))
            session.end()
        syslog.openlog("m365-relay-doctor", 0, syslog.LOG_USER)    # status tells of it
        syslog.syslog(syslog.LOG_INFO, f"login {identity['mailbox']} ok")
        return f"{identity['mailbox']} logged in at {identity['smtp_host']}; no mail was sent"

    return {
        "token_file": lambda: _doctor_host.token_file(identity), "dns": dns, "tcp": tcp, "service": service, "clock": clock, "tls": tls,
        "token": lambda: _doctor_token.token(identity, renew, time.time()), "renewal": lambda: _doctor_token.renewal(identity, renew), "login": login,
    }


def tried(stage, mailbox, identity, probe):
    """Return the finding of one stage."""
    try:
        seen = probe()
    except Failed as failed:
        return failure(stage, mailbox, identity, failed)
    except CommandError as error:    # Postfix's own programs refuse to work with a configuration that is wrong
        return failure(stage, mailbox, identity, Failed("configuration_wrong", str(error)))
    return {"stage": stage, "identity": mailbox, "status": "ok", "seen": seen}


def failure(stage, mailbox, identity, failed):
    """Return the finding of a stage that failed."""
    return {"stage": stage, "identity": mailbox, "status": "failed", "seen": str(failed), **_catalogue.explain(_catalogue.by_name(failed.name), **identity)}


def first_failure(findings):
    """Return the failed finding that stands earliest on the way, or None."""
    order = list(STAGES)
    failed = [finding for finding in findings if finding["status"] == "failed"]
    return min(failed, key=lambda finding: order.index(finding["stage"]), default=None)


def exit_code(findings):
    """Return the number of the first stage that failed, 0 if none did."""
    failed = first_failure(findings)
    return STAGES[failed["stage"]][0] if failed else 0


def report(findings):
    """Return everything for programs."""
    return {"ok": exit_code(findings) == 0, "exit_code": exit_code(findings), "first_failure": first_failure(findings), "findings": findings}


def sentence(failed):
    """Return a failed finding as text: stage, name, what was seen, what it means and what to do."""
    where = f" of {failed['identity']}" if failed["identity"] else ""
    seen = f" {failed['seen'].rstrip('.')}." if failed["seen"] else ""
    return f"Stage {failed['stage']}{where} failed: {failed['name']}.{seen} {failed['meaning']} {failed['remedy']}"


def as_text(findings):
    """Return the findings for people, a line for each stage, and below a failed one what it means and what to do."""
    lines, before = [], None
    for finding in findings:
        if finding["identity"] != before and finding["identity"]:
            lines.append(f"{finding['identity']}:")
        before = finding["identity"]
        mark = {"ok": "ok       ", "failed": "FAILED   ", "not_tried": "not tried"}[finding["status"]]
        named = f"{finding['name']}: " if finding["status"] == "failed" else ""
        lines.append(f"{'  ' if before else ''}{mark} {finding['stage']:<13} {named}{finding['seen']}".rstrip())
        if finding["status"] == "failed":
            lines += [f"            {finding['meaning']}", f"            What to do: {finding['remedy']}"]
    return "\n".join(lines)
