# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix as a systemd unit, on every Debian release (private to the collection)."""

from __future__ import annotations

import json
import shutil

from ._commands import CommandError, run

# Programs of users log as postfix/... too; their mistakes say nothing about the daemons.
USER_PROGRAMS = {"sendmail", "postdrop", "postqueue", "postsuper", "postmap", "postalias", "postconf", "postcat", "postkick"}


def installed():
    """Tell whether Postfix is on this host."""
    return shutil.which("postfix", path="/usr/sbin:/usr/bin") is not None


def master_pid(queue_directory):
    """Return the process id of Postfix's master, or None when it does not run."""
    try:
        with open(f"{queue_directory}/pid/master.pid", encoding="ascii") as stream:
            pid = int(stream.read())
        with open(f"/proc/{pid}/comm", encoding="ascii") as stream:
            return pid if stream.read().strip() == "master" else None
    except (OSError, ValueError):
        return None


def units():
    """Return the units that make up Postfix: Debian 12 has the daemon in an instance behind an empty postfix.service."""
    kind = run(["systemctl", "show", "--property=Type", "--value", "postfix.service"]).stdout.strip()
    return ["postfix@-.service", "postfix.service"] if kind == b"oneshot" else ["postfix.service"]


def is_enabled():
    """Tell whether Postfix starts with the host."""
    return run(["systemctl", "is-enabled", "--quiet", "postfix.service"], check=False).returncode == 0


def enable():
    """Let Postfix start with the host."""
    run(["systemctl", "enable", "postfix.service"])


def reload():
    """Let the running Postfix read its configuration. The real unit is named: a reload passed on by another one does not report failure."""
    run(["systemctl", "reload", units()[0]])


def stop():
    """Stop Postfix, if it runs."""
    run(["systemctl", "stop", *units()], timeout=180)


def start():
    """Start Postfix, even if systemd gave up on it."""
    run(["systemctl", "reset-failed", *units()], check=False)
    run(["systemctl", "start", *units()], timeout=180)


def complaints(since, syslog_name="postfix"):
    """Return what Postfix's programs logged as fatal since a time (seconds since the epoch)."""
    try:
        output = run(["journalctl", "--quiet", "--output=json", f"--since=@{since:.6f}", "SYSLOG_FACILITY=2"]).stdout
    except CommandError:
        return []    # no journal on this host: then the ports alone have to prove it
    found = []
    for line in output.decode("utf-8", "replace").splitlines():
        entry = json.loads(line)
        program, message = entry.get("SYSLOG_IDENTIFIER") or "", entry.get("MESSAGE")
        own = program.startswith(f"{syslog_name}/") and program.rpartition("/")[2] not in USER_PROGRAMS
        if own and isinstance(message, str) and message.startswith(("fatal:", "panic:")):
            found.append(f"{program}: {message}")
    return list(dict.fromkeys(found))
