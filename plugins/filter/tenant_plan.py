# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: tenant_plan
short_description: What the tenants of these identities need
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Sorts identities by tenant and app, for the scripts that playbook C(simple_m365.relay.tenant_setup) writes. An identity that stands there twice counts once.
  - Of a certificate only the public part is read. No secret is in the result.
options:
  _input:
    description: The identities, as O(simple_m365.relay.xoauth2#role:xoauth2_identities).
    type: list
    elements: dict
    required: true
  cloud:
    description: The cloud of identities that name none.
    type: str
    default: public
  access:
    description: How an app gets its access, V(rbac) (application RBAC) or V(classic) (API permission and mailbox permissions).
    type: str
    default: rbac
"""

EXAMPLES = r"""
- name: It is known how many tenants there are
  ansible.builtin.debug:
    msg: "{{ xoauth2_identities | simple_m365.relay.tenant_plan | length }}"
"""

RETURN = r"""
_value:
  description: One entry for each tenant.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.simple_m365.relay.plugins.module_utils import _tenant_setup
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import Wrong, plain


def tenant_plan(identities, cloud="public", access="rbac"):
    """Return what each tenant needs."""
    if not isinstance(identities, (list, tuple)):
        raise AnsibleFilterError("simple_m365.relay.tenant_plan wants a list of identities")
    try:
        return _tenant_setup.plan(plain(identities), plain(cloud), plain(access))
    except Wrong as wrong:
        raise AnsibleFilterError("\n".join(wrong.args)) from wrong


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        """Return the filter by its name."""
        return {"tenant_plan": tenant_plan}
