# SPDX-License-Identifier: GPL-3.0-or-later
"""The command m365-relay (private to the collection)."""

from __future__ import annotations

import sys

from . import _cli_token

COMMANDS = {"token": _cli_token.main}


def main(arguments):
    """Run a sub-command; return its exit code."""
    if not arguments or arguments[0] not in COMMANDS:
        print(f"usage: m365-relay {{{','.join(COMMANDS)}}} ...   (each with --help)", file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    return COMMANDS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
