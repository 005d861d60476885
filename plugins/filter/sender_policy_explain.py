# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: sender_policy_explain
short_description: What the sender policy does with a message, and who may send as whom
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Answers from the inventory alone, with the function that also decides on the relay. Nothing is sent, and no host is asked.
options:
  _input:
    description: The variables of role P(simple_m365.relay.sender_policy#role), with V(mailboxes) (the default first) and V(hostname).
    type: dict
    required: true
  login:
    description: Who has signed in; empty for a client that has not.
    type: str
    default: ""
  client:
    description: IP address of the client; V(127.0.0.1) is the relay itself.
    type: str
    default: ""
  sender:
    description: The envelope sender, empty for the null sender. Without it the answer is the table who may send as whom.
    type: str
  header_from:
    description: What the header From says. By default the same as O(sender).
    type: str
"""

EXAMPLES = r"""
- name: What happens to mail of the login scanner that says it is from the boss
  ansible.builtin.debug:
    msg: "{{ settings | simple_m365.relay.sender_policy_explain(login='scanner', sender='boss@example.org') }}"
"""

RETURN = r"""
_value:
  description: The answer, line by line.
  type: list
  elements: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.simple_m365.relay.plugins.module_utils import _sender_explain
from ansible_collections.simple_m365.relay.plugins.module_utils._preflight import plain


def sender_policy_explain(settings, login="", client="", sender=None, header_from=None):
    """Return the table, or what happens to one message, as lines."""
    if not isinstance(settings, dict):
        raise AnsibleFilterError("simple_m365.relay.sender_policy_explain wants a dictionary of variables")
    settings = plain(settings)
    try:
        if sender is None:
            return _sender_explain.as_text(_sender_explain.who_may_send(settings)).splitlines()
        told = _sender_explain.explain(settings, login, client, sender, [sender if header_from is None else header_from])
    except (KeyError, ValueError) as error:
        raise AnsibleFilterError(f"simple_m365.relay.sender_policy_explain: {type(error).__name__}: {error}") from error
    return [f"{name.replace('_', ' ')}: {value}" for name, value in told.items()]


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        """Return the filter by its name."""
        return {"sender_policy_explain": sender_policy_explain}
