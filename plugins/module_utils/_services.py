# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay's own programs on a host: their files, their systemd units, and that they run (private to the collection).

The programs are the files that stand beside this one: what Ansible runs to install them is what it installs.
"""

from __future__ import annotations

import grp
import os
import stat
import time
from typing import NamedTuple

from ._commands import run
from ._files import read_if_there, write_atomically

PROGRAM = "/usr/local/lib/m365-relay"
UNITS = "/etc/systemd/system"


class ServiceFailed(Exception):
    """A unit does not run; the text says what it wrote."""


class Wanted(NamedTuple):
    """A file as it is to be."""

    path: str
    content: bytes
    mode: int = 0o644
    gid: int | None = 0    # None: the group is not there yet


def program(modules):
    """Return the files of a program that is made of these modules."""
    return [Wanted(f"{PROGRAM}/{module.__name__.rpartition('.')[2]}.py", module.__loader__.get_source(module.__name__).encode()) for module in modules]


def unit(name, text):
    """Return the file of a systemd unit."""
    return Wanted(f"{UNITS}/{name}", text.encode())


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


def write(files):
    """Write these files, each old or new at any moment."""
    for wanted in files:
        folder = os.path.dirname(wanted.path)
        if not os.path.isdir(folder):
            os.mkdir(folder)
            os.chmod(folder, 0o755)    # noqa: S103 (programs and settings are for everybody, whatever root's umask is)
        write_atomically(wanted.path, wanted.content, wanted.mode, 0, wanted.gid)


def is_current(name, paths):
    """Tell whether a unit runs, starts with the host, is the one in its file, and was started after its files were written.

    The files' times are asked, and not whether this run wrote them: a run that died in between leaves nothing behind.
    """
    wanted = ("ActiveState", "UnitFileState", "NeedDaemonReload", "ActiveEnterTimestampMonotonic")
    shown = run(["systemctl", "show", f"--property={','.join(wanted)}", name], check=False).stdout.decode()
    values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if (values.get("ActiveState"), values.get("UnitFileState"), values.get("NeedDaemonReload")) != ("active", "enabled", "no"):
        return False
    started = time.time() - time.monotonic() + int(values["ActiveEnterTimestampMonotonic"]) / 1e6
    return all(os.stat(path).st_mtime < started for path in paths)


def start(name):
    """Enable a unit and start it anew. Raises ServiceFailed with what it wrote."""
    run(["systemctl", "enable", name])
    done = run(["systemctl", "restart", name], check=False)
    if done.returncode != 0 or run(["systemctl", "is-active", name], check=False).returncode != 0:
        raise ServiceFailed(f"{name} does not run. {done.stderr.decode('utf-8', 'replace').strip()} It wrote:\n{last_words(name)}")


def last_words(name):
    """Return what a unit wrote last."""
    return run(["journalctl", "--unit", name, "--lines", "15", "--output", "cat", "--no-pager"], check=False).stdout.decode("utf-8", "replace").strip()


def bring(files, units, check_only=False):
    """Write files that are not as wanted, and start units anew where that is needed.

    files: [Wanted] in the order in which they are written: what a service reads comes before what starts it.
    units: {name of a unit: the paths after whose change it has to be started anew}; all of them are started with the host.

    Returns a dict as modules return it: files (paths that changed), restarted (units that were or would be started anew), and the diff
    of what is no program.
    """
    changed = [wanted for wanted in files if not is_there(wanted)]
    paths = [wanted.path for wanted in changed]
    stale = [name for name, needs in units.items() if set(needs) & set(paths) or not is_current(name, needs)]
    found = {"files": paths, "restarted": stale, "diff": [difference(wanted) for wanted in changed if not wanted.path.startswith(PROGRAM)]}
    if not check_only:
        write(changed)
        if stale or any(path.startswith(UNITS) for path in paths):
            run(["systemctl", "daemon-reload"])
        for name in stale:
            start(name)
    return found


def difference(wanted):
    """Return both halves of what changes in a file. Nothing that is written here holds a secret."""
    before = (read_if_there(wanted.path) or b"").decode("utf-8", "replace")
    return {"before_header": wanted.path, "after_header": wanted.path, "before": before, "after": wanted.content.decode()}
