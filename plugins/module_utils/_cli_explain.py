# SPDX-License-Identifier: GPL-3.0-or-later
"""m365-relay explain (private to the collection)."""

from __future__ import annotations

import json

from . import _cli_common, _sender_explain, _sender_milter

EPILOG = """It asks the policy that the running relay has, and sends nothing.

exit codes: 0 the message would be taken (or the table was printed), 1 it would be refused, 2 the command line is wrong,
3 there is no policy on this host.

examples:
  m365-relay explain --table                                                  who may send as whom
  m365-relay explain --login scanner --client 192.0.2.7 --sender me@example.org
  m365-relay explain --client 192.0.2.7 --sender me@example.org --from 'Scanner <me@example.org>'
"""


@_cli_common.told
def main(arguments):
    """Run the sub-command; return its exit code."""
    parser = _cli_common.parser("explain", "What the sender policy decides about a message, which rule says so, and as whom it would leave.", EPILOG)
    parser.add_argument("--table", action="store_true", help="print who may send as whom")
    parser.add_argument("--login", default="", metavar="NAME", help="account that logs in (default: nobody)")
    parser.add_argument("--client", default="", metavar="IP", help="address that it comes from")
    parser.add_argument("--sender", metavar="ADDRESS", help="envelope sender")
    parser.add_argument("--from", dest="header_from", action="append", metavar="HEADER", help="From header (default: the envelope sender)")
    _cli_common.add_json(parser)
    options = parser.parse_args(arguments)
    if options.table == (options.sender is not None):
        parser.error("either --table or --sender")
    with open(_sender_milter.POLICY, encoding="utf-8") as stream:
        settings = json.load(stream)
    if options.table:
        rows = _sender_explain.who_may_send(settings)
        if options.json:
            _cli_common.as_json(rows)
        else:
            _cli_common.say(_sender_explain.as_text(rows))
        return 0
    found = _sender_explain.explain(settings, options.login, options.client, options.sender, options.header_from or [options.sender])
    if options.json:
        _cli_common.as_json(found)
    else:
        _cli_common.say("\n".join(f"{name.replace('_', ' '):<16} {value}" for name, value in found.items()))
    return 1 if found["verdict"] == _sender_explain.REFUSE else 0
