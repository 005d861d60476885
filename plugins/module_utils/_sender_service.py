# SPDX-License-Identifier: GPL-3.0-or-later
"""The sender policy on a host: its program, its unit and its policy (private to the collection)."""

from __future__ import annotations

import json

from . import _daemon, _milter_protocol, _sender_explain, _sender_headers, _sender_lanes, _sender_milter, _sender_policy, _sender_quotas, _services
from ._transports import route

UNIT = "m365-relay-policy.service"
MODULES = (_daemon, _milter_protocol, _sender_explain, _sender_headers, _sender_lanes, _sender_milter, _sender_policy, _sender_quotas)
# What the module is told and the service need not know: routes are made from it.
ABOUT_LANES = ("smtp_hosts", "smtp_ports", "messages_per_minute", "mailbox_limits")


def wanted_files(settings, unit):
    """Return the files of the service: the policy first, because a service that starts must find it."""
    return [policy(settings), *_services.program(MODULES), _services.unit(UNIT, unit)]


def policy(settings):
    """Return the file of the policy. Raises KeyError or ValueError for what cannot be compiled."""
    known = with_lanes(settings)
    _sender_policy.compile_policy(known)
    text = json.dumps(known, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return _services.Wanted(_sender_milter.POLICY, text.encode(), 0o640, _services.group("postfix"))


def with_lanes(settings):
    """Return the settings of the service: which way the mail of each mailbox goes, and how fast it may."""
    known = {name: value for name, value in settings.items() if name not in ABOUT_LANES}
    hosts = zip(settings["mailboxes"], settings["smtp_hosts"], settings["smtp_ports"], strict=True)
    relayhosts = {mailbox: f"[{host}]:{port}" for mailbox, host, port in hosts}
    known["routes"] = {mailbox: {"prompt": route(mailbox, host), "bulk": route(mailbox, host, bulk=True)} for mailbox, host in relayhosts.items()}
    limits = {mailbox.lower(): limit for mailbox, limit in settings["mailbox_limits"].items()}
    known["messages_per_minute"] = {
        mailbox: int(limits.get(mailbox.lower(), {}).get("messages_per_minute", settings["messages_per_minute"])) for mailbox in relayhosts
    }
    return known


def apply(settings, unit, check_only=False):
    """Bring the service to what is wanted. A new policy counts at once, without a restart. Returns what a module returns."""
    files = wanted_files(settings, unit)
    return _services.bring(files, {UNIT: [wanted.path for wanted in files[1:]]}, check_only)
