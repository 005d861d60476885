# SPDX-License-Identifier: GPL-3.0-or-later
"""m365-relay status (private to the collection)."""

from __future__ import annotations

from . import _cli_common, _status, _status_text

EPILOG = """exit codes: 0 all is well, 1 something needs somebody (the lines that begin with !), 2 the command line is wrong, 3 it could not be found out.

Nothing is changed, and Microsoft is not asked: m365-relay doctor does that.

examples:
  m365-relay status
  m365-relay status --json | jq '.queue.causes'
"""


@_cli_common.told
def main(arguments):
    """Run the sub-command; return its exit code."""
    parser = _cli_common.parser("status", "How this relay is: ports that answer, the queue and why mail waits, tokens, accounts, certificate, disk.", EPILOG)
    _cli_common.add_json(parser)
    options = parser.parse_args(arguments)
    found = _status.gather()
    if options.json:
        _cli_common.as_json(found)
    else:
        _cli_common.say(_status_text.as_text(found))
    return 1 if found["problems"] else 0
