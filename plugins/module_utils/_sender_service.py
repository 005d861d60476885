# SPDX-License-Identifier: GPL-3.0-or-later
"""The sender policy on a host: its program, its unit, its policy, and that it runs (private to the collection)."""

from __future__ import annotations

import grp
import json
import os
import socket
import stat
from typing import NamedTuple

from . import _sender_explain, _sender_headers, _sender_milter, _sender_policy
from ._commands import run
from ._files import read_if_there, write_atomically

PROGRAM = "/usr/local/lib/m365-relay"
UNIT = "m365-relay-policy.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
# What the service is made of; the same files that Ansible brought here to run this.
MODULES = (_sender_explain, _sender_headers, _sender_milter, _sender_policy)


class ServiceFailed(Exception):
    """The service does not run; the text says what it wrote."""


class Wanted(NamedTuple):
    """A file as it is to be."""

    path: str
    content: bytes
    mode: int
    gid: int | None    # None: the group is not there yet


def wanted_files(settings, unit):
    """Return the files of the service: first what has to be started anew, then the policy, which counts at once."""
    sources = [(f"{PROGRAM}/{module.__name__.rpartition('.')[2]}.py", module.__loader__.get_source(module.__name__)) for module in MODULES]
    return [
        *(Wanted(path, source.encode(), 0o644, 0) for path, source in [*sources, (UNIT_PATH, unit)]),
        Wanted(_sender_milter.POLICY, rendered(settings), 0o640, group("postfix")),
    ]


def rendered(settings):
    """Return the policy's file."""
    return (json.dumps(settings, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def group(name):
    """Return the id of a group, or None when it is not there."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def is_there(wanted):
    """Tell whether a file is as it is to be."""
    if read_if_there(wanted.path) != wanted.content:
        return False
    status = os.stat(wanted.path)
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (wanted.mode, 0, wanted.gid)


def service_state():
    """Return whether the unit runs, whether it starts with the host, and whether systemd knows its present file."""
    shown = run(["systemctl", "show", "--property=ActiveState,UnitFileState,NeedDaemonReload", UNIT], check=False).stdout.decode()
    values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return {
        "active": values.get("ActiveState") == "active", "enabled": values.get("UnitFileState") == "enabled",
        "known": values.get("NeedDaemonReload") == "no",
    }


def apply(settings, unit, check_only=False):
    """Bring the service to what is wanted. Returns (paths that changed, whether it was or would be started anew)."""
    _sender_policy.compile_policy(settings)    # what cannot be compiled must not get there
    files = wanted_files(settings, unit)
    changed = [wanted for wanted in files if not is_there(wanted)]
    state = service_state()
    restart = not all(state.values()) or any(wanted.path != _sender_milter.POLICY for wanted in changed)
    if not check_only:
        for directory in sorted({os.path.dirname(wanted.path) for wanted in changed}):
            os.makedirs(directory, mode=0o755, exist_ok=True)
        # The policy first: a service that starts must find it.
        for wanted in reversed(changed):
            write_atomically(wanted.path, wanted.content, wanted.mode, 0, wanted.gid)
        if restart:
            start()
    return [wanted.path for wanted in changed], restart


def start():
    """Start the service anew and see that it answers."""
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "enable", UNIT])
    done = run(["systemctl", "restart", UNIT], check=False)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.connect(_sender_milter.SOCKET)
    except OSError as error:
        log = run(["journalctl", "--unit", UNIT, "--lines", "15", "--output", "cat", "--no-pager"], check=False).stdout.decode("utf-8", "replace")
        said = done.stderr.decode("utf-8", "replace").strip()
        raise ServiceFailed(f"{UNIT} does not answer on {_sender_milter.SOCKET} ({error}). {said} It wrote:\n{log.strip()}") from error
