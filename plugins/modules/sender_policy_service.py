#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service that tells Postfix who may send as whom."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sender_policy_service
short_description: The service that tells Postfix who may send as whom
version_added: 1.0.0
description:
  - Installs the program, its systemd unit and the policy on a relay, and starts it. Postfix asks it about every message, as a milter.
  - A new policy counts from the next message on, without a restart. A new program or unit is started anew.
  - The service runs in the group of Postfix, so that must be installed.
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
      - The variables of the role, with V(mailboxes) (of the identities, the default first), their V(smtp_hosts) and V(smtp_ports), V(hostname) (the
        relay's own name), V(messages_per_minute) and V(mailbox_limits) (mailbox to its own V(messages_per_minute)).
    type: dict
    required: true
  unit:
    description: Text of the systemd unit.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Postfix is told who may send as whom
  simple_m365.relay.sender_policy_service:
    settings:
      sender_policy_logins: []
      sender_policy_networks: []
      sender_policy_default: {}
      sender_policy_realm: example.org
      mailboxes: [scans@example.org]
      smtp_hosts: [smtp.office365.com]
      smtp_ports: [587]
      messages_per_minute: 30
      mailbox_limits: {}
      hostname: relay.example.org
    unit: "{{ lookup('ansible.builtin.template', 'etc/systemd/system/m365-relay-policy.service.j2') }}"
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
from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_service, _services
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError


def main():
    """Run the module."""
    module = AnsibleModule({"settings": {"type": "dict", "required": True}, "unit": {"type": "str", "required": True}}, supports_check_mode=True)
    try:
        found = _sender_service.apply(module.params["settings"], module.params["unit"], module.check_mode)
    except (_services.ServiceFailed, CommandError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(found["files"] or found["restarted"]), **found)


if __name__ == "__main__":
    main()
