# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: xoauth2_smtp_hosts
short_description: The SMTP host of each identity
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Says where the mail of each identity goes, its own C(smtp_host), that of its own C(cloud), or the usual one.
options:
  _input:
    description: The identities as in O(simple_m365.relay.xoauth2#role:xoauth2_identities).
    type: list
    elements: dict
    required: true
  usual:
    description: The host of identities that name neither a host nor a cloud.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Where the mail of two identities goes
  ansible.builtin.debug:
    msg: "{{ [{'mailbox': 'scans@example.org'}, {'mailbox': 'faxes@example.cn', 'cloud': 'china'}] | simple_m365.relay.xoauth2_smtp_hosts(usual) }}"
  vars:
    usual: smtp.office365.com
"""

RETURN = r"""
_value:
  description: The hosts, in the order of the identities.
  type: list
  elements: str
"""

from ansible_collections.simple_m365.relay.plugins.module_utils._clouds import cloud


def xoauth2_smtp_hosts(identities, usual):
    """Return the SMTP host of each identity."""
    return [one.get("smtp_host") or (cloud(one["cloud"])["smtp_host"] if one.get("cloud") else "") or usual for one in identities]


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        return {"xoauth2_smtp_hosts": xoauth2_smtp_hosts}
