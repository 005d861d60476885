# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's entries for what Exchange Online says by SMTP: data only (private to the collection).

What a key means stands in _catalogue. One status stands for different things (5.2.252 is one message as 554 and the whole
mailbox as 550; 4.3.2 is the sender's or the recipient's), so the text decides where it has to.
"""

from __future__ import annotations

SIGN_IN = "ansible-playbook -i inventory simple_m365.relay.sign_in"
SITE = "ansible-playbook -i inventory simple_m365.relay.site"
SMTP_AUTH_ON = 'Exchange Online PowerShell: Set-CASMailbox -Identity "{mailbox}" -SmtpClientAuthenticationDisabled $false'
SEND_AS = 'Exchange Online PowerShell: Add-RecipientPermission -Identity "OTHER ADDRESS" -Trustee "{mailbox}" -AccessRights SendAs'
RESTRICTED = "Microsoft Defender portal > Email & collaboration > Review > Restricted entities"
SUPPORT = "Microsoft 365 admin center > Support > New service request"
BLOCKED = ("Microsoft lifts the block by itself and nobody else can; until then the relay can send as another mailbox (xoauth2_mailbox). "
           "Every further mistake makes it longer.")

ENTRIES = [
    # Logging in
    {
        "name": "login_refused",
        "match": [{"reply": "535", "status": "5.7.3"}],
        "meaning": "Exchange Online does not accept the token for {mailbox}: it is somebody else's, for another service or permission, revoked, or without "
                   "rights on the mailbox.",
        "remedy": f"Sign in again as {{sign_in_as}}, not as an administrator: {SIGN_IN}. If {{sign_in_as}} is not the mailbox itself, Exchange Online "
                  "PowerShell: "
                  'Add-MailboxPermission -Identity "{mailbox}" -User "{sign_in_as}" -AccessRights FullAccess. App-only: '
                  'Test-ServicePrincipalAuthorization -Identity {client_id} -Resource "{mailbox}" has to say InScope; changes take up to two hours.',
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "smtp_auth_off_tenant",
        "match": [{"reply": "535", "status": "5.7.139", "text": "SmtpClientAuthentication is disabled for the Tenant"}],
        "meaning": "Logging in by SMTP is switched off for the whole organization, and the mailbox {mailbox} has no exception.",
        "remedy": f"{SMTP_AUTH_ON} (the mailbox's own setting wins over the organization's); it takes some minutes.",
        "mail": "waits", "retry": False, "certainty": "reported",
    },
    {
        "name": "smtp_auth_off_mailbox",
        "match": [{"reply": "535", "status": "5.7.139", "text": "SmtpClientAuthentication is disabled for the Mailbox"}],
        "meaning": "Logging in by SMTP is switched off for the mailbox {mailbox}.",
        "remedy": f"{SMTP_AUTH_ON}; it takes some minutes.",
        "mail": "waits", "retry": False, "certainty": "reported",
    },
    {
        "name": "security_defaults",
        "match": [{"reply": "535", "status": "5.7.139", "text": "security defaults policy"}],
        "meaning": "The tenant's security defaults are on, and they forbid logging in by SMTP.",
        "remedy": "Security defaults have no exceptions: switch them off (Entra admin center > Entra ID > Overview > Properties > Manage security defaults) "
                  "and put Conditional "
                  f"Access policies in their place; then {SMTP_AUTH_ON}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "login_policy",
        "match": [{"reply": "535", "status": "5.7.139", "text": "did not meet the criteria to be authenticated"}],
        "meaning": "A policy (Conditional Access or multi-factor authentication) refuses the login of {mailbox}.",
        "remedy": "Entra admin center > Entra ID > Monitoring & health > Sign-in logs, user {sign_in_as}, names the policy: exclude the account at Entra ID > "
                  "Conditional "
                  f"Access > Policies, then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "password_login_off",
        "match": [{"reply": "535", "status": "5.7.139", "text": "basic authentication is disabled"}],
        "meaning": "Postfix logged in with a password instead of a token.",
        "remedy": f"smtp_sasl_mechanism_filter has to be xoauth2 (postconf smtp_sasl_mechanism_filter on the relay); put the settings in order: {SITE}.",
        "mail": "waits", "retry": False, "certainty": "reported",
    },
    {
        "name": "password_login_retired",
        "match": [{"reply": "550", "status": "5.7.30"}],
        "meaning": "Postfix logged in with a password, which Microsoft no longer supports for sending.",
        "remedy": f"smtp_sasl_mechanism_filter has to be xoauth2 (postconf smtp_sasl_mechanism_filter on the relay); put the settings in order: {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "federation_unreachable",
        "match": [{"reply": "535", "status": "5.7.139", "text": "federated STS service was unreachable"}],
        "meaning": "Microsoft cannot reach your organization's own sign-in service (AD FS).",
        "remedy": "Bring AD FS back, or sign in as an account that lives in Entra alone (NAME@YOURS.onmicrosoft.com). It concerns passwords: with a token it "
                  "means that Postfix "
                  f"uses another mechanism than xoauth2: {SITE}.",
        "mail": "waits", "retry": True, "certainty": "documented",
    },
    {
        "name": "federation_without_https",
        "match": [{"reply": "535", "status": "5.7.139", "text": "STS URL does not support HTTPS"}],
        "meaning": "Your organization's own sign-in service (AD FS) has an address without HTTPS.",
        "remedy": "Give AD FS an https:// address, or sign in as an account that lives in Entra alone (NAME@YOURS.onmicrosoft.com). It concerns passwords: "
                  "with a token it means "
                  f"that Postfix uses another mechanism than xoauth2: {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "login_refused_by_policy",
        "match": [{"reply": "535", "status": "5.7.139"}],
        "meaning": "A policy of the organization refuses the login of {mailbox}; the reply names it.",
        "remedy": "Entra admin center > Entra ID > Monitoring & health > Sign-in logs, user {sign_in_as}, shows the reason; Exchange Online PowerShell: "
                  'Get-CASMailbox -Identity "{mailbox}" | Format-List SmtpClientAuthenticationDisabled.',
        "mail": "waits", "retry": False, "certainty": "reported",
    },
    {
        "name": "hve_permission_missing",
        "match": [{"reply": "535", "status": "5.7.144"}],
        "meaning": "High Volume Email: the app {client_id} lacks the application permission Mail.Send, or the account does not allow the app.",
        "remedy": "Entra admin center > Entra ID > App registrations > All applications > {client_id} > API permissions: Office 365 Exchange Online > "
                  "Application > Mail.Send, with "
                  'admin consent; Exchange Online PowerShell: Add-HVEAppAccess -Identity "{mailbox}" -AppIds {client_id}.',
        "mail": "waits", "retry": False, "certainty": "reported",
    },
    {
        "name": "hve_token_expires_soon",
        "match": [{"reply": "501", "status": "5.5.127"}],
        "meaning": "High Volume Email wants tokens that live for more than ten more minutes.",
        "remedy": f"Set xoauth2_refresh_window to 900, then {SITE} (it stands in the token file, where the plugin minds it).",
        "mail": "waits", "retry": False, "certainty": "reported",
    },
    {
        "name": "hve_token_unsuitable",
        "match": [{"reply": "501", "status": "5.5.124"}],
        "meaning": "High Volume Email cannot use this token: it is malformed, or a person's instead of an app's.",
        "remedy": "High Volume Email wants a token of the app itself (application permission Mail.Send) for the account {mailbox}; the ordinary service is "
                  "xoauth2_smtp_host "
                  "smtp.office365.com.",
        "mail": "waits", "retry": False, "certainty": "reported",
    },
    {
        "name": "xoauth2_not_supported",
        "match": [{"reply": "504", "status": "5.7.4"}],
        "meaning": "The server does not know the mechanism that Postfix logs in with.",
        "remedy": f"postfix_relayhost has to be [smtp.office365.com]:587, or the host of your national cloud; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "login_trouble",
        "match": [{"reply": "454", "status": "4.7.0"}],
        "meaning": "Exchange Online cannot check logins at the moment.",
        "remedy": "Nothing to mend here: Postfix tries again by itself. If it lasts: https://status.cloud.microsoft.",
        "mail": "waits", "retry": True, "certainty": "reported",
    },
    {
        "name": "not_logged_in",
        "match": [{"status": "5.7.57"}],
        "meaning": "Postfix did not log in before it sent.",
        "remedy": "postconf -P '*/unix/smtp_sasl_*' on the relay has to show {mailbox} and smtp_sasl_auth_enable=yes for two services m365-...; "
                  f"put them in order: {SITE}.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "login_refused_otherwise",
        "match": [{"phase": "auth", "reply": "5??"}],
        "meaning": "Exchange Online refuses the login of {mailbox} with a reply that has no entry here.",
        "remedy": f"Read the reply; sign in again: {SIGN_IN}; Entra admin center > Entra ID > Monitoring & health > Sign-in logs, user {{sign_in_as}}, may "
                  "show the reason.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    # The sender
    {
        "name": "send_as_denied",
        "match": [
            {"reply": "554", "status": "5.2.252", "text": "SendAsDenied"},
            {"reply": "554", "status": "5.2.0", "text": "STOREDRV.Submission.Exception:SendAsDeniedException"},
            {"status": "5.7.60"},
        ],
        "meaning": "{mailbox} may not send as the address in the message's From or envelope.",
        "remedy": f"Let it leave as the mailbox (mode: as_mailbox in sender_policy_*, {SITE}); or allow the other address: {SEND_AS}; a proxy "
                  "address of the mailbox: "
                  "Set-OrganizationConfig -SendFromAliasEnabled $true. Do it soon: repeated refusals block the mailbox.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "sender_blocked_send_as",
        "match": [{"reply": "550", "status": "5.2.252", "text": "Sender throttled"}],
        "meaning": "Microsoft has blocked {mailbox} for a time, because too many messages had a sender that it may not send as.",
        "remedy": f"Let everything leave as the mailbox (mode: as_mailbox in sender_policy_*, {SITE}), or allow the other sender: {SEND_AS}. {BLOCKED}",
        "mail": "bounces", "retry": True, "certainty": "documented",
    },
    {
        "name": "sender_blocked_mailbox_full",
        "match": [{"reply": "550", "status": "5.2.251", "text": "Sender throttled"}],
        "meaning": "Microsoft has blocked {mailbox} for a time, because it was full and the relay went on sending.",
        "remedy": 'Empty Sent Items, and keep it so by a retention policy. Exchange Online PowerShell: Get-MailboxFolderStatistics "{mailbox}" -FolderScope '
                  'SentItems. '
                  f"{BLOCKED}",
        "mail": "bounces", "retry": True, "certainty": "documented",
    },
    {
        "name": "sender_blocked_licence",
        "match": [{"reply": "550", "status": "5.2.253", "text": "Sender throttled"}],
        "meaning": "Microsoft has blocked {mailbox} for a time, because it has no valid licence.",
        "remedy": f"Microsoft 365 admin center > Users > Active users > {{mailbox}} > Licenses and apps. {BLOCKED}",
        "mail": "bounces", "retry": True, "certainty": "documented",
    },
    {
        "name": "sender_blocked_too_many_recipients",
        "match": [{"reply": "550", "status": "5.2.254", "text": "Sender throttled"}],
        "meaning": "Microsoft has blocked {mailbox} for a time, because its messages had too many recipients.",
        "remedy": 'Exchange Online PowerShell: Get-Mailbox "{mailbox}" | Format-List RecipientLimits shows the limit (Set-Mailbox "{mailbox}" '
                  '-RecipientLimits 1000 is the '
                  f"most); send to fewer at once. {BLOCKED}",
        "mail": "bounces", "retry": True, "certainty": "documented",
    },
    {
        "name": "sender_blocked_invalid_recipients",
        "match": [{"reply": "550", "status": "5.2.255", "text": "Sender throttled"}],
        "meaning": "Microsoft has blocked {mailbox} for a time, because too many of its recipients do not exist.",
        "remedy": f"The bounces to {{mailbox}} name the addresses: remove them from the device or application that sends. {BLOCKED}",
        "mail": "bounces", "retry": True, "certainty": "documented",
    },
    {
        "name": "sender_blocked_spam",
        "match": [{"status": "5.1.8"}, {"status": "5.7.50[123]"}],
        "meaning": "Microsoft has blocked {mailbox}, because its mail looked like spam.",
        "remedy": f"Find out what sent it (journalctl -t postfix/smtpd on the relay), change the account's password, sign in again ({SIGN_IN}), then "
                  f"{RESTRICTED}: {{mailbox}} > "
                  "Unblock.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "sender_domain_unregistered",
        "match": [{"status": "5.7.750"}],
        "meaning": "The sender's domain is not registered in the tenant.",
        "remedy": "Microsoft 365 admin center > Settings > Domains > Add domain, or let it leave as the mailbox (mode: as_mailbox in "
                  "sender_policy_*).",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "from_invalid",
        "match": [{"status": "5.7.512"}],
        "meaning": "The message has no valid From header (RFC 5322, section 3.6.2).",
        "remedy": "Leave sender_policy_milter as it is, so that From is put right; or set a sender address in the device or application that sends.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    # Limits
    {
        "name": "too_many_connections",
        "match": [{"status": "4.3.2", "text": "Concurrent connections limit exceeded"}, {"status": "4.3.2", "text": "sender thread limit exceeded"}],
        "meaning": "More than three messages at a time were sent as {mailbox}.",
        "remedy": f"Postfix tries again by itself. If it comes often: postfix_connections 1 ({SITE}); other programs that send as "
                  "{mailbox} share the three.",
        "mail": "waits", "retry": True, "certainty": "documented",
    },
    {
        "name": "recipient_busy",
        "match": [{"status": "4.3.2", "text": "recipient thread limit exceeded"}],
        "meaning": "The recipient gets more mail at a time than its mailbox takes.",
        "remedy": "Nothing to mend here: Postfix tries again by itself.",
        "mail": "waits", "retry": True, "certainty": "documented",
    },
    {
        "name": "server_busy",
        "match": [{"reply": "451", "status": "4.7.[56]??"}],
        "meaning": "Microsoft slows the relay down: its mail is too fast or looks suspicious (Server busy, Access denied or rate limited, with a number "
                   "AS...).",
        "remedy": f"Postfix tries again by itself, and Microsoft lifts it. If it comes often, send less: postfix_messages_per_minute 20 ({SITE}).",
        "mail": "waits", "retry": True, "certainty": "documented",
    },
    {
        "name": "daily_recipients_reached",
        "match": [
            {"reply": "554", "status": "5.2.0", "text": "STOREDRV.Submission.Exception:SubmissionQuotaExceededException"},
            {"status": "5.2.2", "text": "Submission quota exceeded"},
            {"status": "5.1.90"},
        ],
        "meaning": "{mailbox} has reached its 10,000 recipients in 24 hours.",
        "remedy": "It ends by itself after 24 hours. For more, send as several mailboxes, or use High Volume Email (inside the organization) or Azure "
                  "Communication Services.",
        "mail": "bounces", "retry": True, "certainty": "documented",
    },
    {
        "name": "tenant_daily_recipients_reached",
        "match": [{"status": "5.7.233"}],
        "meaning": "The tenant has reached its limit of recipients outside the organization in 24 hours.",
        "remedy": "It ends by itself within 24 hours. Exchange Online PowerShell: Get-LimitsEnforcementStatus shows limit and use; it grows with the number "
                  "of licences.",
        "mail": "bounces", "retry": True, "certainty": "reported",
    },
    {
        "name": "mailbox_full",
        "match": [
            {"reply": "554", "status": "5.2.2", "text": "mailbox full"},
            {"reply": "554", "status": "5.2.0", "text": "STOREDRV.Submission.Exception:QuotaExceededException"},
        ],
        "meaning": "{mailbox} is full, because Sent Items keeps a copy of every message.",
        "remedy": 'Empty Sent Items, and keep it so by a retention policy. Exchange Online PowerShell: Get-MailboxFolderStatistics "{mailbox}" -FolderScope '
                  'SentItems. '
                  "Do it soon: repeated refusals block the mailbox.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "too_many_recipients",
        "match": [{"status": "4.5.3"}],
        "meaning": "The message has more recipients than Microsoft takes at once.",
        "remedy": "Postfix sends to the others in the next delivery. If it comes often: postconf smtp_destination_recipient_limit has to be below the limit of "
                  'Get-Mailbox "{mailbox}" | Format-List RecipientLimits (Exchange Online PowerShell).',
        "mail": "waits", "retry": True, "certainty": "documented",
    },
    {
        "name": "message_too_large",
        "match": [{"status": "5.3.4"}],
        "meaning": "The message is larger than Microsoft takes.",
        "remedy": 'Exchange Online PowerShell: Set-Mailbox -Identity "{mailbox}" -MaxSendSize 150MB raises it; postfix_message_size_limit has to stay below, '
                  'so that the sender '
                  f"is told at once ({SITE}).",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    # The tenant's reputation
    {
        "name": "tenant_blocked",
        "match": [{"status": "5.7.705"}],
        "meaning": "Microsoft has blocked the whole tenant: it sent spam or too much, or its subscription has just been renewed.",
        "remedy": f"Find and stop the cause ({RESTRICTED}), then {SUPPORT}.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "address_not_accepted",
        "match": [{"status": "5.7.708"}],
        "meaning": "Microsoft takes no mail of this tenant from the relay's address; it is typical of trial tenants.",
        "remedy": f"{SUPPORT}: ask for the block 5.7.708 to be lifted; a paid subscription helps.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "recipient_blocked",
        "match": [{"status": "5.7.703"}],
        "meaning": "A recipient stands on the tenant's own block list, which refuses the message for all its recipients.",
        "remedy": "Microsoft Defender portal > Email & collaboration > Policies & rules > Threat policies > Tenant Allow/Block Lists: remove the address, or "
                  "do not write to it.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    # For a moment, and all the rest
    {
        "name": "server_trouble",
        "match": [{"reply": "451", "status": "4.7.0"}],
        "meaning": "Exchange Online has a temporary error.",
        "remedy": "Nothing to mend here: Postfix tries again by itself. If it lasts: https://status.cloud.microsoft.",
        "mail": "waits", "retry": True, "certainty": "reported",
    },
    {
        "name": "server_unavailable",
        "match": [{"reply": "421", "status": "4.3.2"}],
        "meaning": "The server of Exchange Online that answered is not available.",
        "remedy": "Nothing to mend here: Postfix tries again by itself. If it lasts: https://status.cloud.microsoft.",
        "mail": "waits", "retry": True, "certainty": "reported",
    },
    {
        "name": "submission_exception",
        "match": [{"reply": "554", "status": "5.2.0", "text": "STOREDRV.Submission.Exception:"}],
        "meaning": "Exchange Online's mail store refuses the message; the name of the exception behind STOREDRV.Submission.Exception says why.",
        "remedy": f"Look the name of the exception up. If it is not about this one message: {SUPPORT}.",
        "mail": "bounces", "retry": False, "certainty": "reported",
    },
    {
        "name": "deferred_otherwise",
        "match": [{"reply": "4??"}],
        "meaning": "The server puts the message off with a reply that has no entry here.",
        "remedy": "Postfix tries again by itself. Read the reply; if it lasts, look it up in Microsoft's list of non-delivery reports in Exchange Online.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "refused_otherwise",
        "match": [{"reply": "5??"}],
        "meaning": "The server refuses the message with a reply that has no entry here.",
        "remedy": "Read the reply, which also went to the sender, and look it up in Microsoft's list of non-delivery reports in Exchange Online.",
        "mail": "bounces", "retry": False, "certainty": "measured",
    },
]
