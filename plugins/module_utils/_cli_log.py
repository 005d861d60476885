# SPDX-License-Identifier: GPL-3.0-or-later
"""m365-relay log (private to the collection)."""

from __future__ import annotations

import json
import sys
import time

from . import _catalogue, _cli_common, _mail_log

EPILOG = """A line is: time, what became of it (delivered, deferred, bounced, expired, or refused: not taken), queue id, account or client, from, to, and
the cause by its name in the error catalogue. Times are those of journalctl: today, yesterday, "2026-01-31 12:00", -2h.
Tokens and passwords are always removed from what the servers said.

exit codes: 0 done, 1 there was nothing in that time, 2 the command line is wrong, 3 the journal cannot be read.

examples:
  m365-relay log                                       the last hour
  m365-relay log --since yesterday --until today
  m365-relay log --follow                              from now on, each delivery as it happens
  m365-relay log --since -1d --json --redact-addresses for somebody else's eyes
"""


@_cli_common.told
def main(arguments):
    """Run the sub-command; return its exit code."""
    parser = _cli_common.parser("log", "What became of each message, a line a message, from the journal.", EPILOG)
    parser.add_argument("--since", metavar="TIME", help="from then on (default: -1h; with --follow: now)")
    parser.add_argument("--until", metavar="TIME", help="until then")
    parser.add_argument("--follow", action="store_true", help="go on with what comes; a line each time that something becomes of a message")
    parser.add_argument("--redact-addresses", action="store_true", help="show the domains of senders, recipients and accounts only")
    parser.add_argument("--json", action="store_true", help="a JSON object a line, for programs")
    options = parser.parse_args(arguments)
    if options.follow and options.until:
        parser.error("--follow and --until do not go together")
    since = options.since or (None if options.follow else "-1h")
    lines = _mail_log.entries(since, options.until, options.follow)
    count = 0
    for row in _mail_log.follow(lines) if options.follow else _mail_log.messages(lines):
        count += 1
        shown = without_addresses(row) if options.redact_addresses else row
        _cli_common.say(json.dumps(shown, ensure_ascii=False) if options.json else as_line(shown))
        if options.follow:
            sys.stdout.flush()
    return 0 if count else 1


def without_addresses(row):
    """Return a row in which nobody is named."""
    hidden = _mail_log.without_addresses
    return dict(row, who=hidden(row["who"] or ""), sender=hidden(row["sender"] or ""), recipients=[hidden(address) for address in row["recipients"]],
                reply=hidden(row["reply"]))


def as_line(row):
    """Return a row as a line for people."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["at"]))
    recipients = ", ".join(row["recipients"][:3]) + (f" and {len(row['recipients']) - 3} more" if len(row["recipients"]) > 3 else "")
    words = f"{at} {row['result']:<9} {row['queue_id'] or '-':<16} {row['who'] or '-'}: <{row['sender'] or ''}> -> {recipients or '-'}"
    if row["result"] == "delivered":
        return words
    return f"{words}: {row['cause'] or row['reply']}" + (", mail waits" if row["cause"] and _catalogue.by_name(row["cause"])["mail"] == "waits" else "")
