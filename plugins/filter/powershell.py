# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: powershell
short_description: A value as PowerShell writes it
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Text stands in single quotes, with every quote in it doubled, so that nothing in it is read as code. Control characters are refused.
options:
  _input:
    description: Text, a number, a truth value, a list or a dictionary of these.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: A script gets a value
  ansible.builtin.debug:
    msg: "$Mailbox = {{ mailbox | simple_m365.relay.powershell }}"
"""

RETURN = r"""
_value:
  description: The expression.
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import Wrong, plain
from ansible_collections.simple_m365.relay.plugins.module_utils._tenant_setup import literal


def powershell(value):
    """Return the value as an expression of PowerShell."""
    try:
        return literal(plain(value))
    except Wrong as wrong:
        raise AnsibleFilterError(f"simple_m365.relay.powershell: {wrong}") from wrong


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        """Return the filter by its name."""
        return {"powershell": powershell}
