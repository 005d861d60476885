#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command m365-relay, what it reads, and the timer that renews tokens."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_command
short_description: The command m365-relay on a relay, and the timer that renews its tokens
version_added: 1.0.0
author: "Simple M365 Relay contributors (@simple-m365-relay)"
description:
  - Installs the command, the settings that it and the plugin sasl-xoauth2 read, and the systemd units of the renewal, and starts the timer.
  - Removes tokens and what is known of them when their identity is gone.
  - Credentials are none of its business, role P(simple_m365.relay.xoauth2#role) writes them; no secret stands in what this module writes.
extends_documentation_fragment:
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Programs are named without their difference.
  idempotent:
    support: full
options:
  settings:
    description:
      - V(hostname) (the relay's own name), V(renewal) (V(threshold), V(timeout)) and V(identities) (the default first).
      - Filter P(simple_m365.relay.xoauth2_identities#filter) makes the identities.
    type: dict
    required: true
  units:
    description: Texts of the systemd units by their names, C(m365-relay-token.timer) and C(m365-relay-token.service).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: The command m365-relay is there, and the timer runs
  simple_m365.relay.host_command:
    settings:
      hostname: relay.example.org
      renewal: {threshold: 1200, timeout: 60}
      identities: "{{ settings | simple_m365.relay.xoauth2_identities }}"
    units:
      m365-relay-token.service: "{{ lookup('ansible.builtin.template', 'etc/systemd/system/m365-relay-token.service.j2') }}"
      m365-relay-token.timer: "{{ lookup('ansible.builtin.template', 'etc/systemd/system/m365-relay-token.timer.j2') }}"
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
removed:
  description: Files of identities that are gone.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils import _host_command, _services
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError
from ansible_collections.simple_m365.relay.plugins.module_utils._tokens import LockedError


def main():
    """Run the module."""
    module = AnsibleModule({"settings": {"type": "dict", "required": True}, "units": {"type": "dict", "required": True}}, supports_check_mode=True)
    try:
        found = _host_command.apply(module.params["settings"], module.params["units"], module.check_mode)
    except (_services.ServiceFailed, CommandError, LockedError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(found["files"] or found["restarted"] or found["removed"]), **found)


if __name__ == "__main__":
    main()
