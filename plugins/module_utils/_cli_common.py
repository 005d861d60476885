# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sub-commands of m365-relay have in common (private to the collection)."""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys

from . import _relay_settings
from ._commands import CommandError

SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parser(name, description, epilog):
    """Return the parser of a sub-command."""
    return argparse.ArgumentParser(prog=f"m365-relay {name}", description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_json(options):
    """Let a parser take --json."""
    options.add_argument("--json", action="store_true", help="print the whole answer as JSON, for programs")


def told(function):
    """Turn what a sub-command cannot find out into words and exit code 3."""
    @functools.wraps(function)
    def wrapped(arguments):
        try:
            return function(arguments)
        except (CommandError, _relay_settings.UnusableError, OSError, ValueError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            complain(str(error))
            return 3
    return wrapped


def say(text):
    """Print a line, or several."""
    sys.stdout.write(f"{text}\n")


def complain(text):
    """Print what is wrong where it is no answer."""
    sys.stderr.write(f"m365-relay: {text}\n")


def as_json(value):
    """Print a value for programs."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def age(text):
    """Return a time span such as 30s, 10m, 2h, 5d in seconds, for argparse."""
    found = re.fullmatch(r"(\d+)([smhd]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time span: write 30s, 10m, 2h or 5d")
    return int(found.group(1)) * SPANS[found.group(2) or "s"]
