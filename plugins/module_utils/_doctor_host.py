# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor asks the host: the plugin, Postfix's configuration, its view of the token file, the queue (private to the collection)."""

from __future__ import annotations

import os
import time

from . import _open_relay, _plugin, _postfix_unit, _queue, _tokens
from ._commands import CommandError, run
from ._doctor_network import Failed
from ._postfix_checks import syntax_problems

POSTFIX = "/etc/postfix"
# Run by user postfix in the master's mount namespace: $1 is the directory, $2 the token file.
LOOK = '[ -x "$1" ] || { echo "may not enter $1"; exit; }; [ -w "$1" ] || { echo "may not write to $1"; exit; }; ' \
       '[ ! -e "$2" ] || { [ -r "$2" ] && [ -w "$2" ]; } || echo "may not read and write $2"'


def plugin():
    """See that the SASL library loads the plugin."""
    try:
        if _plugin.loads():
            return "sasl-xoauth2"
    except CommandError as error:
        raise Failed("plugin_missing", str(error)) from None
    raise Failed("plugin_missing", "saslpluginviewer -c -m XOAUTH2 does not show it")


def configuration():
    """See that Postfix accepts its configuration and runs."""
    try:
        problems = syntax_problems(POSTFIX)
        parameters = {} if problems else _open_relay.read(POSTFIX)[0]
    except CommandError as error:
        raise Failed("configuration_wrong", str(error)) from None
    if problems:
        raise Failed("configuration_wrong", problems[0])
    if _postfix_unit.master_pid(parameters["queue_directory"]) is None:
        raise Failed("postfix_stopped")
    return f"Postfix {parameters['mail_version']} runs"


def smtp_ca_file():
    """Return the CA bundle with which Postfix verifies the SMTP host."""
    return run(["postconf", "-xh", "smtp_tls_CAfile"]).stdout.decode().strip()


def chrooted():
    """Return the names of the services of smtp(8) that run in a chroot: they see no token."""
    lines = run(["postconf", "-c", POSTFIX, "-M"]).stdout.decode().splitlines()
    fields = [line.split(None, 7) for line in lines]
    return [field[0] for field in fields if len(field) == 8 and field[7].split()[0] == "smtp" and field[4] == "y"]


def token_file(identity):
    """Look at the token file as Postfix does: as its user, with what its unit's sandbox lets it see."""
    services = chrooted()
    if services:
        raise Failed("smtp_in_chroot", f"in a chroot: {', '.join(services)}")
    pid = _postfix_unit.master_pid(run(["postconf", "-h", "queue_directory"]).stdout.decode().strip())
    path = _tokens.token_path(identity["mailbox"])
    inside = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "--"] if pid else []
    user = ["setpriv", f"--reuid={_tokens.OWNER}", f"--regid={_tokens.OWNER}", "--init-groups", "--"]
    try:
        done = run([*inside, *user, "sh", "-c", LOOK, "sh", os.path.dirname(path), path])
    except CommandError as error:
        raise Failed("token_file_unusable", str(error)) from None
    said = done.stdout.decode().strip()
    if said:
        raise Failed("token_file_unusable", f"user {_tokens.OWNER} {said}")
    return f"{path}, as user {_tokens.OWNER}" + (" in Postfix's sandbox" if inside else "")


def queue(proven):
    """See that nothing waits. proven: all else was found to be well, so what waits was held up by something that is mended."""
    try:
        directory = run(["postconf", "-h", "queue_directory"]).stdout.decode().strip()
        found = _queue.summary(directory, time.time())
    except (CommandError, OSError) as error:
        raise Failed("configuration_wrong", str(error)) from None
    if not found["causes"]:
        return f"{found['total']} messages, none of them deferred"
    cause = found["causes"][0]
    mended = " All else is well now, so that may be mended: m365-relay queue flush tries them at once." if proven else ""
    others = "".join(f"; {item['messages']} because of {item['name']}" for item in found["causes"][1:])
    name = cause["name"] if cause["name"] != _queue.UNKNOWN else "deferred_otherwise"
    raise Failed(name, f"{cause['messages']} messages wait because of {cause['name']}{others}.{mended}")
