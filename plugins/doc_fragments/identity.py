# Copyright (c) Simple M365 Relay contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say for which mailbox the relay signs in, and where."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules that sign in."""

    DOCUMENTATION = r"""
options:
  mailbox:
    description: Address of the mailbox that the relay sends as.
    type: str
    required: true
  sign_in_as:
    description:
      - User principal name of the person or account that signs in, if it is not the mailbox itself (a shared mailbox).
      - The default is the value of O(mailbox).
    type: str
  tenant_id:
    description: Id (GUID) of the tenant in Entra.
    type: str
    required: true
  client_id:
    description: Application (client) id (GUID) of the app registration in Entra.
    type: str
    required: true
  login_host:
    description: Host name of Microsoft's sign-in service.
    type: str
    default: login.microsoftonline.com
  scope:
    description: The permission that is asked for.
    type: str
    default: https://outlook.office.com/SMTP.Send
  proxy:
    description: URL of the proxy through which Microsoft's sign-in is reached.
    type: str
    default: ""
  ca_file:
    description: PEM file on the host with the certificate authorities by which Microsoft's sign-in is verified.
    type: str
    default: /etc/ssl/certs/ca-certificates.crt
requirements:
  - msal (Debian package python3-msal)
"""
