#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start to sign the relay in to Microsoft 365."""

from __future__ import annotations

DOCUMENTATION = r"""
module: m365_device_code
short_description: Start to sign the relay in to Microsoft 365 by device code
version_added: 1.0.0
author: "Simple M365 Relay contributors (@simple-m365-relay)"
description:
  - Asks Microsoft for a code. A person opens the page, enters the code and signs in as the mailbox.
  - The page and the code are printed at once, boxed, before the next task begins.
  - M(simple_m365.relay.m365_token) with O(simple_m365.relay.m365_token#module:wait_for_sign_in=true) finishes the sign-in.
    What it needs for that stays on the host, in a file that only root can read.
  - The token that is there is not touched.
extends_documentation_fragment:
  - simple_m365.relay.attributes
  - simple_m365.relay.identity
attributes:
  check_mode:
    support: full
    details: In check mode Microsoft is not asked, so there is no code.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each run starts a new sign-in.
seealso:
  - module: simple_m365.relay.m365_token
"""

EXAMPLES = r"""
- name: A sign-in for the mailbox has been started, and the code is shown
  simple_m365.relay.m365_device_code:
    mailbox: scans@example.com
    tenant_id: 11111111-2222-4333-8444-555555555555
    client_id: aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee
"""

RETURN = r"""
verification_uri:
  description: The page to open.
  returned: success, not in check mode
  type: str
  sample: https://microsoft.com/devicelogin
user_code:
  description: The code to enter there.
  returned: success, not in check mode
  type: str
  sample: ABCD1234E
expires_at:
  description: When the code expires, in UTC.
  returned: success, not in check mode
  type: str
  sample: "2026-11-22T11:05:00Z"
expires_in:
  description: For how many seconds the code was valid when it was made.
  returned: success, not in check mode
  type: int
  sample: 900
message:
  description: What the person has to do, in one sentence.
  returned: success, not in check mode
  type: str
  sample: Open https://microsoft.com/devicelogin, enter the code ABCD1234E and sign in as scans@example.com.
box:
  description: The lines that were printed.
  returned: success, not in check mode
  type: list
  elements: str
error_name:
  description: Name of what went wrong.
  returned: failure
  type: str
  sample: app_unknown
answer:
  description: What may be shown of Microsoft's answer.
  returned: failure
  type: dict
"""

import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.simple_m365.relay.plugins.module_utils import _identity
from ansible_collections.simple_m365.relay.plugins.module_utils._signin import MsalMissingError, SignInError
from ansible_collections.simple_m365.relay.plugins.module_utils._tokens import LockedError, OwnerMissingError


def start(identity):
    """Return the module's result and, if it failed, the keyword arguments for fail_json."""
    try:
        started = _identity.start_sign_in(identity)
    except SignInError as error:
        return None, {"msg": str(error), "error_name": error.name, "answer": error.answer}
    except MsalMissingError:
        return None, {"msg": missing_required_lib("msal (Debian package python3-msal)")}
    except (LockedError, OwnerMissingError, OSError, ValueError) as error:
        return None, {"msg": f"Cannot start the sign-in: {error}"}
    sentence = f"Open {started['verification_uri']}, enter the code {started['user_code']} and sign in as {identity['sign_in_as']}."
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started["expires_at"]))
    return dict(started, expires_at=until, message=sentence), None


def main():
    """Read the options, start the sign-in, return what the person needs."""
    module = AnsibleModule(argument_spec=dict(_identity.ARGUMENTS), supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=True)
    identity = dict(module.params, sign_in_as=module.params["sign_in_as"] or module.params["mailbox"])
    result, failure = start(identity)
    if failure:
        module.fail_json(**failure)
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
