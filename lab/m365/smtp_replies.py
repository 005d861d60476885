# SPDX-License-Identifier: GPL-3.0-or-later
"""What Exchange Online says over SMTP. REPLIES is the table; every row is a fault as well (see faults.py).

{at} becomes Exchange's trailer [host time id], {host} the host, {client} the client's address, {mailbox} and {sender} what they say.
"""
from __future__ import annotations

UNSUCCESSFUL = "535 5.7.139 Authentication unsuccessful"
DISABLED = "Visit https://aka.ms/smtp_auth_disabled for more information."
EXCEPTION = "STOREDRV.Submission.Exception"
THROTTLED = "Sender throttled due to continuous"

# name: (phase, reply, meaning)
REPLIES = {
    # greeting
    "smtp_service_unavailable": ("connect", "421 4.3.2 Service not available", "Exchange is not ready, for a moment"),
    "smtp_too_many_connections": ("connect", "421 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending "
                                             "for more information. {at}", "one connection too many"),
    # AUTH
    "smtp_auth_unsuccessful": ("auth", "535 5.7.3 Authentication unsuccessful {at}", "token of the wrong user, audience or scope, or revoked"),
    "smtp_auth_disabled_tenant": ("auth", f"{UNSUCCESSFUL}, SmtpClientAuthentication is disabled for the Tenant. {DISABLED} {{at}}",
                                  "SMTP AUTH is off in the organization"),
    "smtp_auth_disabled_mailbox": ("auth", f"{UNSUCCESSFUL}, SmtpClientAuthentication is disabled for the Mailbox. {DISABLED} {{at}}",
                                   "SMTP AUTH is off for the mailbox"),
    "smtp_security_defaults": ("auth", f"{UNSUCCESSFUL}, user is locked by your organization's security defaults policy. Contact your "
                                       "administrator. {at}", "security defaults are on"),
    "smtp_conditional_access": ("auth", f"{UNSUCCESSFUL}, the request did not meet the criteria to be authenticated successfully. Contact "
                                        "your administrator. {at}", "Conditional Access or MFA"),
    "smtp_basic_auth_disabled": ("auth", f"{UNSUCCESSFUL}, basic authentication is disabled. {{at}}", "the client used a password"),
    "smtp_sts_unreachable": ("auth", f"{UNSUCCESSFUL}, the federated STS service was unreachable. {{at}}", "the customer's own AD FS"),
    "smtp_sts_not_https": ("auth", f"{UNSUCCESSFUL}, the STS URL does not support HTTPS. {{at}}", "the customer's own AD FS"),
    "smtp_hve_permissions": ("auth", "535 5.7.144 XOAUTH2 authentication failed. Invalid API permissions.",
                             "High Volume Email: the app lacks Mail.Send or is not allowed"),
    "smtp_hve_token_expires_soon": ("auth", "501 5.5.127 Invalid XOAUTH2 auth data - Token will expire soon",
                                    "High Volume Email wants ten minutes left"),
    "smtp_hve_invalid_token": ("auth", "501 5.5.124 Invalid XOAUTH2 auth data", "High Volume Email: unsuitable token"),
    "smtp_basic_auth_unsupported": ("auth", "550 5.7.30 Basic authentication is not supported for Client Submission.",
                                    "the answer to passwords once basic authentication is gone"),
    "smtp_auth_temporary": ("auth", "454 4.7.0 Temporary authentication failure", "passes by itself"),
    # MAIL FROM
    "smtp_not_authenticated": ("mail", "530 5.7.57 Client not authenticated to send mail. {at}", "no AUTH before MAIL"),
    "smtp_temporary_error": ("mail", "451 4.7.0 Temporary server error. Please try again later. PRX4 {at}", "passes by itself"),
    "smtp_server_busy": ("mail", "451 4.7.500 Server busy. Please try again later from [{client}]. (AS77713821) {at}", "too fast"),
    "smtp_access_denied": ("mail", "451 4.7.650 The mail server [{client}] has been temporarily rate limited. (AS780090) {at}", "suspicious"),
    "smtp_unregistered_domain": ("mail", "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains. {at}",
                                 "add and verify the sender's domain"),
    "smtp_ip_not_accepted": ("mail", "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP. {at}",
                             "low reputation, typical of trial tenants"),
    "smtp_too_many_recipients": ("rcpt", "452 4.5.3 Too many recipients {at}", "too many in one message"),
    # end of DATA
    "smtp_send_as_denied": ("end_of_data", f"554 5.2.252 SendAsDenied; {{mailbox}} not allowed to send as {{sender}}; {EXCEPTION}:"
                                           "SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent "
                                           "exception with message [BeginDiagnosticData]Cannot submit message.[EndDiagnosticData] "
                                           "[Hostname={host}]", "From or the envelope sender is not the mailbox"),
    "smtp_no_permission_for_sender_550": ("end_of_data", "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
                                          "the older text for the same"),
    "smtp_no_permission_for_sender_554": ("end_of_data", "554 5.7.60 SMTP; Client does not have permissions to send as this sender",
                                          "the older text for the same"),
    "smtp_throttled_mailbox_full": ("end_of_data", f"550 5.2.251 {THROTTLED} mailbox full errors {{at}}", "the mailbox is blocked for a time"),
    "smtp_throttled_send_as_denied": ("end_of_data", f"550 5.2.252 {THROTTLED} send as denied errors {{at}}", "the mailbox is blocked for a time"),
    "smtp_throttled_invalid_licence": ("end_of_data", f"550 5.2.253 {THROTTLED} invalid license errors {{at}}", "the mailbox is blocked for a time"),
    "smtp_throttled_too_many_recipients": ("end_of_data", f"550 5.2.254 {THROTTLED} too many recipients errors {{at}}",
                                           "the mailbox is blocked for a time"),
    "smtp_throttled_invalid_recipients": ("end_of_data", f"550 5.2.255 {THROTTLED} invalid recipients errors {{at}}",
                                          "the mailbox is blocked for a time"),
    "smtp_concurrent_connections": ("end_of_data", "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending "
                                                   "for more information. [Hostname={host}]", "more than three at a time"),
    "smtp_sender_thread_limit": ("end_of_data", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname={host}]",
                                 "more than three at a time"),
    "smtp_recipient_thread_limit": ("end_of_data", "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded [Hostname={host}]",
                                    "the recipient gets too much at a time"),
    "smtp_submission_quota": ("end_of_data", f"554 5.2.0 {EXCEPTION}:SubmissionQuotaExceededException; Failed to process message due to a "
                                             "permanent exception with message The message can't be submitted because the sender's submission "
                                             "quota was exceeded. [Hostname={host}]", "10,000 recipients in a day"),
    "smtp_submission_quota_short": ("end_of_data", "550 5.2.2 Submission quota exceeded {at}", "the same in other words"),
    "smtp_message_quota": ("end_of_data", "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients "
                                          "{at}", "the same in other words"),
    "smtp_mailbox_full": ("end_of_data", f"554 5.2.2 mailbox full; {EXCEPTION}:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed "
                                         "to process message due to a permanent exception. [Hostname={host}]", "Sent Items filled the mailbox"),
    "smtp_tenant_recipient_limit": ("end_of_data", "550 5.7.233 Your message can't be sent because your tenant has exceeded its daily limit for "
                                                   "sending email to external recipients (tenant external recipient rate limit). {at}",
                                    "the tenant's limit in 24 hours"),
    "smtp_bad_outbound_sender": ("end_of_data", "550 5.1.8 Access denied, bad outbound sender AS(42004) {at}", "the mailbox is blocked for spam"),
    "smtp_spam_abuse": ("end_of_data", "550 5.7.501 Access denied, spam abuse detected. {at}", "the mailbox is blocked for spam"),
    "smtp_banned_sender": ("end_of_data", "550 5.7.502 Access denied, banned sender. {at}", "the mailbox is blocked for spam"),
    "smtp_banned_sender_503": ("end_of_data", "550 5.7.503 Access denied, banned sender. {at}", "the mailbox is blocked for spam"),
    "smtp_tenant_threshold": ("end_of_data", "550 5.7.705 Service unavailable. Access denied, tenant has exceeded threshold. {at}",
                              "the whole tenant is blocked"),
    "smtp_blocked_recipient": ("end_of_data", "550 5.7.703 Your message can't be delivered because messages to a recipient are blocked by your "
                                              "organization using Tenant Allow/Block List. {at}", "blocked by the tenant's own list"),
    "smtp_not_rfc5322": ("end_of_data", "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant and include a valid From "
                                        "address. {at}", "From is missing or broken"),
}
