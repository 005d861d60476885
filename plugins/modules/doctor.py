#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Prove every hop from a relay to Microsoft 365
version_added: 1.0.0
description:
  - Does what C(m365-relay doctor) does on the host. Each stage is proven by itself, up to a real login at Microsoft's SMTP host; no mail is sent.
  - The module fails when a stage fails; the error names stage, cause and remedy.
author: "Simple M365 Relay contributors (@simple-m365-relay)"
extends_documentation_fragment:
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
    details: In check mode no token is renewed.
  diff_mode:
    support: none
    details: Nothing but a token is changed, and only with O(renew=true).
  idempotent:
    support: partial
    details: With O(renew=true) every run renews.
options:
  mailbox:
    description: Look at this identity alone. All by default.
    type: str
  renew:
    description: Renew the token now, to prove that it can be renewed.
    type: bool
    default: false
  queue:
    description: Whether mail that waits is a failure. After something was mended it waits until its next try.
    type: bool
    default: true
seealso:
  - module: simple_m365.relay.relay_info
"""

EXAMPLES = r"""
- name: The relay reaches Microsoft 365 and logs in
  simple_m365.relay.doctor:
    queue: false
"""

RETURN = r"""
text:
  description: All findings, for people.
  returned: always
  type: str
findings:
  description: All findings in order, with C(stage), C(identity), C(status) (V(ok), V(failed) or V(not_tried)), C(seen), and for a failed one
    C(name), C(meaning), C(remedy) and C(mail) of the error catalogue.
  returned: always
  type: list
  elements: dict
error_name:
  description: Name of the first failure in the error catalogue.
  returned: failure
  type: str
  sample: smtp_auth_off_mailbox
stage:
  description: The stage that failed first.
  returned: failure
  type: str
  sample: login
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils import _doctor
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.plugins.module_utils._relay_settings import UnusableError


def main():
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={"mailbox": {"type": "str"}, "renew": {"type": "bool", "default": False}, "queue": {"type": "bool", "default": True}},
        supports_check_mode=True,
    )
    renew = module.params["renew"] and not module.check_mode
    try:
        findings = _doctor.examine(module.params["mailbox"], renew)
    except (CommandError, OSError, ValueError, UnusableError) as error:
        module.fail_json(msg=f"The doctor could not work: {error}")
    if not module.params["queue"]:
        findings = [finding for finding in findings if finding["stage"] != "queue"]
    failed = _doctor.first_failure(findings)
    result = {"text": _doctor.as_text(findings), "findings": findings}
    if failed:
        module.fail_json(msg=_doctor.sentence(failed), error_name=failed["name"], stage=failed["stage"], **result)
    module.exit_json(changed=renew and bool([finding for finding in findings if finding["stage"] == "renewal"]), **result)


if __name__ == "__main__":
    main()
