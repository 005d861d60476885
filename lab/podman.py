# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman, also on hosts that still mount cgroup v1.

A container that boots systemd needs cgroup v2. Where the host mounts it, podman is called as it is. Where it does not,
one process keeps a private mount namespace with cgroup v2 open, and every podman command enters it: containers that
were started in one such namespace cannot be reached from another.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import subprocess
import time

RUNTIME = pathlib.Path("/run/m365-lab")
HOLDER = RUNTIME / "namespace.pid"
GROUP = "/sys/fs/cgroup/m365-lab"

HOLD = f"""
umount -R -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir -p {GROUP} || exit 1
echo $$ > {GROUP}/cgroup.procs && exec sleep infinity
"""
ENTER = f'echo $$ > {GROUP}/cgroup.procs; exec "$@"'


class LabError(Exception):
    """Something the lab needs is not there; the text says what and what to do."""


@contextlib.contextmanager
def machine_lock(name):
    """Let one process of this machine at a time do what `name` stands for."""
    RUNTIME.mkdir(mode=0o700, exist_ok=True)
    with open(RUNTIME / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def needs_namespace():
    """Tell whether this host lacks a cgroup v2 mount that systemd in a container could use."""
    return subprocess.run(["stat", "-fc", "%T", "/sys/fs/cgroup"], capture_output=True, check=True).stdout.strip() != b"cgroup2fs"


def living_holder():
    """Return the process id that keeps the namespace open, or None."""
    try:
        pid = int(HOLDER.read_text(encoding="ascii"))
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if command == b"sleep\0infinity\0" else None


def remove_leftovers():
    """Remove containers whose namespace is gone (after a reboot or a killed session): nobody can reach them any more."""
    listed = subprocess.run(["podman", "ps", "--all", "--quiet", "--filter", "name=^m365-"], capture_output=True, check=False)
    for container in listed.stdout.decode().split():
        subprocess.run(["podman", "rm", "--force", "--time", "0", container], capture_output=True, check=False)


def namespace():
    """Return the process id of the namespace to enter, opening it if need be; None where none is needed."""
    if not needs_namespace():
        return None
    with machine_lock("namespace"):
        pid = living_holder()
        if pid is None:
            holder = subprocess.Popen(  # pylint: disable=consider-using-with
                ["unshare", "-m", "--propagation", "private", "bash", "-c", HOLD],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )
            HOLDER.write_text(str(holder.pid), encoding="ascii")
            deadline = time.monotonic() + 10
            while living_holder() is None:
                if holder.poll() is not None or time.monotonic() > deadline:
                    raise LabError("this host has no cgroup v2 and does not let root mount it privately: mount it at /sys/fs/cgroup")
                time.sleep(0.05)
            pid = holder.pid
            enter_and_run(pid, ["true"])
            remove_leftovers()
    return pid


def enter_and_run(pid, argv, **options):
    """Run argv inside the namespace of process `pid` (None: where we are)."""
    if pid is not None:
        argv = ["nsenter", "-t", str(pid), "-m", f"--wd={os.getcwd()}", "--", "bash", "-c", ENTER, "enter", *argv]
    return subprocess.run(argv, check=False, **options)


def podman(*arguments, check=True, text=None):
    """Run podman with these arguments; return its standard output as text. `text` is its standard input.

    Raises LabError with podman's own words when it fails.
    """
    done = enter_and_run(namespace(), ["podman", *arguments], capture_output=True, input=None if text is None else text.encode())
    if check and done.returncode != 0:
        raise LabError(f"podman {arguments[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "replace").strip()
