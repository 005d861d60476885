#!/usr/bin/python
# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the token that the relay signs in with."""

from __future__ import annotations

DOCUMENTATION = r"""
module: m365_token
short_description: Keep the token that the relay signs in to Microsoft 365 with
version_added: 1.0.0
author: "Simple M365 Relay contributors (@simple-m365-relay)"
description:
  - Tells whether the host's token for a mailbox is good, which means for this mailbox, tenant, app and permission.
  - A token that is near its end is renewed. One that says whose it is and lives for more than ten minutes is trusted
    without asking Microsoft.
  - Whether a person has to sign in is told in RV(sign_in_required); that is no failure.
  - With O(wait_for_sign_in=true) it finishes the sign-in that M(simple_m365.relay.m365_device_code) started on this host.
  - Tokens never leave the host. Whatever fails, the token that was there stays as it was.
extends_documentation_fragment:
  - simple_m365.relay.attributes
  - simple_m365.relay.identity
attributes:
  check_mode:
    support: full
    details: In check mode Microsoft is not asked, so whether a renewal would be refused is not known.
  diff_mode:
    support: full
    details: Shows until when the token is valid, never the token.
  idempotent:
    support: partial
    details: A token that comes near its end between two runs is renewed, and a sign-in is finished once.
options:
  grant:
    description:
      - How the token is got, with V(device_code) from a person who signs in, otherwise by the app itself.
      - The token of an app is asked for at once when it is missing; that it cannot be had is a failure.
    type: str
    choices: [device_code, client_secret, client_certificate, managed_identity]
    default: device_code
  credential:
    description: Path on the host of the app's secret or certificate.
    type: path
    default: ""
  smtp_host:
    description: Host name of Microsoft's SMTP submission service.
    type: str
    default: smtp.office365.com
  audiences:
    description: The services (claim C(aud)) for which a token may be.
    type: list
    elements: str
    default:
      - https://outlook.office.com
      - https://outlook.office365.com
  refresh_window:
    description: How many seconds before its end the plugin renews the access token by itself.
    type: int
    default: 300
  wait_for_sign_in:
    description:
      - Wait until the person has entered the code, see whose token comes back, and store it.
      - It fails when the person declines, when the code expires, and when the token is not for this mailbox, tenant, app and permission.
    type: bool
    default: false
seealso:
  - module: simple_m365.relay.m365_device_code
"""

EXAMPLES = r"""
- name: The token is good, or it is known why not
  simple_m365.relay.m365_token:
    mailbox: scans@example.com
    tenant_id: 11111111-2222-4333-8444-555555555555
    client_id: aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee
  register: __token

- name: The person has signed in
  simple_m365.relay.m365_token:
    mailbox: scans@example.com
    tenant_id: 11111111-2222-4333-8444-555555555555
    client_id: aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee
    wait_for_sign_in: true
"""

RETURN = r"""
mailbox:
  description: The mailbox that the token is for.
  returned: always
  type: str
  sample: scans@example.com
path:
  description: The token file.
  returned: success
  type: str
  sample: /var/lib/m365-relay/tokens/scans@example.com
sign_in_required:
  description: Whether a person has to sign in.
  returned: success
  type: bool
reason:
  description: Name of the reason why a person has to sign in, or an empty text.
  returned: success
  type: str
  sample: token_missing
message:
  description: What is wrong and what to do, or an empty text.
  returned: success
  type: str
renewed:
  description: Whether the token was renewed (in check mode, would be).
  returned: success
  type: bool
expires_at:
  description: Until when the access token is valid, in UTC, or an empty text.
  returned: success
  type: str
  sample: "2026-11-22T11:05:00Z"
error_name:
  description: Name of what went wrong.
  returned: failure
  type: str
  sample: wrong_person
answer:
  description: What may be shown of Microsoft's answer.
  returned: failure
  type: dict
"""

import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.simple_m365.relay.plugins.module_utils import _identity
from ansible_collections.simple_m365.relay.plugins.module_utils._clouds import GRANTS
from ansible_collections.simple_m365.relay.plugins.module_utils._signin import MsalMissingError, SignInError
from ansible_collections.simple_m365.relay.plugins.module_utils._tokens import PERSONS_GRANT, LockedError, OwnerMissingError, token_path


def examined(identity, check_only):
    """Return the module's result for the token that is there."""
    found = _identity.examine(identity, check_only)
    if found["trouble"] and identity["grant"] != PERSONS_GRANT and not (found["trouble"].transient and found["expires_at"] > time.time()):
        raise found["trouble"]
    result = {
        "changed": found["changed"],
        "renewed": found["renewed"],
        "expires_at": in_utc(found["expires_at"]),
        "sign_in_required": found["reason"] is not None,
        "reason": found["reason"].name if found["reason"] else "",
        "message": str(found["reason"] or found["trouble"] or ""),
        "warnings": [str(found["trouble"])] if found["trouble"] else [],
    }
    before = in_utc(found["expired_at"]) or "no good token"
    after = "renewed" if found["renewed"] and check_only else result["expires_at"] or "no good token"
    return dict(result, diff=diff(identity, before, after))


def signed_in(identity):
    """Finish the sign-in; return the module's result."""
    expires_at = in_utc(_identity.finish_sign_in(identity))
    return {
        "changed": True,
        "renewed": False,
        "expires_at": expires_at,
        "sign_in_required": False,
        "reason": "",
        "message": "",
        "diff": diff(identity, "sign-in pending", expires_at),
    }


def diff(identity, before, after):
    """Return both halves of the difference."""
    return {half: f"{identity['mailbox']}: {until}\n" for half, until in (("before", before), ("after", after))}


def in_utc(seconds):
    """Return seconds since 1970 as a date and time, 0 as an empty text."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""


def attempt(identity, wait, check_only):
    """Return the module's result, or the keyword arguments for fail_json."""
    try:
        result = signed_in(identity) if wait else examined(identity, check_only)
        return dict(result, path=token_path(identity["mailbox"])), None
    except SignInError as error:
        return None, {"msg": str(error), "error_name": error.name, "answer": error.answer}
    except MsalMissingError:
        return None, {"msg": missing_required_lib("msal (Debian package python3-msal)")}
    except (LockedError, OwnerMissingError, OSError, ValueError) as error:
        return None, {"msg": f"Cannot keep the token of {identity['mailbox']}: {error}"}


def main():
    """Read the options, examine the token or finish the sign-in, tell the outcome."""
    module = AnsibleModule(
        argument_spec=dict(
            _identity.ARGUMENTS,
            grant={"type": "str", "choices": list(GRANTS), "default": PERSONS_GRANT},
            credential={"type": "path", "default": ""},
            smtp_host={"type": "str", "default": "smtp.office365.com"},
            audiences={"type": "list", "elements": "str", "default": ["https://outlook.office.com", "https://outlook.office365.com"]},
            refresh_window={"type": "int", "default": 300},
            wait_for_sign_in={"type": "bool", "default": False},
        ),
        supports_check_mode=True,
    )
    identity = dict(module.params, sign_in_as=module.params["sign_in_as"] or module.params["mailbox"])
    if module.check_mode and identity["wait_for_sign_in"]:
        module.exit_json(changed=True, mailbox=identity["mailbox"])
    result, failure = attempt(identity, identity["wait_for_sign_in"], module.check_mode)
    if failure:
        module.fail_json(mailbox=identity["mailbox"], **failure)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    module.exit_json(mailbox=identity["mailbox"], **result)


if __name__ == "__main__":
    main()
