# SPDX-License-Identifier: GPL-3.0-or-later
"""The SASL plugin sasl-xoauth2 on a host (private to the collection)."""

from __future__ import annotations

from ._commands import CommandError, run


def loads():
    """Tell whether the SASL library loads the plugin. Raises CommandError where saslpluginviewer (package sasl2-bin) is missing."""
    return b"SASL mechanism: XOAUTH2" in run(["saslpluginviewer", "-c", "-m", "XOAUTH2"], check=False).stdout


def is_there():
    """Tell whether the plugin loads, as far as that can be seen."""
    try:
        return loads()
    except CommandError:
        return False
