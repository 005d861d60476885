# SPDX-License-Identifier: GPL-3.0-or-later
"""The command m365-relay (private to the collection)."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

# Only the one that is wanted is loaded, so that a mistake in another never stops the renewal.
COMMANDS = {
    "doctor": ("_cli_doctor", "prove every hop of the way to Microsoft, and name the first that fails with its remedy"),
    "status": ("_cli_status", "how this relay is: ports, queue, tokens, accounts, certificate, disk"),
    "log": ("_cli_log", "what became of each message, a line a message"),
    "queue": ("_cli_queue", "list, show, hold, release, flush or delete what waits"),
    "explain": ("_cli_explain", "what the sender policy decides, and why"),
    "token": ("_cli_token", "show, renew or check the tokens"),
}
EXAMPLES = """examples:
  m365-relay doctor                          something is wrong: what, and what to do?
  m365-relay status                          is anything wrong?
  m365-relay log --since today --follow      what becomes of the mail, now
  m365-relay queue list --cause server_busy  who waits for this?
  m365-relay COMMAND --help                  each command's options, examples and exit codes

exit codes of every command: 0 all is well, 1 something is not (or nothing was done), 2 the command line is wrong,
3 it could not find out. The doctor has one for each stage: m365-relay doctor --help.
Every command takes --json. Tokens and passwords are never shown.
"""


def main(arguments):
    """Run a sub-command; return its exit code."""
    commands = "\n".join(f"  {name:<8} {words}" for name, (_module, words) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="m365-relay", usage="m365-relay COMMAND [options]", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"A relay for Microsoft 365, asked on its own host, as root.\n\ncommands:\n{commands}", epilog=EXAMPLES)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments[:1])
    if os.geteuid() != 0 and not {"-h", "--help"} & set(arguments):
        sys.stderr.write("m365-relay: only root may read what it needs: sudo m365-relay ...\n")
        return 3
    module = importlib.import_module(f".{COMMANDS[options.command][0]}", __package__)
    try:
        code = module.main(arguments[1:])
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:    # who reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
