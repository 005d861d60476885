# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/errors.md, the error catalogue for readers: `python tests/errors_page.py`, in the environment of `./dev setup`."""

from __future__ import annotations

import pathlib

from ansible_collections.simple_m365.relay.plugins.module_utils import _catalogue

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "errors.md"
SECTIONS = {
    "signin": "Microsoft's sign-in service, and tokens",
    "smtp": "Replies of Exchange Online",
    "plugin": "The plugin sasl-xoauth2",
    "postfix": "Postfix",
    "host": "The host and its network",
}
INTRODUCTION = """\
# What goes wrong, and what to do

Every failure of the relay has a name, which never changes: in the results of modules, in messages and in metrics. This page is made from the
catalogue in `plugins/module_utils/_catalogue*.py`; the words in braces are filled in with your own values there.

Commands that begin with `Set-`, `Get-`, `Add-` or `Test-` are for
[Exchange Online PowerShell](https://learn.microsoft.com/powershell/exchange/exchange-online-powershell).
"""
MAIL = {"waits": "Mail waits.", "bounces": "Mail bounces.", "not affected": "Mail is not affected."}


def recognized(match):
    """Return what an entry is recognized by, in words."""
    if "code" in match:
        return f"AADSTS{match['code']}" + (f" with {match['error']}" if "error" in match else "")
    said = " ".join(match[key] for key in ("reply", "status", "error", "suberror", "text") if key in match)
    return f"`{said}`" + (f" in reply to {match['phase'].upper()}" if "phase" in match else "")


def render():
    """Return the whole page."""
    lines = [INTRODUCTION]
    for source, title in SECTIONS.items():
        lines.append(f"## {title}\n")
        for entry in (entry for entry in _catalogue.ENTRIES if entry["source"] == source):
            lines.append(f"### {entry['name']}\n")
            lines.append(f"{entry['meaning']} {MAIL[entry['mail']]}{' It ends by itself.' if entry['retry'] else ''}\n".replace("<", "\\<"))
            lines.append(f"What to do: {entry['remedy']}\n".replace("<", "\\<"))
            if entry["match"]:
                lines.append(f"Recognized by: {', '.join(recognized(match) for match in entry['match'])} ({entry['certainty']}).\n")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
