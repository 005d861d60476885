# SPDX-License-Identifier: GPL-3.0-or-later
"""What Microsoft, the plugin and Postfix say, as the project's reference of Microsoft 365 lists it, with the entry that each has to have.

It is typed here on purpose: the catalogue and this list may only change together.
"""

from __future__ import annotations

# Every AADSTS number of the reference.
CODES = {
    # the grant
    50173: "grant_revoked",
    700082: "grant_inactive",
    70008: "grant_inactive",
    70043: "sign_in_frequency",
    70000: "grant_malformed",
    54005: "code_already_redeemed",
    # policies
    530036: "device_code_blocked",
    53003: "conditional_access",
    530032: "tenant_security_policy",
    530035: "security_defaults_block",
    50076: "mfa_required",
    50074: "mfa_required",
    50079: "mfa_enrolment_required",
    50072: "mfa_enrolment_required",
    50078: "mfa_expired",
    53000: "device_required",
    53001: "device_required",
    50097: "device_required",
    # consent and permissions
    65001: "consent_missing",
    90094: "admin_consent_required",
    65004: "consent_declined",
    650057: "permission_not_registered",
    65005: "permission_not_registered",
    70011: "scope_invalid",
    28002: "scope_invalid",
    700022: "scopes_of_two_services",
    # the app
    7000218: "public_client_off",
    700025: "secret_of_public_client",
    7000215: "client_secret_wrong",
    7000222: "client_secret_expired",
    700016: "app_unknown",
    700011: "app_unknown",
    90099: "app_not_authorized",
    70001: "app_disabled",
    7000112: "app_disabled",
    700027: "certificate_not_registered",
    50012: "client_assertion_invalid",
    700030: "certificate_subject_not_allowed",
    # the tenant
    90002: "tenant_unknown",
    900023: "tenant_unknown",
    90038: "national_cloud",
    50194: "tenant_id_required",
    9002332: "tenant_id_required",
    90130: "tenant_id_required",
    9001023: "app_only_needs_tenant_id",
    # the person
    50034: "account_unknown",
    50020: "account_of_another_tenant",
    16000: "account_of_another_tenant",
    500208: "account_type_wrong",
    50057: "account_disabled",
    50053: "account_locked",
    50055: "password_expired",
    50126: "password_wrong",
    50105: "account_not_assigned",
    # the service
    50196: "request_loop",
    50033: "service_trouble",
    90006: "service_trouble",
    90024: "service_trouble",
    90033: "service_trouble",
    90012: "service_trouble",
    90055: "tenant_throttled",
    # the device code
    70016: "sign_in_pending",
    70018: "code_unknown",
    70019: "code_expired",
    90119: "code_unknown",
    90120: "code_already_used",
    50134: "wrong_data_centre",
    # the request
    900144: "parameter_missing",
}

# Numbers that the reference does not have: Microsoft's list of errors does, and the stand-in for Microsoft answers with them.
OTHER_CODES = {
    50049: "instance_unknown",
    70003: "grant_not_supported",
}

# Answers in which words decide: (answer, entry).
ANSWERS = [
    ({"error": "authorization_pending"}, "sign_in_pending"),
    ({"error": "authorization_pending", "error_codes": [70016], "error_description": "AADSTS70016: ..."}, "sign_in_pending"),
    ({"error": "authorization_declined"}, "declined"),
    ({"error": "authorization_declined", "error_codes": [70016]}, "declined"),
    ({"error": "bad_verification_code"}, "code_unknown"),
    ({"error": "expired_token"}, "code_expired"),
    ({"error": "code_expired"}, "code_expired"),
    ({"error": "slow_down"}, "polled_too_fast"),
    ({"error": "slow_down", "error_codes": [70016]}, "polled_too_fast"),
    ({"error": "invalid_grant"}, "grant_invalid"),
    ({"error": "invalid_grant", "suberror": "bad_token"}, "grant_invalid"),
    ({"error": "invalid_grant", "suberror": "basic_action"}, "interaction_required"),
    ({"error": "invalid_grant", "suberror": "consent_required"}, "consent_missing"),
    ({"error": "invalid_grant", "suberror": "user_password_expired"}, "password_expired"),
    ({"error": "interaction_required"}, "interaction_required"),
    ({"error": "login_required"}, "interaction_required"),
    ({"error": "consent_required"}, "consent_missing"),
    ({"error": "invalid_client"}, "client_rejected"),
    ({"error": "unauthorized_client"}, "client_not_allowed"),
    ({"error": "invalid_scope"}, "scope_invalid"),
    ({"error": "invalid_resource"}, "permission_not_registered"),
    ({"error": "invalid_request"}, "request_invalid"),
    ({"error": "invalid_tenant"}, "tenant_unknown"),
    ({"error": "invalid_instance"}, "instance_unknown"),
    ({"error": "unsupported_grant_type"}, "grant_not_supported"),
    ({"error": "temporarily_unavailable"}, "service_trouble"),
    ({"error": "server_error"}, "service_trouble"),
    # A number decides before the word, wherever it stands, and the first one that is known before the others.
    ({"error": "invalid_grant", "error_codes": [53003], "suberror": "basic_action"}, "conditional_access"),
    ({"error": "access_denied", "error_codes": ["90094"]}, "admin_consent_required"),
    ({"error": "invalid_grant", "error_codes": [4711, 50173]}, "grant_revoked"),
    ({"error": "invalid_grant", "error_description": "AADSTS700082: The refresh token has expired due to inactivity."}, "grant_inactive"),
    ({"error_codes": [50057]}, "account_disabled"),
    # Free text never decides.
    ({"error": "invalid_grant", "error_description": "The user said AADSTS50173"}, "grant_invalid"),
    ({"error": "invalid_grant", "error_codes": [50076], "error_description": "AADSTS50173: no"}, "mfa_required"),
    # What nobody knows yet.
    ({"error": "invalid_grant", "error_codes": [4711]}, "grant_invalid"),
    ({"error": "brand_new", "error_codes": [4711]}, "refused"),
    ({"error_codes": [4711]}, "refused"),
    ({"error": "access_denied"}, "refused"),
]

AT = "[AM0PR02CA0123.eurprd02.prod.outlook.com 2026-11-22T10:00:00.000Z 08DE29A1]"
OFF = "Visit https://aka.ms/smtp_auth_disabled for more information."

# Every reply of the reference's table, in full where the reference quotes it so: (phase, reply, entry).
REPLIES = [
    ("auth", f"535 5.7.3 Authentication unsuccessful {AT}", "login_refused"),
    ("auth", f"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. {OFF} {AT}", "smtp_auth_off_tenant"),
    ("auth", f"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. {OFF} {AT}", "smtp_auth_off_mailbox"),
    ("auth", "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator.",
     "security_defaults"),
    ("auth", "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.",
     "login_policy"),
    ("auth", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", "password_login_off"),
    ("auth", "535 5.7.139 Authentication unsuccessful, the federated STS service was unreachable.", "federation_unreachable"),
    ("auth", "535 5.7.139 Authentication unsuccessful, the STS URL does not support HTTPS.", "federation_without_https"),
    ("auth", "535 5.7.139 Authentication unsuccessful, something new.", "login_refused_by_policy"),
    ("auth", "535 5.7.144 XOAUTH2 authentication failed. Invalid API permissions.", "hve_permission_missing"),
    ("auth", "501 5.5.127 Invalid XOAUTH2 auth data - Token will expire soon", "hve_token_expires_soon"),
    ("auth", "501 5.5.124 Invalid XOAUTH2 auth data", "hve_token_unsuitable"),
    ("auth", "550 5.7.30 Basic authentication is not supported for Client Submission.", "password_login_retired"),
    ("auth", "454 4.7.0 Temporary authentication failure", "login_trouble"),
    ("mail", "530 5.7.57 Client not authenticated to send mail", "not_logged_in"),
    ("mail", "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", "not_logged_in"),
    ("end_of_data", "554 5.2.252 SendAsDenied; a@corp.test not allowed to send as b@corp.test; STOREDRV.Submission.Exception:SendAsDeniedException."
                    "MapiExceptionSendAsDenied; Failed to process message due to a permanent exception", "send_as_denied"),
    ("end_of_data", "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message", "send_as_denied"),
    ("end_of_data", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "send_as_denied"),
    ("end_of_data", "554 5.7.60 SMTP; Client does not have permissions to send as this sender", "send_as_denied"),
    ("end_of_data", f"550 5.2.251 Sender throttled due to continuous mailbox full errors {AT}", "sender_blocked_mailbox_full"),
    ("end_of_data", f"550 5.2.252 Sender throttled due to continuous send as denied errors {AT}", "sender_blocked_send_as"),
    ("end_of_data", f"550 5.2.253 Sender throttled due to continuous invalid license errors {AT}", "sender_blocked_licence"),
    ("end_of_data", f"550 5.2.254 Sender throttled due to continuous too many recipients errors {AT}", "sender_blocked_too_many_recipients"),
    ("end_of_data", f"550 5.2.255 Sender throttled due to continuous invalid recipients errors {AT}", "sender_blocked_invalid_recipients"),
    ("end_of_data", "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.", "too_many_connections"),
    ("end_of_data", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "too_many_connections"),
    ("end_of_data", "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", "recipient_busy"),
    ("connect", "421 4.3.2 Concurrent connections limit exceeded", "too_many_connections"),
    ("connect", "421 4.3.2 Service not available", "server_unavailable"),
    ("mail", "451 4.7.0 Temporary server error. Please try again later. PRX4", "server_trouble"),
    ("mail", "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77713821)", "server_busy"),
    ("mail", "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited. (AS780090)", "server_busy"),
    ("mail", "451 4.7.699 Access denied (AS780090)", "server_busy"),
    ("end_of_data", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message", "daily_recipients_reached"),
    ("end_of_data", "550 5.2.2 Submission quota exceeded", "daily_recipients_reached"),
    ("end_of_data", "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients", "daily_recipients_reached"),
    ("end_of_data", "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded", "mailbox_full"),
    ("end_of_data", "554 5.2.0 STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded", "mailbox_full"),
    ("end_of_data", "554 5.2.0 STOREDRV.Submission.Exception:SomethingElseException; Failed to process message", "submission_exception"),
    ("end_of_data", "550 5.7.233 Your message can't be sent because your tenant has exceeded its daily limit for sending email to external recipients "
                    "(tenant external recipient rate limit).", "tenant_daily_recipients_reached"),
    ("end_of_data", "550 5.1.8 Access denied, bad outbound sender AS(42004)", "sender_blocked_spam"),
    ("end_of_data", "550 5.7.501 Access denied, spam abuse detected.", "sender_blocked_spam"),
    ("end_of_data", "550 5.7.502 Access denied, banned sender.", "sender_blocked_spam"),
    ("end_of_data", "550 5.7.503 Access denied, banned sender.", "sender_blocked_spam"),
    ("end_of_data", "550 5.7.705 Service unavailable. Access denied, tenant has exceeded threshold.", "tenant_blocked"),
    ("mail", "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", "address_not_accepted"),
    ("mail", "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains.", "sender_domain_unregistered"),
    ("end_of_data", "550 5.7.703 Your message can't be delivered because messages to a recipient are blocked by your organization", "recipient_blocked"),
    ("end_of_data", "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant and include a valid From address.", "from_invalid"),
    ("rcpt", "452 4.5.3 Too many recipients", "too_many_recipients"),
    # What the reference has no row for: what the stand-in says, and what nobody knows yet.
    ("auth", "504 5.7.4 Unrecognized authentication type", "xoauth2_not_supported"),
    ("mail", "552 5.3.4 Message size exceeds fixed maximum message size", "message_too_large"),
    ("auth", "538 5.7.11 Something new", "login_refused_otherwise"),
    ("auth", "535 no status", "login_refused_otherwise"),
    ("auth", "455 4.9.9 Something new", "deferred_otherwise"),
    ("end_of_data", "550 5.2.252 Something new", "refused_otherwise"),
    ("end_of_data", "554 5.2.2 Something new", "refused_otherwise"),
    ("end_of_data", "432 4.3.2 Something new", "deferred_otherwise"),
    ("rcpt", "550-5.1.10 several lines\n550 5.1.10 RESOLVER.ADR.RecipientNotFound", "refused_otherwise"),
]

NO_REFUSALS = ["250 2.0.0 OK", "235 2.7.0 Authentication successful", "334 ", "", "Temporary authentication failure", "5350 5.7.3"]

HOST = "smtp.office365.com[2603:1026:c0d::2]:587"
SOMEBODY = "unknown[203.0.113.9]"
PEER = "smtp.office365.com[40.99.1.2]"
CANNOT = f"SASL authentication failed; cannot authenticate to server {PEER}"

# What Postfix says of a message that it could not deliver, which also stands on its queue: (reason, entry).
REASONS = [
    (f"SASL authentication failed; server {PEER} said: 535 5.7.3 Authentication unsuccessful {AT}", "login_refused"),
    (f"SASL [CACHED] authentication failed; server {PEER} said: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
     f"Tenant. {OFF}", "smtp_auth_off_tenant"),
    (f"SASL authentication failed; server {PEER} said: 538 5.9.9 new", "login_refused_otherwise"),
    (f"host {PEER} said: 554 5.2.252 SendAsDenied; a@corp.test not allowed to send as b@corp.test; STOREDRV.Submission.Exception:SendAsDeniedException."
     "MapiExceptionSendAsDenied (in reply to end of DATA command)", "send_as_denied"),
    (f"host {PEER} said: 451 4.7.500 Server busy (AS77713821) (in reply to MAIL FROM command)", "server_busy"),
    (f"host {PEER} said: 538 5.9.9 new (in reply to MAIL FROM command)", "refused_otherwise"),
    (f"host {PEER} refused to talk to me: 421 4.3.2 Service not available", "server_unavailable"),
    (f"host {PEER} said: 550 5.9.9 lost connection with Relay access denied (in reply to RCPT TO command)", "refused_otherwise"),
    (f"{CANNOT}: bad protocol / cancel", "renewal_failed"),
    (f"{CANNOT}: generic failure", "token_file_unusable"),
    (f"{CANNOT}: transient failure (e.g., weak key)", "token_refused_after_renewal"),
    (f"{CANNOT}: no mechanism available", "plugin_missing"),
    (f"SASL authentication failed: server {PEER} offered no compatible authentication mechanisms for this type of connection security", "mechanism_filtered"),
    (f"TLS is required, but was not offered by host {PEER}", "tls_not_offered"),
    (f"TLS is required, but host {PEER} refused to start TLS: 454 4.7.0 TLS not available", "tls_not_offered"),
    ("Server certificate not verified", "smtp_certificate_unverified"),
    ("Server certificate not trusted", "smtp_certificate_unverified"),
    ("Cannot start TLS: handshake failure", "tls_handshake_failed"),
    ("client TLS configuration problem", "tls_policy_unavailable"),
    ("TLS is required, but our TLS engine is unavailable", "tls_engine_unavailable"),
    ("TLS is required, but unavailable", "tls_engine_unavailable"),
    (f"lost connection with {PEER} while sending end of data -- message may be sent more than once", "connection_lost_after_data"),
    (f"conversation with {PEER} timed out while sending end of data -- message may be sent more than once", "connection_lost_after_data"),
    (f"lost connection with {PEER} while receiving the initial server greeting", "connection_lost"),
    (f"conversation with {PEER} timed out while receiving the initial server greeting", "smtp_silent"),
    (f"message size 41943040 exceeds size limit 37748736 of server {PEER}", "size_limit_of_server"),
    (f"SMTPUTF8 is required, but was not offered by host {PEER}", "smtputf8_not_offered"),
    ("mail for smtp.office365.com loops back to myself", "mail_loops"),
    ("mail transport unavailable", "postfix_service_broken"),
    ("unknown mail transport error", "postfix_service_broken"),
    ("mail system configuration error", "postfix_service_broken"),
    ("Host or domain name not found. Name service error for name=smtp.office365.com type=A: Host not found", "smtp_host_not_found"),
    ("Host or domain name not found. Name service error for name=smtp.office365.com type=AAAA: Host not found, try again", "dns_unavailable"),
    (f"connect to {HOST}: Connection refused", "smtp_port_closed"),
    (f"connect to {HOST}: Connection timed out", "smtp_port_blocked"),
    (f"connect to {HOST}: Network is unreachable", "network_unreachable"),
    (f"connect to {HOST}: No route to host", "network_unreachable"),
    ("delivery temporarily suspended: something new", "delivery_suspended"),
    (f"delivery temporarily suspended: connect to {HOST}: Connection refused", "smtp_port_closed"),
    (f"delivery temporarily suspended: SASL authentication failed; server {PEER} said: 535 5.7.3 Authentication unsuccessful", "login_refused"),
    (f"delivery temporarily suspended: {CANNOT}: bad protocol / cancel", "renewal_failed"),
]

# Other lines of the log: (line, entry).
LINES = [
    ("postfix/bounce[7]: warning: 4abc: undeliverable postmaster notification discarded", "notice_discarded"),
    ("warning: daily budget: scans@corp.test has reached its 10000 recipients in 24 hours; mail waits until some of them are a day old", "pacer_daily_budget"),
    ("postfix/smtp[7]: warning: SASL authentication failure: No worthy mechs found", "plugin_missing"),
    ("postfix/smtp[7]: auth failed: error setting certificate verify locations: CAfile: /etc/ssl/certs/ca-certificates.crt", "plugin_ca_missing"),
    ("postfix/smtp[7]: auth failed: error adding trust anchors from file: /etc/ssl/certs/ca-certificates.crt", "plugin_ca_missing"),
    (f"postfix/smtp[7]: server certificate verification failed for {HOST}: certificate has expired", "smtp_certificate_expired"),
    (f"postfix/smtp[7]: server certificate verification failed for {HOST}: certificate not yet valid", "smtp_certificate_not_yet_valid"),
    ("postfix/smtp[7]: warning: connect to private/tlsproxy service: No such file or directory", "tlsproxy_missing"),
    ("postfix/smtp[7]: warning: connect #1 to subsystem private/tlsproxy: No such file or directory", "tlsproxy_missing"),
    ("postfix/smtp[7]: warning: relayhost configuration problem", "relayhost_wrong"),
    ("postfix/qmgr[7]: 4abc: from=<scans@corp.test>, status=expired, returned to sender", "expired_in_queue"),
    (f"postfix/smtpd[7]: NOQUEUE: reject: RCPT from {SOMEBODY}: 554 5.7.1 <a@b.test>: Relay access denied; from=<c@d.test> to=<a@b.test> proto=ESMTP helo=<x>",
     "client_not_allowed_to_relay"),
    (f"postfix/smtpd[7]: NOQUEUE: reject: RCPT from {SOMEBODY}: 554 5.7.1 <{SOMEBODY}>: Client host rejected: Access denied", "client_not_allowed_to_relay"),
    (f"postfix/smtpd[7]: NOQUEUE: reject: DATA from {SOMEBODY}: 554 5.7.1 <DATA>: Data command rejected: Access denied", "client_not_allowed_to_relay"),
    (f"postfix/smtpd[7]: warning: {SOMEBODY}: SASL PLAIN authentication failed: authentication failure, sasl_username=scanner", "client_password_wrong"),
    (f"postfix/smtpd[7]: warning: {SOMEBODY}: SASL LOGIN authentication failed: authentication failure", "client_password_wrong"),
    (f"postfix/smtpd[7]: warning: Message delivery request rate limit exceeded: 601 from {SOMEBODY} for service smtp", "client_too_fast"),
    (f"postfix/smtpd[7]: warning: Connection concurrency limit exceeded: 51 from {SOMEBODY} for service smtp", "client_too_fast"),
    (f"postfix/smtpd[7]: NOQUEUE: reject: CONNECT from {SOMEBODY}: 421 4.7.0 relay Error: too many connections from 203.0.113.9", "client_too_fast"),
    (f"postfix/smtpd[7]: NOQUEUE: reject: MAIL from {SOMEBODY}: 450 4.7.1 Error: too much mail from 203.0.113.9", "client_too_fast"),
    (f"postfix/smtpd[7]: NOQUEUE: reject: AUTH from {SOMEBODY}: 450 4.7.1 Error: too many AUTH commands from 203.0.113.9", "client_too_fast"),
    (f"postfix/smtpd[7]: NOQUEUE: reject: MAIL from {SOMEBODY}: 552 5.3.4 Message size exceeds fixed limit", "client_message_too_large"),
    (f"postfix/smtpd[7]: 4abc: reject: DATA from {SOMEBODY}: 552 5.3.4 Error: message file too big", "client_message_too_large"),
    ("postfix/cleanup[7]: warning: 4abc: queue file size limit exceeded", "client_message_too_large"),
    (f"postfix/smtpd[7]: NOQUEUE: reject: DATA from {SOMEBODY}: 521 5.5.2 relay Error: bare <LF> received", "client_breaks_protocol"),
    (f"postfix/smtpd[7]: improper command pipelining after DATA from {SOMEBODY}: .", "client_breaks_protocol"),
    ("postfix/smtpd[7]: NOQUEUE: reject: MAIL from unknown[192.0.2.9]: 452 4.3.1 Insufficient system storage", "queue_disk_full"),
    ("postfix/smtpd[7]: NOQUEUE: not enough free space in mail queue: 1000 bytes < 1.5*message size limit", "queue_disk_full"),
    ("postfix/cleanup[7]: warning: mail_queue_enter: create file maildrop/1.7: No space left on device", "queue_disk_full"),
    ("postfix/pickup[7]: warning: maildrop/4abc: error writing 4abd: queue file write error", "queue_disk_full"),
    ("postfix/smtpd[7]: NOQUEUE: milter-reject: MAIL from unknown[192.0.2.9]: 451 4.7.1 Service unavailable - try again later", "sender_policy_unavailable"),
    ("postfix/smtpd[7]: warning: connect to Milter service unix:/run/x: No such file or directory", "sender_policy_unavailable"),
    ("postfix/smtpd[7]: fatal: no SASL authentication mechanisms", "no_login_mechanisms"),
    ("postfix/smtpd[7]: unable to open Berkeley db /etc/sasldb2: Permission denied", "accounts_unreadable"),
]

# Lines that tell of no failure, whatever somebody wrote into their addresses.
NO_FAILURES = [
    f"postfix/smtp[7]: 4abc: to=<a@b.test>, relay={HOST}, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 2.0.0 OK)",
    f"postfix/smtp[7]: 4abc: to=<a@b.test>, relay={HOST}, dsn=2.0.0, status=sent (250 2.0.0 OK, and host x[1.2.3.4] said: 535 5.7.3 no)",
    "postfix/smtpd[7]: connect from unknown[192.0.2.9]",
    "postfix/qmgr[7]: 4abc: from=<scans@corp.test>, size=400, nrcpt=1 (queue active)",
    "postfix/qmgr[7]: 4abc: removed",
]
