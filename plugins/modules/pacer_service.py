#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service that keeps Postfix within Microsoft's limits."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pacer_service
short_description: The service that keeps Postfix within Microsoft's limits
version_added: 1.0.0
description:
  - Installs the program, its systemd unit and its settings on a relay, and starts it. Postfix asks it before each delivery, as a TLS policy table,
    and is answered when the mailbox may send again.
  - New settings count at once, without a restart. A new program or unit is started anew.
  - It needs the group C(postfix) on the relay, and has to run before Postfix is configured to ask it.
author: "Simple M365 Relay contributors (@simple-m365-relay)"
extends_documentation_fragment:
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  settings:
    description:
      - V(limits), by mailbox C(messages) in any C(seconds), with a C(margin) in seconds, and C(recipients_per_day); 0 is no limit.
      - V(lanes), by name of a service in master.cf its C(mailbox), and whether it is the C(bulk) one.
    type: dict
    required: true
  unit:
    description: Text of the systemd unit.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: The service that keeps to Microsoft's limits runs
  simple_m365.relay.pacer_service:
    settings:
      limits:
        scans@example.org: {messages: 30, seconds: 60, margin: 2, recipients_per_day: 10000}
      lanes:
        m365-scans_example_org: {mailbox: scans@example.org, bulk: false}
        m365-scans_example_org-bulk: {mailbox: scans@example.org, bulk: true}
    unit: "{{ lookup('ansible.builtin.template', 'etc/systemd/system/m365-relay-pacer.service.j2') }}"
"""

RETURN = r"""
files:
  description: Files that were written.
  returned: success
  type: list
  elements: str
restarted:
  description: Units that were started anew.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils import _pacer_service, _services
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError


def main():
    """Run the module."""
    module = AnsibleModule({"settings": {"type": "dict", "required": True}, "unit": {"type": "str", "required": True}}, supports_check_mode=True)
    try:
        found = _pacer_service.apply(module.params["settings"], module.params["unit"], module.check_mode)
    except (_services.ServiceFailed, CommandError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(found["files"] or found["restarted"]), **found)


if __name__ == "__main__":
    main()
