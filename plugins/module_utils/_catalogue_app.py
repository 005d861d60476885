# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's entries for the app, the tenant and Microsoft's sign-in service: data only (private to the collection).

What a key means stands in _catalogue.
"""

from __future__ import annotations

SIGN_IN = "ansible-playbook -i inventory simple_m365.relay.sign_in"
SITE = "ansible-playbook -i inventory simple_m365.relay.site"
APP = "Entra admin center > Entra ID > App registrations > All applications > {client_id}"
ENTERPRISE_APP = "Entra admin center > Entra ID > Enterprise apps > All applications > {client_id}"
PERMISSION = f"{APP} > API permissions > Add a permission > Microsoft Graph > Delegated permissions > SMTP.Send, then 'Grant admin consent'"
TENANT = "Entra admin center > Entra ID > Overview > Tenant ID"

ENTRIES = [
    # What the app may do
    {
        "name": "consent_missing",
        "match": [{"code": "65001"}, {"error": "consent_required"}, {"error": "invalid_grant", "suberror": "consent_required"}],
        "meaning": "The app {client_id} has not been allowed to send mail for {sign_in_as}.",
        "remedy": f"{PERMISSION}; then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "admin_consent_required",
        "match": [{"code": "90094"}],
        "meaning": "Only an administrator may allow the app {client_id} to send mail for {sign_in_as}.",
        "remedy": "As an administrator open https://{login_host}/{tenant_id}/adminconsent?client_id={client_id} and accept; then sign in again: "
                  f"{SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "consent_declined",
        "match": [{"code": "65004"}],
        "meaning": "Whoever signed in as {sign_in_as} did not allow the app {client_id} to send mail.",
        "remedy": f"Sign in again and accept the permission: {SIGN_IN}. Nobody is asked if an administrator allows it for all: {PERMISSION}.",
        "mail": "not affected", "retry": False, "certainty": "documented",
    },
    {
        "name": "permission_not_registered",
        "match": [{"code": "650057"}, {"code": "65005"}, {"error": "invalid_resource"}],
        "meaning": "The registration of the app {client_id} does not list the service that the relay asks for.",
        "remedy": f"{PERMISSION}; then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "scope_invalid",
        "match": [{"code": "70011"}, {"code": "28002"}, {"error": "invalid_scope"}],
        "meaning": "Microsoft does not know the permission that the relay asks for ({scope}).",
        "remedy": f"Set xoauth2_scope to https://outlook.office.com/SMTP.Send (or to the one of your national cloud), then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "scopes_of_two_services",
        "match": [{"code": "700022"}],
        "meaning": "The relay asks for permissions of two services at once ({scope}).",
        "remedy": f"xoauth2_scope may hold one permission: https://outlook.office.com/SMTP.Send; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "wrong_scope",
        "match": [],
        "meaning": "The token does not allow sending by SMTP ({scope}).",
        "remedy": f"{PERMISSION}; check xoauth2_scope; then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "account_not_assigned",
        "match": [{"code": "50105"}],
        "meaning": "The app {client_id} is for assigned users only, and {sign_in_as} is not one of them.",
        "remedy": f"{ENTERPRISE_APP} > Users and groups > Add user: {{sign_in_as}} (or Properties > Assignment required: No), then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    # The app itself
    {
        "name": "app_unknown",
        "match": [{"code": "700016"}, {"code": "700011"}],
        "meaning": "The tenant {tenant_id} does not know the app {client_id}.",
        "remedy": f"Compare xoauth2_client_id and xoauth2_tenant_id with the Overview page of the app registration, then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "app_not_authorized",
        "match": [{"code": "90099"}],
        "meaning": "The app {client_id} is there, but not authorized in the tenant {tenant_id}.",
        "remedy": f"As an administrator open https://{{login_host}}/{{tenant_id}}/adminconsent?client_id={{client_id}} and accept; if it is the wrong tenant, "
                  f"correct xoauth2_tenant_id; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "app_disabled",
        "match": [{"code": "70001"}, {"code": "7000112"}],
        "meaning": "The app {client_id} is disabled in the tenant.",
        "remedy": f"{ENTERPRISE_APP} > Properties > Enabled for users to sign-in: Yes.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "client_not_allowed",
        "match": [{"error": "unauthorized_client"}],
        "meaning": "The app {client_id} may not sign in this way, for a reason that has no entry of its own.",
        "remedy": f"Compare xoauth2_client_id and xoauth2_tenant_id with the app's Overview page; {APP} > Authentication > Settings > 'Allow public client "
                  "flows': Yes.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "public_client_off",
        "match": [{"code": "7000218"}],
        "meaning": "The app {client_id} does not allow public client flows, so Microsoft wants a secret or certificate from it.",
        "remedy": f"{APP} > Authentication > Settings: set 'Allow public client flows' to Yes; then {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "secret_of_public_client",
        "match": [{"code": "700025"}],
        "meaning": "The app {client_id} is a public client, but the relay sent a secret or certificate.",
        "remedy": f"Remove the client secret from the inventory, or set {APP} > Authentication > Settings > 'Allow public client flows' to No; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "client_secret_wrong",
        "match": [{"code": "7000215"}],
        "meaning": "The client secret of the app {client_id} is wrong; often it is the secret's ID instead of its value.",
        "remedy": f"{APP} > Certificates & secrets > New client secret: copy the Value (it is shown once, and it is not the Secret ID) into the inventory; "
                  f"then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "client_secret_expired",
        "match": [{"code": "7000222"}],
        "meaning": "The client secret or certificate of the app {client_id} has expired.",
        "remedy": f"{APP} > Certificates & secrets: make a new one (better a certificate), put it into the inventory; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "certificate_not_registered",
        "match": [{"code": "700027"}],
        "meaning": "The app {client_id} does not know the certificate that the relay signs with, or the relay's clock is wrong.",
        "remedy": f"{APP} > Certificates & secrets > Certificates > Upload certificate, and compare its thumbprint with the relay's; check the clock "
                  f"(timedatectl); then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "client_assertion_invalid",
        "match": [{"code": "50012"}],
        "meaning": "What the relay signed for the app {client_id} cannot be verified: the key does not belong to the certificate, or the chain is not valid.",
        "remedy": f"Give the relay the key and certificate that belong together; {APP} > Certificates & secrets > Certificates shows what is uploaded; then "
                  f"{SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "certificate_subject_not_allowed",
        "match": [{"code": "700030"}],
        "meaning": "The subject name in the certificate of the app {client_id} is not authorized.",
        "remedy": f"Make a certificate whose subject the tenant authorizes, {APP} > Certificates & secrets > Certificates > Upload certificate; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "client_rejected",
        "match": [{"error": "invalid_client"}],
        "meaning": "Microsoft rejects how the app {client_id} proves who it is, for a reason that has no entry of its own.",
        "remedy": f"{APP} > Authentication and Certificates & secrets: public client flows, secret and certificate have to be as the inventory says; then "
                  f"{SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    # The tenant and the cloud
    {
        "name": "tenant_unknown",
        "match": [{"code": "90002"}, {"code": "900023"}, {"error": "invalid_tenant"}],
        "meaning": "Microsoft does not know the tenant {tenant_id} at {login_host}.",
        "remedy": f"Compare xoauth2_tenant_id with {TENANT}; in a national cloud set xoauth2_login_host, xoauth2_scope and xoauth2_smtp_host as well; then "
                  f"{SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "national_cloud",
        "match": [{"code": "90038"}],
        "meaning": "The tenant {tenant_id} is in a national cloud, not at {login_host}.",
        "remedy": "Set xoauth2_login_host, xoauth2_scope and xoauth2_smtp_host for that cloud (US government: login.microsoftonline.us, "
                  "https://outlook.office365.us/SMTP.Send, "
                  "smtp.office365.us; China: login.partner.microsoftonline.cn, https://partner.outlook.cn/SMTP.Send, smtp.partner.outlook.cn); "
                  f"then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "tenant_id_required",
        "match": [{"code": "50194"}, {"code": "9002332"}, {"code": "90130"}],
        "meaning": "The app {client_id} belongs to one organization, so common, organizations or consumers in place of the tenant's id is refused.",
        "remedy": f"Set xoauth2_tenant_id to {TENANT} (a GUID), then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "app_only_needs_tenant_id",
        "match": [{"code": "9001023"}],
        "meaning": "An app that signs in by itself cannot do so at common or consumers.",
        "remedy": f"Set xoauth2_tenant_id to {TENANT} (a GUID), then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "instance_unknown",
        "match": [{"code": "50049"}, {"error": "invalid_instance"}],
        "meaning": "{login_host} is no sign-in service that Microsoft knows.",
        "remedy": f"Set xoauth2_login_host to login.microsoftonline.com, or to the one of your national cloud; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    # The request
    {
        "name": "parameter_missing",
        "match": [{"code": "900144"}],
        "meaning": "Something on the way to {login_host} took a part of the request away, or the token endpoint belongs to another service.",
        "remedy": f"Look for a proxy that changes requests to https://{{login_host}}; rewrite the settings: {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "grant_not_supported",
        "match": [{"code": "70003"}, {"error": "unsupported_grant_type"}],
        "meaning": "{login_host} does not support this way to sign in.",
        "remedy": f"Set xoauth2_login_host to login.microsoftonline.com, or to the one of your national cloud; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "request_invalid",
        "match": [{"error": "invalid_request"}],
        "meaning": "Microsoft cannot make sense of the request, for a reason that has no entry of its own.",
        "remedy": "Compare xoauth2_tenant_id, xoauth2_client_id, xoauth2_scope and xoauth2_login_host with inventory.example; look for a proxy that changes "
                  "requests to "
                  "https://{login_host}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    # What the relay itself finds about the app's own sign-in
    {
        "name": "credential_unusable",
        "match": [],
        "meaning": "The relay cannot use its secret or certificate of the app {client_id}.",
        "remedy": "Look at xoauth2_client_secret, or xoauth2_client_certificate and xoauth2_client_certificate_passphrase, or at client_secret and so on of "
                  f"the identity in xoauth2_identities; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "managed_identity_unsupported",
        "match": [],
        "meaning": "The grant managed_identity needs msal 1.29 or newer on the relay (Debian 13).",
        "remedy": f"Choose another grant, best client_certificate, or a relay with Debian 13 or newer; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "wrong_role",
        "match": [],
        "meaning": "The token of the app {client_id} does not allow it to send as {mailbox}.",
        "remedy": "Take all permissions from the app and give it the role 'Application SMTP.SendAsApp' in Exchange Online, or give it the application "
                  f"permission SMTP.SendAsApp (High Volume Email: Mail.Send) of Office 365 Exchange Online, with admin consent; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    # Microsoft's sign-in service
    {
        "name": "service_trouble",
        "match": [{"code": "50033"}, {"code": "90006"}, {"code": "90024"}, {"code": "90033"}, {"code": "90012"}, {"error": "temporarily_unavailable"},
                  {"error": "server_error"}],
        "meaning": "Microsoft's sign-in service at {login_host} is in trouble.",
        "remedy": "Nothing to mend here: it is tried again by itself. If it lasts: https://status.cloud.microsoft.",
        "mail": "waits", "retry": True, "certainty": "documented",
    },
    {
        "name": "tenant_throttled",
        "match": [{"code": "90055"}],
        "meaning": "The tenant sends Microsoft's sign-in service too many requests.",
        "remedy": "Nothing to mend at the relay, it is tried again by itself. If it lasts, look for the app that asks too often: "
                  "Entra admin center > Entra ID > Monitoring & health > Sign-in logs.",
        "mail": "waits", "retry": True, "certainty": "documented",
    },
    {
        "name": "request_loop",
        "match": [{"code": "50196"}],
        "meaning": "The app {client_id} asked for the same token too often in a short time.",
        "remedy": "Leave it alone for some minutes; it is tried again by itself. If it comes back: nothing but m365-relay and Postfix on this host may renew "
                  "the tokens of this "
                  "app (look for other machines with the same app and mailbox).",
        "mail": "waits", "retry": True, "certainty": "documented",
    },
]
