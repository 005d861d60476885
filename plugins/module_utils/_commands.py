# SPDX-License-Identifier: GPL-3.0-or-later
"""Running other programs (private to the collection)."""

from __future__ import annotations

import os
import subprocess


class CommandError(Exception):
    """A program ended with an error; the text names the program and what it said."""


def run(argv, stdin=None, timeout=60, check=True):
    """Run a program with the C locale and without a shell.

    argv:    list of str. Never put a secret here: process lists show it. Use stdin.
    stdin:   bytes for its standard input, or None for none.
    timeout: seconds until it is killed.
    check:   raise CommandError when its exit code is not 0.

    Returns subprocess.CompletedProcess with stdout and stderr as bytes.
    Raises CommandError when the program is missing, too slow, or (with check) failed.
    """
    environment = dict(os.environ, LC_ALL="C", LANGUAGE="C")
    environment["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    try:
        done = subprocess.run(argv, capture_output=True, env=environment, timeout=timeout, check=False, **source)
    except FileNotFoundError as error:
        raise CommandError(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{argv[0]} did not end within {timeout} seconds") from error
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise CommandError(f"{argv[0]} ended with exit code {done.returncode}: {said or 'it said nothing'}")
    return done
