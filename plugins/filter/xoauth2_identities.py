# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: xoauth2_identities
short_description: The whole identities that the variables of role xoauth2 make
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Fills in what an identity does not say itself, from the other variables of role C(simple_m365.relay.xoauth2) and from Microsoft's clouds.
  - The result holds no secret. It is what M(simple_m365.relay.m365_token) and M(simple_m365.relay.host_command) take.
options:
  _input:
    description: The variables by their names; V(xoauth2_identities) has to be among them. Check them with P(simple_m365.relay.xoauth2_problems#filter) first.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: The first identity is shown
  ansible.builtin.debug:
    msg: "{{ (settings | simple_m365.relay.xoauth2_identities)[0] }}"
  vars:
    settings:
      xoauth2_cloud: usgov
      xoauth2_identities:
        - mailbox: scans@example.com
          tenant_id: 11111111-2222-4333-8444-555555555555
          client_id: aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee
"""

RETURN = r"""
_value:
  description: The identities, the default first.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.simple_m365.relay.plugins.module_utils._clouds import identities
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import plain


def xoauth2_identities(settings):
    """Return the whole identities of a dictionary of variables."""
    if not isinstance(settings, dict) or not isinstance(settings.get("xoauth2_identities"), list):
        raise AnsibleFilterError("simple_m365.relay.xoauth2_identities wants a dictionary of variables with xoauth2_identities in it")
    return identities(plain(settings))


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        return {"xoauth2_identities": xoauth2_identities}
