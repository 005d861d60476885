# SPDX-License-Identifier: GPL-3.0-or-later
"""m365-relay queue (private to the collection)."""

from __future__ import annotations

import sys
import time

from . import _cli_common, _mail_log, _queue, _status_text

EPILOG = """Which messages: all that fit in everything that is given. Without anything, list and flush take all; hold, release and delete want at least one
of the options, or --all.

exit codes: 0 done, 1 nothing fits (or deleting was not confirmed), 2 the command line is wrong, 3 Postfix cannot be asked.

examples:
  m365-relay queue list --cause login_refused
  m365-relay queue show 4jYM696ZqczDPkf
  m365-relay queue flush                                     the trouble is over: try everything now
  m365-relay queue hold --sender 'scanner@*'                 keep it, but do not send it
  m365-relay queue release --sender 'scanner@*'
  m365-relay queue delete --recipient '*@wrong.example' --age 2d --yes
"""
WORDS = {
    "list": "list what waits", "show": "show a message's envelope and header", "hold": "put messages on hold: they are not tried any more",
    "release": "release messages from hold", "flush": "let Postfix try deferred messages now", "delete": "delete messages; nobody is told",
}
DONE = {"hold": "on hold", "release": "released", "flush": "being tried", "delete": "deleted"}


@_cli_common.told
def main(arguments):
    """Run the sub-command; return its exit code."""
    parser = arguments_parser()
    options = parser.parse_args(arguments)
    if options.action == "show":
        return show(options)
    chosen_by = (options.cause, options.sender, options.recipient, options.age, options.id)
    if options.action in ("hold", "release", "delete") and not (any(value is not None for value in chosen_by) or options.all):
        parser.error(f"{options.action} wants to know which messages: --cause, --sender, --recipient, --age, --id, or --all")
    if options.action == "flush" and not any(value is not None for value in chosen_by):
        _queue.flush_all()
        return told(options, [], "everything that is deferred is being tried")
    now = time.time()
    messages = _queue.choose(_queue.read(), now, options.id or (), options.cause, options.sender, options.recipient, options.age)
    if options.action == "release":
        messages = [message for message in messages if message["queue_name"] == "hold"]
    if options.action == "list":
        return listed(options, messages, now)
    if not messages:
        return told(options, [], "no message fits", 1)
    if options.action == "delete" and not confirmed(options, len(messages)):
        return told(options, [], "nothing was deleted", 1)
    count = _queue.act(options.action, messages)
    return told(options, [message["queue_id"] for message in messages], f"{count} messages {DONE[options.action]}")


def arguments_parser():
    """Return the parser."""
    parser = _cli_common.parser("queue", "What waits in Postfix's queue, and why.", EPILOG)
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(WORDS))
    for name, words in WORDS.items():
        one = actions.add_parser(name, help=words, description=words.capitalize() + ".")
        _cli_common.add_json(one)
        if name == "show":
            one.add_argument("id", metavar="QUEUE-ID")
            continue
        one.add_argument("--cause", metavar="NAME", help="that wait for this cause, by its name in the error catalogue")
        one.add_argument("--sender", metavar="PATTERN", help="with this envelope sender; * and ? stand for anything")
        one.add_argument("--recipient", metavar="PATTERN", help="with such a recipient")
        one.add_argument("--age", type=_cli_common.age, metavar="SPAN", help="that came longer ago than 30s, 10m, 2h, 5d")
        one.add_argument("--id", action="append", metavar="QUEUE-ID", help="with this queue id; may be given more than once")
        if name in ("hold", "release", "delete"):
            one.add_argument("--all", action="store_true", help="all of them")
        if name == "delete":
            one.add_argument("--yes", action="store_true", help="do not ask; needed where there is no terminal")
    return parser


def show(options):
    """Print one message; what could be a secret in its header is removed."""
    text = _mail_log.redacted(_queue.show(options.id))
    if options.json:
        _cli_common.as_json({"queue_id": options.id, "text": text})
    else:
        _cli_common.say(text)
    return 0


def listed(options, messages, now):
    """Print what waits, the oldest first."""
    known = {}
    rows = sorted((_queue.row(message, known, now) for message in messages), key=lambda row: -row["age"])
    if options.json:
        _cli_common.as_json(rows)
        return 0 if rows else 1
    for row in rows:
        recipients = ", ".join(row["recipients"][:2]) + (f" and {len(row['recipients']) - 2} more" if len(row["recipients"]) > 2 else "")
        cause = f": {row['cause']}" if row["cause"] else ""
        _cli_common.say(f"{row['queue_id']:<16} {row['queue']:<8} {_status_text.span(row['age']):>7} {row['size']:>9} <{row['sender']}> -> {recipients}{cause}")
    return told(options, rows, f"{len(rows)} messages", 0 if rows else 1)


def confirmed(options, count):
    """Ask before messages are deleted."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        _cli_common.complain("queue delete needs --yes without a terminal")
        return False
    return input(f"Delete {count} messages? They cannot be brought back. Type yes: ").strip() == "yes"


def told(options, rows, words, code=0):
    """Say what was done; return the exit code."""
    if options.json:
        _cli_common.as_json({"done": words, "messages": rows})
    else:
        _cli_common.say(words)
    return code
