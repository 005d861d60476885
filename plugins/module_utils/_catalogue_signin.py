# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's entries for a person's sign-in and its renewal: data only (private to the collection).

What a key means stands in _catalogue. What is wrong with the app or the tenant stands in _catalogue_app.
"""

from __future__ import annotations

SIGN_IN = "ansible-playbook -i inventory simple_m365.relay.sign_in"
AGAIN = f"Sign in again: {SIGN_IN}."
LOG = "Entra admin center > Entra ID > Monitoring & health > Sign-in logs"
POLICIES = "Entra admin center > Entra ID > Conditional Access > Policies"
USER = "Entra admin center > Entra ID > Users > {sign_in_as}"
EXCLUDE = (f"{POLICIES}: exclude {{sign_in_as}} from the policy that the sign-in log names ({LOG}, user {{sign_in_as}}), then sign in again: {SIGN_IN}.")

ENTRIES = [
    # The sign-in that the relay keeps
    {
        "name": "grant_revoked",
        "match": [{"code": "50173"}],
        "meaning": "The sign-in of {sign_in_as} was revoked: the password was changed or reset, or the sessions were revoked.",
        "remedy": AGAIN,
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "grant_inactive",
        "match": [{"code": "700082"}, {"code": "70008"}],
        "meaning": "The sign-in of {sign_in_as} expired, because it was not used for 90 days.",
        "remedy": f"{AGAIN} After that the token has to be renewed regularly, with or without mail: a relay that is switched off for 90 days needs this again.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "sign_in_frequency",
        "match": [{"code": "70043"}],
        "meaning": "A Conditional Access policy asks {sign_in_as} to sign in every few hours or days, and that time is over.",
        "remedy": f"{POLICIES}: exclude {{sign_in_as}} from the policy with Session > Sign-in frequency, then sign in again: {SIGN_IN}. "
                  "Without the exclusion the same comes back after the same time.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "grant_malformed",
        "match": [{"code": "70000"}],
        "meaning": "Microsoft cannot read the stored sign-in of {sign_in_as}: the token file is damaged, or its token was made for another app.",
        "remedy": AGAIN,
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "grant_invalid",
        "match": [{"error": "invalid_grant"}],
        "meaning": "Microsoft does not accept the stored sign-in of {sign_in_as} any more, for a reason that has no entry of its own.",
        "remedy": f"{AGAIN} If it happens again, look for the reason: {LOG}, user {{sign_in_as}}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "interaction_required",
        "match": [{"error": "interaction_required"}, {"error": "login_required"}, {"error": "invalid_grant", "suberror": "basic_action"}],
        "meaning": "Microsoft wants {sign_in_as} to sign in by hand again, for a reason that has no entry of its own.",
        "remedy": f"{AGAIN} If it happens again, look for the policy: {LOG}, user {{sign_in_as}}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    # Policies of the tenant
    {
        "name": "device_code_blocked",
        "match": [{"code": "530036"}],
        "meaning": "A Conditional Access policy forbids the device code flow. It also ends sign-ins that once began with a device code, as this one of "
                   "{sign_in_as}.",
        "remedy": f"{POLICIES}: exclude {{sign_in_as}} from 'Block device code flow' (Microsoft's own policy of that name, or one with Conditions > "
                  f"Authentication flows), then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "conditional_access",
        "match": [{"code": "53003"}],
        "meaning": "A Conditional Access policy blocks {sign_in_as}.",
        "remedy": EXCLUDE,
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "tenant_security_policy",
        "match": [{"code": "530032"}],
        "meaning": "A security policy of the tenant blocks {sign_in_as} (for example one that asks for tokens that are bound to a device).",
        "remedy": EXCLUDE,
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "security_defaults_block",
        "match": [{"code": "530035"}],
        "meaning": "The tenant's security defaults block the sign-in of {sign_in_as}.",
        "remedy": "Security defaults have no exceptions: switch them off (Entra admin center > Entra ID > Overview > Properties > Manage security defaults), "
                  "put "
                  f"Conditional Access policies in their place that exclude {{sign_in_as}}, then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "mfa_required",
        "match": [{"code": "50076"}, {"code": "50074"}],
        "meaning": "Microsoft asks {sign_in_as} for multi-factor authentication.",
        "remedy": f"Sign in again, with the second factor: {SIGN_IN}. If the policy asks for it at each renewal: {EXCLUDE}",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "mfa_enrolment_required",
        "match": [{"code": "50079"}, {"code": "50072"}],
        "meaning": "Multi-factor authentication is required, and {sign_in_as} has not been enrolled for it.",
        "remedy": f"Enrol {{sign_in_as}} at https://aka.ms/mfasetup, then sign in again: {SIGN_IN}. Or exclude it from the policy: {POLICIES}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "mfa_expired",
        "match": [{"code": "50078"}],
        "meaning": "The multi-factor authentication of {sign_in_as} is older than a policy allows.",
        "remedy": f"{POLICIES}: exclude {{sign_in_as}} from the policy that lets multi-factor authentication expire, then sign in again: {SIGN_IN}. "
                  "Without the exclusion the same comes back after the same time.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "device_required",
        "match": [{"code": "53000"}, {"code": "53001"}, {"code": "50097"}],
        "meaning": "A Conditional Access policy asks for a compliant or joined device, which a relay can never be.",
        "remedy": EXCLUDE,
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    # Who signs in
    {
        "name": "account_unknown",
        "match": [{"code": "50034"}],
        "meaning": "The tenant {tenant_id} has no account {sign_in_as}.",
        "remedy": "Compare xoauth2_sign_in_as (default: xoauth2_mailbox) with the User principal name at Entra admin center > Entra ID > Users, and "
                  "xoauth2_tenant_id with "
                  f"Entra ID > Overview > Tenant ID; then {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "account_of_another_tenant",
        "match": [{"code": "50020"}, {"code": "16000"}],
        "meaning": "The account that signed in belongs to another tenant or identity provider than {tenant_id}.",
        "remedy": f"Sign in again as {{sign_in_as}}, in a private browser window, where no other account is signed in: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "account_type_wrong",
        "match": [{"code": "500208"}],
        "meaning": "The account that signed in is of the wrong type (a personal Microsoft account instead of one of the organization, or the reverse).",
        "remedy": f"Sign in again as {{sign_in_as}}, the account of your organization, in a private browser window: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "account_disabled",
        "match": [{"code": "50057"}],
        "meaning": "The account {sign_in_as} is disabled.",
        "remedy": f"{USER} > Edit properties > Settings: switch Account enabled on, then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "account_locked",
        "match": [{"code": "50053"}],
        "meaning": "The account {sign_in_as} is locked after too many wrong passwords, or the address that it came from is suspected of attacks.",
        "remedy": f"{LOG}, user {{sign_in_as}}, error 50053 shows which; a lock ends by itself after some minutes, or with a new password ({USER} > Reset "
                  "password). "
                  f"Then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "password_expired",
        "match": [{"code": "50055"}, {"error": "invalid_grant", "suberror": "user_password_expired"}],
        "meaning": "The password of {sign_in_as} has expired.",
        "remedy": f"Give {{sign_in_as}} a new password ({USER} > Reset password), then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "password_wrong",
        "match": [{"code": "50126"}],
        "meaning": "The user name or the password that was entered for {sign_in_as} is wrong.",
        "remedy": f"Sign in again with the right password: {SIGN_IN}. If nobody knows it: {USER} > Reset password.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    # The device code
    {
        "name": "sign_in_pending",
        "match": [{"code": "70016"}, {"error": "authorization_pending"}],
        "meaning": "Nobody has entered the code yet.",
        "remedy": "Open the page that the play shows, enter the code, and sign in as {sign_in_as}.",
        "mail": "not affected", "retry": True, "certainty": "documented",
    },
    {
        "name": "polled_too_fast",
        "match": [{"error": "slow_down"}, {"code": "70016", "error": "slow_down"}],
        "meaning": "Microsoft wants to be asked less often whether the code has been entered.",
        "remedy": "Nothing to do: the relay asks less often from now on.",
        "mail": "not affected", "retry": True, "certainty": "documented",
    },
    {
        "name": "declined",
        "match": [{"error": "authorization_declined"}, {"code": "70016", "error": "authorization_declined"}],
        "meaning": "The sign-in for {mailbox} was declined.",
        "remedy": f"Sign in again and accept the request as {{sign_in_as}}: {SIGN_IN}.",
        "mail": "not affected", "retry": False, "certainty": "documented",
    },
    {
        "name": "code_expired",
        "match": [{"code": "70019"}, {"error": "expired_token"}, {"error": "code_expired"}],
        "meaning": "Nobody signed in as {sign_in_as} before the code expired.",
        "remedy": f"Start again and enter the new code at once: {SIGN_IN}.",
        "mail": "not affected", "retry": False, "certainty": "documented",
    },
    {
        "name": "code_unknown",
        "match": [{"code": "70018"}, {"code": "90119"}, {"error": "bad_verification_code"}],
        "meaning": "Microsoft does not know the code of this sign-in (any more), or it was mistyped.",
        "remedy": f"Start again and enter the new code: {SIGN_IN}.",
        "mail": "not affected", "retry": False, "certainty": "documented",
    },
    {
        "name": "code_already_used",
        "match": [{"code": "90120"}],
        "meaning": "The code was already accepted or declined by somebody.",
        "remedy": f"Start again and enter the new code once: {SIGN_IN}.",
        "mail": "not affected", "retry": False, "certainty": "documented",
    },
    {
        "name": "wrong_data_centre",
        "match": [{"code": "50134"}],
        "meaning": "The code was asked for in one data centre of Microsoft's, and entered in another one.",
        "remedy": f"Start again, and enter the code in a browser that reaches Microsoft from the same region as the relay (without VPN): {SIGN_IN}.",
        "mail": "not affected", "retry": False, "certainty": "documented",
    },
    {
        "name": "code_already_redeemed",
        "match": [{"code": "54005"}],
        "meaning": "This sign-in has already been exchanged for a token.",
        "remedy": f"Only one play or command may finish a sign-in. Start again: {SIGN_IN}.",
        "mail": "not affected", "retry": False, "certainty": "documented",
    },
    # What the relay itself finds in tokens and token files
    {
        "name": "token_missing",
        "match": [],
        "meaning": "There is no token for {mailbox} yet.",
        "remedy": AGAIN,
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "token_damaged",
        "match": [],
        "meaning": "The token file of {mailbox} is damaged.",
        "remedy": AGAIN,
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "no_refresh_token",
        "match": [],
        "meaning": "The token of {mailbox} cannot be renewed: it came without a refresh token.",
        "remedy": f"The app has to be allowed the delegated permission offline_access (it asks for it by itself); then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "wrong_person",
        "match": [],
        "meaning": "The token belongs to somebody else than {sign_in_as}.",
        "remedy": f"Sign in again as {{sign_in_as}}, in a private browser window: {SIGN_IN}. If somebody else may use the mailbox, name the account in "
                  "xoauth2_sign_in_as.",
        "mail": "waits", "retry": False, "certainty": "reported",
    },
    {
        "name": "wrong_mailbox",
        "match": [],
        "meaning": "The token file is for another mailbox than {mailbox}.",
        "remedy": AGAIN,
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "wrong_tenant",
        "match": [],
        "meaning": "The token does not belong to tenant {tenant_id}.",
        "remedy": f"Compare xoauth2_tenant_id with Entra admin center > Entra ID > Overview > Tenant ID, then sign in again as {{sign_in_as}}: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "wrong_client",
        "match": [],
        "meaning": "The token was given to another app than {client_id}.",
        "remedy": f"Compare xoauth2_client_id with the app registration's Application (client) ID, then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "wrong_audience",
        "match": [],
        "meaning": "The token is for another service than Exchange Online's SMTP.",
        "remedy": "xoauth2_scope has to be a permission of Exchange Online (https://outlook.office.com/SMTP.Send, not graph.microsoft.com), and "
                  "xoauth2_audiences has to list its "
                  f"service; then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "reported",
    },
    {
        "name": "sign_in_not_started",
        "match": [],
        "meaning": "No sign-in for {mailbox} with these settings has been started on this host.",
        "remedy": f"Start it: {SIGN_IN}, or in your own play simple_m365.relay.m365_device_code before simple_m365.relay.m365_token.",
        "mail": "not affected", "retry": False, "certainty": "measured",
    },
    {
        "name": "refused",
        "match": [{"error": "*"}],
        "meaning": "Microsoft refused the sign-in for {mailbox} for a reason that has no entry here.",
        "remedy": f"Look the number up at https://login.microsoftonline.com/error, and the reason at {LOG}, application {{client_id}}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
]
