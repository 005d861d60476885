# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pacer_settings
short_description: Lanes and limits of the relay's mailboxes
positional: messages_per_minute, recipients_per_day, mailbox_limits
version_added: 1.0.0
author:
  - Simple M365 Relay contributors (@simple-m365-relay)
description:
  - Names the services of master.cf through which the mail of each mailbox leaves, and the limits that they share.
  - The result is what P(simple_m365.relay.pacer_service#module) takes.
options:
  _input:
    description: The mailboxes, the default one first.
    type: list
    elements: str
    required: true
  messages_per_minute:
    description: Messages that a mailbox may send in a minute; 0 for no limit.
    type: int
    required: true
  recipients_per_day:
    description: Recipients that a mailbox may send to in 24 hours; 0 for no limit.
    type: int
    required: true
  mailbox_limits:
    description: Other limits for some mailboxes, by mailbox C(messages_per_minute) and C(recipients_per_day).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: The lanes of two mailboxes are shown
  ansible.builtin.debug:
    msg: "{{ (['scans@example.org', 'billing@example.org'] | simple_m365.relay.pacer_settings(30, 10000)).lanes }}"
"""

RETURN = r"""
_value:
  description: The settings, with V(lanes) and V(limits).
  type: dict
"""

from ansible_collections.simple_m365.relay.plugins.module_utils._transports import lanes

WINDOW = 60    # seconds
MARGIN = 2     # without it deliveries of unlike length meet in Microsoft's window


def limits(messages_per_minute, recipients_per_day):
    """Return the limits of one mailbox."""
    return {"messages": int(messages_per_minute), "seconds": WINDOW, "margin": MARGIN, "recipients_per_day": int(recipients_per_day)}


def pacer_settings(mailboxes, messages_per_minute, recipients_per_day, mailbox_limits=None):
    """Return the lanes and limits of these mailboxes."""
    usual = {"messages_per_minute": messages_per_minute, "recipients_per_day": recipients_per_day}
    own = {mailbox.lower(): values for mailbox, values in (mailbox_limits or {}).items()}
    return {"lanes": lanes(mailboxes), "limits": {mailbox: limits(**{**usual, **own.get(mailbox.lower(), {})}) for mailbox in mailboxes}}


class FilterModule:
    """The filter, as Ansible looks for it."""

    def filters(self):
        return {"pacer_settings": pacer_settings}
