# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: m365_cloud
short_description: The hosts and scopes that belong to one of Microsoft's clouds
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Looks up what belongs to a cloud. A name that does not exist gives the worldwide cloud, V(custom) gives empty values.
  - The values of V(usgov_dod), and the mail server of V(china), are not confirmed by Microsoft.
options:
  _input:
    description: V(public), V(usgov), V(usgov_dod), V(china) or V(custom).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: The mail server of the cloud in China is shown
  ansible.builtin.debug:
    msg: "{{ ('china' | simple_m365.relay.m365_cloud).smtp_host }}"
"""

RETURN = r"""
_value:
  description: The keys V(login_host), V(scope) (of a person), V(app_scope), V(audiences) and V(smtp_host).
  type: dict
"""

from ansible_collections.simple_m365.relay.plugins.module_utils._clouds import cloud
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import plain


def m365_cloud(name):
    """Return what belongs to a cloud."""
    return dict(cloud(plain(name)))


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        return {"m365_cloud": m365_cloud}
