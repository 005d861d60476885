# SPDX-License-Identifier: GPL-3.0-or-later
"""m365-relay doctor (private to the collection)."""

from __future__ import annotations

from . import _cli_common, _doctor

STAGES = "\n".join(f"  {code}  {name:<13} {words}" for name, (code, words) in _doctor.STAGES.items())
EPILOG = f"""exit code: 0 when everything is proven, else that of the first stage that failed:
{STAGES}
   3  the doctor could not work, for example there is no such identity; 2  the command line is wrong

An identity's stages after its first failed one are not tried. Nothing is changed, unless --renew is given, and no mail is sent.

examples:
  m365-relay doctor
  m365-relay doctor --identity scans@example.org --renew
  m365-relay doctor --json | jq '.first_failure'
"""


@_cli_common.told
def main(arguments):
    """Run the sub-command; return its exit code."""
    parser = _cli_common.parser("doctor", "Prove every hop of the way to Microsoft, and name the first that fails: its cause, and the command that mends it.",
                                EPILOG)
    parser.add_argument("--identity", metavar="MAILBOX", help="look at this identity alone (default: all)")
    parser.add_argument("--renew", action="store_true", help="renew the token now, to prove that it can be renewed (the only thing that is ever changed)")
    _cli_common.add_json(parser)
    options = parser.parse_args(arguments)
    findings = _doctor.examine(options.identity, options.renew)
    if options.json:
        _cli_common.as_json(_doctor.report(findings))
    else:
        _cli_common.say(_doctor.as_text(findings))
    return _doctor.exit_code(findings)
