# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong when the relay signs in, as data (private to the collection).

Each entry: name, AADSTS codes, values of OAuth's `error`, what happened, what to do. The texts may use the fields of an
identity in braces. A code decides before an `error`, because one `error` stands for many causes.
"""

from __future__ import annotations

import collections

Entry = collections.namedtuple("Entry", "name codes errors happened remedy transient", defaults=[False])

AGAIN = "Let {sign_in_as} sign in: ansible-playbook simple_m365.relay.sign_in."
APP = "Entra admin center > App registrations > the app with client id {client_id}"
EXCLUDE = ("Exclude {sign_in_as} from the Conditional Access policy that blocks it (Entra admin center > Protection > Conditional Access; "
           "the sign-in log names the policy; also Microsoft's own 'Block device code flow'), then sign in again.")

ENTRIES = (
    # The token that is there
    Entry("token_missing", (), (), "There is no token for {mailbox} yet.", AGAIN),
    Entry("token_damaged", (), (), "The token file of {mailbox} is damaged.", AGAIN),
    Entry("no_refresh_token", (), (), "The token of {mailbox} cannot be renewed: it came without a refresh token.",
          "Sign in again; the app has to be allowed the permission offline_access."),
    # Whose token, and for what
    Entry("wrong_person", (), (), "The token belongs to somebody else than {sign_in_as}.",
          "Sign in again as {sign_in_as} (in a private browser window), or name who may use the mailbox in xoauth2_sign_in_as."),
    Entry("wrong_mailbox", (), (), "The token file is for another mailbox than {mailbox}.", AGAIN),
    Entry("wrong_tenant", (50020, 50034, 500208, 16000), (), "The account or token does not belong to tenant {tenant_id}.",
          "Sign in as {sign_in_as}, and compare xoauth2_tenant_id with the Entra admin center > Overview > Tenant ID."),
    Entry("wrong_client", (), (), "The token was given to another app than {client_id}.",
          "Compare xoauth2_client_id with the app registration's Application (client) ID, then sign in again."),
    Entry("wrong_audience", (), (), "The token is for another service than Exchange Online's SMTP.",
          "xoauth2_scope has to be a scope of Exchange Online (https://outlook.office.com/SMTP.Send), and xoauth2_audiences its audience; then sign in again."),
    Entry("wrong_scope", (650057, 65005, 70011, 28002), ("invalid_scope",), "The token does not allow sending by SMTP ({scope}).",
          APP + " > API permissions: add Microsoft Graph > Delegated > SMTP.Send and grant admin consent; check xoauth2_scope; then sign in again."),
    # The person
    Entry("declined", (90120,), ("authorization_declined", "access_denied"), "The sign-in for {mailbox} was declined.",
          "Run the play again and accept the request as {sign_in_as}."),
    Entry("code_expired", (70019,), ("expired_token", "code_expired"), "Nobody signed in as {sign_in_as} before the code expired.",
          "Run the play again and enter the new code at once."),
    Entry("code_unknown", (70018, 90119), ("bad_verification_code",), "Microsoft does not know the code of this sign-in (any more).",
          "Run the play again and enter the new code."),
    Entry("sign_in_not_started", (), (), "No sign-in for {mailbox} with these settings has been started on this host.",
          "Start it with simple_m365.relay.m365_device_code first."),
    # The app and the tenant
    Entry("app_unknown", (700016, 700011, 90099), ("unauthorized_client",), "The tenant does not know the app {client_id}.",
          "Compare xoauth2_client_id and xoauth2_tenant_id with the app registration's overview page."),
    Entry("public_client_off", (7000218,), (), "The app {client_id} does not allow public client flows.",
          APP + " > Authentication: set 'Allow public client flows' to Yes."),
    Entry("tenant_unknown", (90002, 900023), (), "Microsoft does not know the tenant {tenant_id} at {login_host}.",
          "Compare xoauth2_tenant_id with the Entra admin center > Overview > Tenant ID; in a national cloud set xoauth2_login_host as well."),
    Entry("consent_missing", (65001, 65004, 90094), ("consent_required",), "The app {client_id} has not been allowed to send mail for {sign_in_as}.",
          APP + " > API permissions: add Microsoft Graph > Delegated > SMTP.Send, choose 'Grant admin consent', then sign in again."),
    Entry("conditional_access", (53003, 530036, 530032), (), "A Conditional Access policy blocks {sign_in_as}.", EXCLUDE),
    Entry("grant_revoked", (50173,), (), "The sign-in of {sign_in_as} was revoked (password changed, or sessions revoked).", AGAIN),
    Entry("grant_inactive", (700082, 70008), (), "The sign-in of {sign_in_as} expired, because it was not used for 90 days.", AGAIN),
    Entry("grant_invalid", (70000,), ("invalid_grant", "interaction_required", "login_required"),
          "Microsoft does not accept the stored sign-in of {sign_in_as} any more.", AGAIN),
    # The way to Microsoft
    Entry("service_trouble", (50033, 90006, 90024, 90033, 90055, 90012), ("temporarily_unavailable", "server_error", "slow_down"),
          "Microsoft's sign-in service at {login_host} is in trouble.", "Nothing to mend here: try again later. Mail waits in the queue.", True),
    Entry("sign_in_page_unreachable", (), (), "The relay cannot reach the sign-in service at {login_host}.",
          "From the relay, https://{login_host} has to be reachable: check DNS, routes and firewall.", True),
    Entry("unexpected_answer", (), (), "What answers as {login_host} does not speak as Microsoft's sign-in service does.",
          "Look for a proxy or captive portal between the relay and https://{login_host}, and check xoauth2_login_host.", True),
    Entry("tls_failure", (), (), "The certificate of {login_host} cannot be verified.",
          "Check the relay's clock and its CA certificates (package ca-certificates); a firewall that breaks TLS open needs an exception "
          "for {login_host}.", True),
    Entry("clock_wrong", (), (), "Microsoft's answer is not valid at the time that the relay's clock shows.",
          "Set the relay's clock (timedatectl), then sign in again."),
    Entry("refused", (), (), "Microsoft refused the sign-in for {mailbox}.",
          "Look the error up in the Entra admin center > Sign-in logs, filtered by app {client_id}."),
)

BY_NAME = {entry.name: entry for entry in ENTRIES}
_BY_CODE = {code: entry.name for entry in ENTRIES for code in entry.codes}
_BY_ERROR = {error: entry.name for entry in ENTRIES for error in entry.errors}


def name_of(error, codes=()):
    """Return the name of what Microsoft answered: OAuth's `error` (str or None) and its AADSTS codes (ints)."""
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    return _BY_ERROR.get(error, "refused")
