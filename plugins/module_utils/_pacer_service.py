# SPDX-License-Identifier: GPL-3.0-or-later
"""The pacer on a host: its program, its unit and its settings (private to the collection)."""

from __future__ import annotations

import json

from . import _daemon, _files, _pacer, _pacer_day, _pacer_state, _pacer_window, _services

UNIT = "m365-relay-pacer.service"
MODULES = (_daemon, _files, _pacer, _pacer_day, _pacer_state, _pacer_window)


def wanted_files(settings, unit):
    """Return the files of the service: the settings first, because a service that starts must find them. Raises ValueError."""
    _pacer_state.check_settings(settings)
    text = json.dumps(settings, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return [_services.Wanted(_pacer.SETTINGS, text.encode()), *_services.program(MODULES), _services.unit(UNIT, unit)]


def apply(settings, unit, check_only=False):
    """Bring the service to what is wanted. New settings count at once, without a restart. Returns what a module returns."""
    files = wanted_files(settings, unit)
    return _services.bring(files, {UNIT: [wanted.path for wanted in files[1:]]}, check_only)
