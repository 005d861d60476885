# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix's configuration, put in place as a whole and taken back when Postfix does not stand with it (private to the collection).

/etc/postfix.staged    the generation in the making; after the exchange, the one that was live until now
/etc/postfix.previous  the generation before the live one
UNPROVED               lies in a generation until Postfix was seen to work with it

A run that dies leaves a .staged behind, and UNPROVED tells on which side of the exchange it died.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time

from . import _open_relay, _postfix_checks, _postfix_proof, _postfix_unit
from ._commands import CommandError
from ._directories import ExchangeNotSupported, copy_tree, exchange, sync_tree
from ._files import read_if_there, sync_directory, write_atomically

LIVE = "/etc/postfix"
LOCK = "/run/m365-relay-postfix.lock"
UNPROVED = ".unproved"
# What the master binds once, when it starts.
NEED_RESTART = ("inet_interfaces", "inet_protocols")


class ConfigurationRefused(Exception):
    """The configuration was not put in place; the running Postfix has not seen it."""


class RolledBack(Exception):
    """Postfix did not stand with the configuration; the old one is back."""


def texts(directory):
    """Return {"main.cf": text, "master.cf": text} of a configuration directory; empty where there is none."""
    return {name: (read_if_there(f"{directory}/{name}") or b"").decode("utf-8", "replace") for name in ("main.cf", "master.cf")}


def preview(wanted, ports):
    """Check mode: return (changed, before). A configuration that would be refused is refused here too. Raises as `apply` does."""
    if not _postfix_unit.installed():
        return True, texts(LIVE)
    before = texts(LIVE)
    with tempfile.TemporaryDirectory(prefix="postfix.") as folder:
        directory = f"{folder}/postfix"
        copy_tree(LIVE, directory)
        write(directory, wanted)
        refuse(_postfix_checks.problems(directory, missing_is_fine=True))
    return before != wanted or died_halfway() or bool(needs(ports)), before


def apply(wanted, ports):
    """Bring the host to the wanted configuration, with Postfix enabled and running. Return (changed, before).

    wanted: {"main.cf": text, "master.cf": text}. ports: where mail is taken.
    Raises ConfigurationRefused, RolledBack, CommandError, OSError.
    """
    with alone():
        interrupted = recover()
        before = texts(LIVE)
        lacks = needs(ports)
        if before != wanted:
            replace(wanted, ports)
        elif interrupted or lacks in ("start", "reload"):
            refuse(_postfix_checks.problems(LIVE))
            activate(ports)
        elif not lacks:
            return False, before
        if not _postfix_unit.is_enabled():
            _postfix_unit.enable()
        return True, before


def reload(ports, check_mode=False):
    """Check the live configuration and let a running Postfix read it. Return changed. Raises as `apply` does."""
    with alone():
        if not _postfix_unit.installed() or not running(_open_relay.read(LIVE)[0]):
            return False
        if not check_mode:
            refuse(_postfix_checks.problems(LIVE))
            activate(ports)
        return True


def needs(ports):
    """Return what Postfix lacks to be what its files say: "enable", "start" or "reload", or nothing."""
    parameters = _open_relay.read(LIVE)[0]
    if not running(parameters):
        return "start"
    if not _postfix_proof.serves_certificate(parameters, ports):
        return "reload"
    return "" if _postfix_unit.is_enabled() else "enable"


def running(parameters):
    """Tell whether the master runs."""
    return _postfix_unit.master_pid(parameters["queue_directory"]) is not None


# --- one generation takes the place of another ---

def replace(wanted, ports):
    """Stage, check, exchange, prove; on failure exchange back."""
    staged = staged_path()
    try:
        stage(wanted)
        refuse(_postfix_checks.problems(staged))
        old, new = (_open_relay.read(directory)[0] for directory in (LIVE, staged))
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    was_running = running(old)
    try:
        exchange(LIVE, staged)
    except ExchangeNotSupported:
        shutil.rmtree(staged)
        raise
    try:
        activate(ports, restart=any(old[name] != new[name] for name in NEED_RESTART))
    except (ConfigurationRefused, CommandError, OSError, _postfix_proof.ProofError) as error:
        raise RolledBack(f"{error}\n{roll_back(was_running)}") from error
    keep()


def activate(ports, restart=False):
    """Let Postfix run with the live configuration and prove that it does. Raises ProofError, CommandError."""
    parameters = _open_relay.read(LIVE)[0]
    act = _postfix_unit.reload
    if restart or not running(parameters):
        _postfix_unit.stop()
        act = _postfix_unit.start
    since = time.time()
    try:
        act()
    except CommandError as error:
        raise _postfix_proof.ProofError("\n".join([*_postfix_unit.complaints(since, parameters["syslog_name"]), str(error)])) from None
    _postfix_proof.prove(parameters, ports, since)


def stage(wanted):
    """Make the new generation beside the live one, all of it on the disk."""
    copy_tree(LIVE, staged_path())
    write(staged_path(), wanted)
    write_atomically(f"{staged_path()}/{UNPROVED}", b"Postfix was not yet seen to work with this configuration.\n")
    sync_tree(staged_path())


def write(directory, wanted):
    """Write main.cf and master.cf into a generation that nobody uses yet."""
    for name, text in wanted.items():
        write_atomically(f"{directory}/{name}", text.encode(), mode=0o644)


def keep():
    """The live generation is good: the one before becomes the previous one."""
    os.unlink(f"{LIVE}/{UNPROVED}")
    sync_directory(LIVE)
    shutil.rmtree(previous_path(), ignore_errors=True)
    os.rename(staged_path(), previous_path())
    sync_directory(os.path.dirname(LIVE))


def roll_back(was_running):
    """Put the old generation back as it ran before; return a sentence about it."""
    exchange(LIVE, staged_path())
    shutil.rmtree(staged_path())
    if not was_running:
        _postfix_unit.stop()
        return "The old configuration is back; Postfix does not run, as before."
    try:
        # A service that just failed would be held back for a minute after a reload.
        activate([], restart=True)
    except (CommandError, _postfix_proof.ProofError) as error:
        return f"The old configuration is back, but Postfix does not run with it either: {error}"
    return "The old configuration is back, and Postfix runs with it."


def recover():
    """Tidy up after a run that died; return whether one had.

    Before the exchange it left a new generation that was never live. After it, the live one is unproved: the proved one comes back.
    """
    if not died_halfway():
        return False
    if os.path.exists(f"{LIVE}/{UNPROVED}") and os.path.exists(staged_path()):
        exchange(LIVE, staged_path())
    shutil.rmtree(staged_path(), ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{LIVE}/{UNPROVED}")
    return True


def died_halfway():
    """Tell whether an earlier run died before it was done."""
    return os.path.lexists(staged_path()) or os.path.exists(f"{LIVE}/{UNPROVED}")


def staged_path():
    """Return where the other generation lies during a change."""
    return f"{LIVE}.staged"


def previous_path():
    """Return where the generation before the live one is kept."""
    return f"{LIVE}.previous"


def refuse(problems):
    """Raise ConfigurationRefused when there are problems."""
    if problems:
        raise ConfigurationRefused("\n".join(problems))


@contextlib.contextmanager
def alone():
    """Keep two runs on one host apart. Raises ConfigurationRefused."""
    with open(LOCK, "w", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationRefused("another run is changing Postfix on this host right now; run this again when it is done") from None
        yield
