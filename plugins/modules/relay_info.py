#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: relay_info
short_description: How a relay is
version_added: 1.0.0
description:
  - Asks the running relay what C(m365-relay status) shows, which ports answer, what waits in the queue and why, tokens, accounts, certificate, disk.
  - Changes nothing and does not ask Microsoft; M(simple_m365.relay.doctor) does that.
  - That something is wrong is no failure of this module; RV(status.problems) says it.
author: "Simple M365 Relay contributors (@simple-m365-relay)"
extends_documentation_fragment:
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is changed.
  idempotent:
    support: full
seealso:
  - module: simple_m365.relay.doctor
"""

EXAMPLES = r"""
- name: It is known how the relay is
  simple_m365.relay.relay_info:
  register: __relay

- name: Nothing needs anybody
  ansible.builtin.assert:
    that: not __relay.status.problems
    fail_msg: "{{ __relay.text }}"
"""

RETURN = r"""
text:
  description: The state for people.
  returned: success
  type: str
status:
  description: The state. All times are seconds since 1970 in UTC, V(0) stands for never or not known.
  returned: success
  type: dict
  contains:
    problems:
      description: What needs somebody, as sentences.
      type: list
      elements: str
    postfix_runs:
      description: Whether Postfix runs.
      type: bool
    ports:
      description: Every port on which Postfix takes mail, with C(address), C(ok) and C(answer).
      type: list
      elements: dict
    queue:
      description: C(total), C(by_queue), C(oldest) and C(causes), the reasons for which messages wait by their names in the error catalogue.
      type: dict
    identities:
      description: Mailboxes, with C(token) (C(state), C(whose), C(expires_at)), C(renewed_at), C(last_error), C(days_left) (of 90 without a renewal),
        C(last_accepted_at) and C(last_login_at).
      type: list
      elements: dict
    timer:
      description: Whether the timer runs that renews tokens.
      type: bool
    last_accepted_at:
      description: When Microsoft last accepted a message.
      type: int
    last_login_at:
      description: When the relay last logged in at Microsoft.
      type: int
    accounts:
      description: How many accounts can log in to the relay; V(null) when that cannot be read.
      type: int
    certificate:
      description: C(path) and C(expires_at) of the certificate that clients see.
      type: dict
    disk:
      description: C(free_bytes) and C(free_percent) on the disk of the queue.
      type: dict
    pacer:
      description: What each mailbox has sent today, against Microsoft's limits; V(null) without a pacer.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils import _status, _status_text
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError


def main():
    """Module entry point."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        found = _status.gather()
    except (CommandError, OSError, ValueError) as error:
        module.fail_json(msg=f"It cannot be found out how the relay is: {error}")
    module.exit_json(changed=False, status=found, text=_status_text.as_text(found))


if __name__ == "__main__":
    main()
