#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets and certificates with which apps sign in by themselves."""

from __future__ import annotations

DOCUMENTATION = r"""
module: m365_credentials
short_description: The secrets and certificates with which the relay's apps sign in
version_added: 1.0.0
author: "Simple M365 Relay contributors (@simple-m365-relay)"
description:
  - Writes the secrets and certificates of identities to C(/etc/m365-relay/credentials), where only root can read them.
  - A file is never half written, and never readable by anybody else. Nothing of it is in arguments of programs, results or differences.
  - Passphrases that are no longer wanted go away with the certificate's next change; M(simple_m365.relay.host_command) removes the files of identities that
    are gone.
extends_documentation_fragment:
  - simple_m365.relay.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The differences would be secrets.
  idempotent:
    support: full
options:
  identities:
    description: The identities, as in the variable O(simple_m365.relay.xoauth2#role:main:xoauth2_identities). Other keys are left out on the way to the host.
    type: list
    elements: dict
    required: true
    suboptions:
      mailbox:
        description: Address of the mailbox.
        type: str
        required: true
      grant:
        description: How the identity signs in. Only V(client_secret) and V(client_certificate) have something to write.
        type: str
      client_secret:
        description: The secret of the app.
        type: str
      client_certificate:
        description: Path on the controller of a PEM or PFX file with the certificate and its key.
        type: str
      client_certificate_passphrase:
        description: Its passphrase.
        type: str
      content:
        description: What is in O(identities[].client_certificate), in base 64. It is read on the controller and filled in by itself.
        type: str
seealso:
  - module: simple_m365.relay.host_command
"""

EXAMPLES = r"""
- name: The secret of the app is in place
  simple_m365.relay.m365_credentials:
    identities:
      - mailbox: scans@example.com
        grant: client_secret
        client_secret: "{{ the_secret_from_the_vault }}"
  no_log: true
"""

RETURN = r"""
files:
  description: Files that were written or removed.
  returned: success
  type: list
  elements: str
problem:
  description: Why a certificate cannot be used, or an empty text. Then nothing was written.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.simple_m365.relay.plugins.module_utils import _credentials


def main():
    """Run the module."""
    options = {
        "mailbox": {"type": "str", "required": True},
        "grant": {"type": "str"},
        "client_secret": {"type": "str", "no_log": True},
        "client_certificate": {"type": "str"},
        "client_certificate_passphrase": {"type": "str", "no_log": True},
        "content": {"type": "str", "no_log": True},
    }
    module = AnsibleModule({"identities": {"type": "list", "elements": "dict", "required": True, "options": options}}, supports_check_mode=True)
    try:
        files = _credentials.store(module.params["identities"], module.check_mode)
    except _credentials.UnusableError as error:
        module.exit_json(changed=False, files=[], problem=str(error))
    except OSError as error:
        module.fail_json(msg=f"Cannot write the credentials: {error}")
    module.exit_json(changed=bool(files), files=files, problem="")


if __name__ == "__main__":
    main()
