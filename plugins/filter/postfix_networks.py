# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: postfix_networks
short_description: Trusted networks as Postfix's mynetworks wants them
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Merges networks into as few as possible and writes IPv6 in brackets. Loopback is always there, and first.
  - Refuses what P(simple_m365.relay.postfix_problems#filter) calls a problem, so that no network gets into a configuration unjudged.
requirements:
  - netaddr (Python library, on the controller)
options:
  _input:
    description: Networks in CIDR notation, or single addresses, IPv4 and IPv6.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: The networks as one line for main.cf
  ansible.builtin.debug:
    msg: "{{ ['192.0.2.0/25', '192.0.2.128/25', '2001:db8:1::/48'] | simple_m365.relay.postfix_networks | join(' ') }}"
    # 127.0.0.0/8 [::1]/128 192.0.2.0/24 [2001:db8:1::]/48
"""

RETURN = r"""
_value:
  description: The networks, loopback first.
  type: list
  elements: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.simple_m365.relay.plugins.module_utils._networks import NetaddrMissing, for_postfix
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import Wrong, plain


def postfix_networks(networks):
    """Return the networks merged, in Postfix's notation."""
    try:
        return for_postfix(plain(networks))
    except (NetaddrMissing, Wrong) as error:
        raise AnsibleFilterError(f"simple_m365.relay.postfix_networks: {' '.join(map(str, error.args))}") from error


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        return {"postfix_networks": postfix_networks}
