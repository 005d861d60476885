# SPDX-License-Identifier: GPL-3.0-or-later
"""The sender policy on a host: its program, its unit and its policy (private to the collection)."""

from __future__ import annotations

import json

from . import _sender_explain, _sender_headers, _sender_milter, _sender_policy, _services

UNIT = "m365-relay-policy.service"
MODULES = (_sender_explain, _sender_headers, _sender_milter, _sender_policy)


def wanted_files(settings, unit):
    """Return the files of the service: the policy first, because a service that starts must find it."""
    return [policy(settings), *_services.program(MODULES), _services.unit(UNIT, unit)]


def policy(settings):
    """Return the file of the policy. Raises KeyError or ValueError for what cannot be compiled."""
    _sender_policy.compile_policy(settings)
    text = json.dumps(settings, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return _services.Wanted(_sender_milter.POLICY, text.encode(), 0o640, _services.group("postfix"))


def apply(settings, unit, check_only=False):
    """Bring the service to what is wanted. A new policy counts at once, without a restart. Returns (paths that changed, units started anew)."""
    files = wanted_files(settings, unit)
    return _services.bring(files, {UNIT: [wanted.path for wanted in files[1:]]}, check_only)
