# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: postfix_refusals
short_description: What bounces say when Microsoft has refused a message
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Makes the value of Postfix's C(smtp_delivery_status_filter) from the error catalogue. A bounce then names the cause and the remedy in front of the
    server's own words.
options:
  _input:
    description: The mailboxes of the relay; a single one is named in remedies.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: What Postfix would be told
  ansible.builtin.debug:
    msg: "{{ ['scans@example.org'] | simple_m365.relay.postfix_refusals }}"
    # regexp:{ { /^(5\.[0-9.]+) (host [^ ]+ said: 554[ -]5\.2\.0 ... ${2} } }
"""

RETURN = r"""
_value:
  description: The table, as it stands in main.cf.
  type: str
"""

from ansible_collections.simple_m365.relay.plugins.module_utils._refusals import for_postfix


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        return {"postfix_refusals": for_postfix}
