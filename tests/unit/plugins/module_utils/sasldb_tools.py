# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of sasldb2 share: Debian's own tools and SASL's own library as witnesses."""

from __future__ import annotations

import json
import pathlib
import stat
import subprocess
import sys

SASL_LOGIN = pathlib.Path(__file__).with_name("sasl_login.py")
REALM = "corp.test"


def key(name, what="userPassword", realm=REALM):
    return f"{name}\0{realm}\0{what}".encode()


def account(name, realm=REALM):
    return name.encode(), realm.encode()


def listed(path):
    """Ask Debian's own tool for the accounts."""
    done = subprocess.run(["sasldblistusers2", "-f", str(path)], capture_output=True, text=True, check=True)
    return sorted(line.removesuffix(": userPassword") for line in done.stdout.splitlines())


def let_in(path, *logins):
    """Ask SASL's own library whether it lets (name, password) pairs in."""
    done = subprocess.run([sys.executable, str(SASL_LOGIN), str(path), REALM], input=json.dumps(logins), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def saslpasswd2(path, name, password):
    subprocess.run(["saslpasswd2", "-p", "-c", "-f", str(path), "-u", REALM, name], input=password.encode(), check=True)


def state(directory):
    """Return everything about the files of a directory that a run could have changed."""
    found = {}
    for path in sorted(pathlib.Path(directory).iterdir()):
        about = path.lstat()
        regular = stat.S_ISREG(about.st_mode)
        found[path.name] = (about.st_ino, about.st_mode, about.st_uid, about.st_gid, about.st_mtime_ns, path.read_bytes() if regular else None)
    return found


def make_database(directory):
    """Let Debian's own tool make a database with the accounts al and bob; return its path."""
    path = directory / "sasldb2"
    saslpasswd2(path, "al", "al-old")
    saslpasswd2(path, "bob", "bob-old")
    return path
