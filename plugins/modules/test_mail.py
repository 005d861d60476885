#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: test_mail
short_description: Send a message through the relay and say what became of it
version_added: 1.0.0
description:
  - Hands a message to Postfix on the host, on port 587 after STARTTLS and AUTH, as any client does.
  - Follows its queue id in the journal until Microsoft 365 has answered. Taken by the relay is not enough.
  - The module fails unless the message was delivered; the error says why.
author: "Simple M365 Relay contributors (@simple-m365-relay)"
extends_documentation_fragment:
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
    details: Nothing is sent, and the task is skipped.
  diff_mode:
    support: none
    details: The host is not changed.
  idempotent:
    support: none
    details: Every run sends a message; the host is not changed.
options:
  username:
    description: Account that logs in, with or without its realm.
    type: str
    required: true
  password:
    description: Its password. Sent only to whoever shows the certificate that Postfix is configured with.
    type: str
    required: true
  recipient:
    description: Who gets the message.
    type: str
    required: true
  sender:
    description: Sender, in the envelope and in From. Defaults to O(recipient). The relay may rewrite it.
    type: str
  timeout:
    description: Seconds to wait for Microsoft's answer.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: A message goes to Microsoft 365
  simple_m365.relay.test_mail:
    username: scanner
    password: "{{ vault_scanner_password }}"
    recipient: relay@example.com
"""

RETURN = r"""
outcome:
  description:
    - V(delivered) when Microsoft 365 accepted the message, V(deferred) when it waits in the queue and is tried again,
      V(refused) when it is given up, or was not taken by the relay at all, V(waiting) when nothing was heard in time.
  returned: always
  type: str
  sample: delivered
reply:
  description: What the other side answered, or why it could not be asked; V(null) while nothing was heard.
  returned: always
  type: str
  sample: 250 2.0.0 OK
relay:
  description: Server that answered; V(null) when none was reached or the relay itself refused.
  returned: always
  type: str
  sample: smtp.office365.com[203.0.113.5]:587
status_code:
  description: Enhanced status code.
  returned: always
  type: str
  sample: 2.0.0
error_name:
  description: Name of the entry in the error catalogue; V(null) unless Microsoft 365 or the way to it is the cause.
  returned: always
  type: str
  sample: send_as_denied
queue_id:
  description: Queue id on the relay; V(null) when the relay did not take the message.
  returned: always
  type: str
  sample: 4jXR1D35dVzGMwc
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils import _catalogue, _open_relay, _test_mail
from ansible_collections.simple_m365.relay.plugins.module_utils._commands import CommandError

SENTENCES = {
    "delivered": "Delivered: {reply}",
    "deferred": "Deferred because: {reply}. The message waits in the queue and is tried again.{advice}",
    "refused": "Refused because: {reply}.{advice}",
    "waiting": "Nothing was heard within {timeout} seconds. The message {queue_id} waits in the queue.",
}


def send(username, password, recipient, sender, timeout):
    """Send the message and return what became of it."""
    parameters = _open_relay.read("/etc/postfix")[0]
    since = time.time()
    try:
        queue_id = _test_mail.submit(
            parameters, username=username, password=password, sender=sender or recipient, recipient=recipient, timeout=timeout)
    except _test_mail.Refused as error:
        return {"outcome": "refused", "reply": str(error), "relay": None, "status_code": None, "queue_id": None, "error_name": None, "lane": None}
    found = _test_mail.follow(queue_id, since, timeout)
    return {"queue_id": queue_id, "error_name": found.pop("cause"), **found}


def advice(name, lane):
    """Return what the catalogue says about an error, for the identity whose lane it was, as an end of a sentence."""
    if name is None:
        return ""
    told = _catalogue.explain(_catalogue.by_name(name), **_test_mail.identity_of(lane))
    return f" This is {name}: {told['meaning']} {told['remedy']}"


def main():
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "recipient": {"type": "str", "required": True},
            "sender": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, skipped=True, msg="Nothing is sent in check mode.")
    try:
        result = send(**module.params)
    except (CommandError, OSError, ValueError) as error:
        module.fail_json(msg=f"The test message could not be sent: {error}")
    told = advice(result["error_name"], result.pop("lane"))
    sentence = SENTENCES[result["outcome"]].format(timeout=module.params["timeout"], advice=told, **result)
    if result["outcome"] != "delivered":
        module.fail_json(msg=sentence, **result)
    module.exit_json(changed=False, msg=sentence, **result)


if __name__ == "__main__":
    main()
