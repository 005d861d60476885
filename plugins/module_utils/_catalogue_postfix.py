# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's entries for what the plugin and Postfix say; data only (private to the collection).

What a key means stands in _catalogue. `text` is what stands in Postfix's log or on its queue.
"""

from __future__ import annotations

SIGN_IN = "ansible-playbook -i inventory simple_m365.relay.sign_in"
SITE = "ansible-playbook -i inventory simple_m365.relay.site"
USERS = "ansible-playbook -i inventory simple_m365.relay.users"

PLUGIN = [
    {
        "name": "renewal_failed",
        "match": [{"text": "SASL authentication failed; cannot authenticate to server *: bad protocol / cancel"}],
        "meaning": "The plugin could not renew the token of {mailbox}: Microsoft refused, or {login_host} cannot be reached or verified.",
        "remedy": f"{SITE} says which of them it is, and asks for a sign-in if one is needed.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "token_file_unusable",
        "match": [{"text": "SASL authentication failed; cannot authenticate to server *: generic failure"}],
        "meaning": "The plugin cannot read or write the token file of {mailbox}: it is missing or damaged, or user postfix may not write to its directory.",
        "remedy": f"{SITE} puts owner and mode of /var/lib/m365-relay/tokens right (postfix, 0700), and asks for a sign-in if the file is missing or damaged.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "token_refused_after_renewal",
        "match": [{"text": "SASL authentication failed; cannot authenticate to server *: transient failure (e.g., weak key)"}],
        "meaning": "The server refused the token of {mailbox}, the plugin renewed it, and it was refused again: it is for another service or permission. It "
                   "never heals by itself.",
        "remedy": f"Set xoauth2_scope to https://outlook.office.com/SMTP.Send (or to the one of your national cloud), then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "plugin_missing",
        "match": [
            {"text": "SASL authentication failed; cannot authenticate to server *: no mechanism available"},
            {"text": "No worthy mechs found"},
        ],
        "meaning": "Postfix has no mechanism XOAUTH2: the plugin sasl-xoauth2 is not installed, or cannot read /etc/sasl-xoauth2.conf.",
        "remedy": f"On the relay, saslpluginviewer -c -m XOAUTH2 has to show it; {SITE} installs it and its settings. Running processes see a change after: "
                  "postfix reload.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "mechanism_filtered",
        "match": [{"text": "offered no compatible authentication mechanisms for this type of connection security"}],
        "meaning": "The server and Postfix have no mechanism in common: the server does not offer XOAUTH2, or Postfix's options filter it away.",
        "remedy": "postfix_relayhost has to be [smtp.office365.com]:587, or the host of your national cloud; smtp_sasl_security_options and "
                  "smtp_sasl_tls_security_options may be "
                  f"noanonymous only; put them in order: {SITE}.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "plugin_ca_missing",
        "match": [{"text": "error setting certificate verify locations"}, {"text": "error adding trust anchors from file"}],
        "meaning": "The plugin does not find the CA certificates with which it verifies {login_host}; often Postfix's smtp runs in a chroot.",
        "remedy": f"apt-get install --reinstall ca-certificates on the relay; smtp may not be chrooted (postconf -F smtp/unix/chroot has to say n): {SITE}.",
        "mail": "waits", "retry": False, "certainty": "reported",
    },
]

POSTFIX = [
    # Notices
    {
        "name": "notice_discarded",
        "match": [{"text": "undeliverable postmaster notification discarded"}],
        "meaning": "A bounce could be delivered to nobody, and the notice about it could not be delivered to postfix_postmaster either: Postfix gave it up.",
        "remedy": "journalctl -t postfix/bounce -t postfix/qmgr --grep 'QUEUE ID OF THAT LINE' names the address. postfix_postmaster has to be a mailbox that "
                  f"exists and that {{mailbox}} may write to ({SITE}).",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    # The way out
    {
        "name": "delivery_suspended",
        "match": [{"text": "delivery temporarily suspended"}],
        "meaning": "Postfix makes a pause, because a delivery failed just before; this message has not been tried itself.",
        "remedy": "Mend what the other deferred messages name (postqueue -p); then postqueue -f tries all again at once.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "pacer_daily_budget",
        "match": [{"text": "has reached its * recipients in 24 hours; mail waits"}],
        "meaning": "{mailbox} has had as many recipients in 24 hours as Microsoft takes from a mailbox; the relay lets its mail wait.",
        "remedy": "It goes on by itself. For more: send as several mailboxes (xoauth2_identities), or use High Volume Email; a raised limit belongs into "
                  f"postfix_recipients_per_day or postfix_mailbox_limits ({SITE}).",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "tls_not_offered",
        "match": [{"text": "TLS is required, but was not offered by host"}, {"text": "TLS is required, but host * refused to start TLS"}],
        "meaning": "The server offers no encryption: it is not Microsoft's, or something on the way takes STARTTLS away.",
        "remedy": "Look for a firewall that inspects SMTP between the relay and {smtp_host} port 587, and switch that off; postfix_relayhost has to be "
                  "[{smtp_host}]:587.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "smtp_certificate_unverified",
        "match": [{"text": "Server certificate not verified"}, {"text": "Server certificate not trusted"}],
        "meaning": "The certificate of the server is not one for {smtp_host}, or is signed by nobody whom the relay trusts, or has expired: the token is not "
                   "given to it.",
        "remedy": "openssl s_client -starttls smtp -verify_return_error -verify_hostname {smtp_host} -connect {smtp_host}:587 on the relay shows why. A "
                  "firewall that breaks TLS open "
                  "needs an exception; check the clock (timedatectl) and the package ca-certificates.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "smtp_certificate_expired",
        "match": [{"text": "certificate verification failed for *: certificate has expired"}],
        "meaning": "The certificate of {smtp_host} has expired, or the relay's clock is ahead.",
        "remedy": "Check the clock (timedatectl); look for a firewall that breaks TLS open.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "smtp_certificate_not_yet_valid",
        "match": [{"text": "certificate verification failed for *: certificate not yet valid"}],
        "meaning": "The certificate of {smtp_host} is not valid yet: the relay's clock is behind.",
        "remedy": "Set the relay's clock: timedatectl set-ntp true.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "tls_handshake_failed",
        "match": [{"text": "Cannot start TLS: handshake failure"}],
        "meaning": "The encryption with {smtp_host} could not be agreed on, or Postfix's own tlsproxy is not there.",
        "remedy": "journalctl -t postfix/smtp -t postfix/tlsproxy on the relay has the reason one line before. Look for a firewall that inspects SMTP; put "
                  "Postfix's services in order: "
                  f"{SITE}.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "tlsproxy_missing",
        "match": [{"text": "connect to private/tlsproxy service"}, {"text": "private/tlsproxy: No such file or directory"}],
        "meaning": "Postfix's service tlsproxy is missing in master.cf (Debian ships it commented out), and no mail can leave without it.",
        "remedy": f"{SITE} puts master.cf in order.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "tls_policy_unavailable",
        "match": [{"text": "client TLS configuration problem"}],
        "meaning": "Postfix asks for the TLS policy of each delivery, and the service that keeps to Microsoft's limits (m365-relay-pacer) gave none: "
                   "{mailbox} has had its recipients of the day, or the service does not run.",
        "remedy": "journalctl -u m365-relay-pacer -n 20 on the relay says which. A daily limit passes by itself; a raised one belongs into "
                  f"postfix_recipients_per_day or postfix_mailbox_limits. If the service does not run: systemctl restart m365-relay-pacer, or {SITE}.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "tls_engine_unavailable",
        "match": [{"text": "TLS is required, but our TLS engine is unavailable"}, {"text": "TLS is required, but unavailable"}],
        "meaning": "Postfix cannot start its own TLS: a file of certificates or keys that main.cf names is missing or cannot be read.",
        "remedy": f"journalctl -t postfix/smtp on the relay names the file; apt-get install --reinstall ca-certificates; {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "connection_lost_after_data",
        "match": [{"text": "lost connection with * while sending end of data"}, {"text": "conversation with * timed out while sending end of data"}],
        "meaning": "The connection broke after the whole message was sent: Microsoft may have taken it, and it may arrive twice.",
        "remedy": "Nothing to mend if it is rare: Postfix tries again by itself. If not, look for a firewall that cuts long connections to {smtp_host} port "
                  "587.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "connection_lost",
        "match": [{"text": "lost connection with"}],
        "meaning": "The connection to {smtp_host} broke.",
        "remedy": "Nothing to mend if it is rare: Postfix tries again by itself. If not, look for a firewall that cuts or inspects connections to {smtp_host} "
                  "port 587.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "smtp_silent",
        "match": [{"text": "conversation with * timed out"}],
        "meaning": "The server took the connection and then said nothing.",
        "remedy": "Postfix tries again by itself. If it lasts, look for a firewall or a wrong packet size (MTU) between the relay and {smtp_host} port 587.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "size_limit_of_server",
        "match": [{"text": "message size * exceeds size limit * of server"}],
        "meaning": "The message is larger than the server says that it takes.",
        "remedy": f"Lower postfix_message_size_limit below the server's limit, so that the sender is told at once ({SITE}).",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "smtputf8_not_offered",
        "match": [{"text": "SMTPUTF8 is required, but was not offered by host"}],
        "meaning": "The message has an address with characters outside ASCII, and the server does not take such.",
        "remedy": "Use an ASCII address for this recipient or sender.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "expired_in_queue",
        "match": [{"text": "status=expired, returned to sender"}],
        "meaning": "The message waited for the whole postfix_queue_lifetime and went back to its sender.",
        "remedy": "Mend what the deferred messages name (postqueue -p); the sender has to send this one again.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "relayhost_wrong",
        "match": [{"text": "relayhost configuration problem"}],
        "meaning": "The host in postfix_relayhost does not exist, or is the relay itself.",
        "remedy": f"postfix_relayhost has to be [smtp.office365.com]:587, or the host of your national cloud; then {SITE}. If it is right, look at the "
                  "relay's DNS.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "mail_loops",
        "match": [{"text": "loops back to myself"}],
        "meaning": "The name in postfix_relayhost leads back to the relay itself.",
        "remedy": f"postfix_relayhost has to be [smtp.office365.com]:587, and the relay's DNS has to give Microsoft's addresses for it; then {SITE}.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "postfix_service_broken",
        "match": [{"text": "mail transport unavailable"}, {"text": "unknown mail transport error"}, {"text": "mail system configuration error"}],
        "meaning": "A part of Postfix does not run, because a setting or a file is wrong.",
        "remedy": f"journalctl -p err -t postfix/master -t postfix/smtp on the relay names it; postfix check; {SITE} puts the configuration in order.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    # The way in
    {
        "name": "queue_disk_full",
        "match": [{"text": "Insufficient system storage"}, {"text": "No space left on device"}, {"text": "not enough free space in mail queue"},
                  {"text": "queue file write error"}],
        "meaning": "The disk of the queue is full: the relay takes no new mail, and clients have to try again.",
        "remedy": "df -h /var/spool/postfix on the relay, and make room (journalctl --vacuum-size=200M, apt-get clean). Nothing that was accepted is lost.",
        "mail": "waits", "retry": False, "certainty": "documented",
    },
    {
        "name": "client_not_allowed_to_relay",
        "match": [{"text": "Relay access denied"}, {"text": "Client host rejected: Access denied"}, {"text": "Data command rejected: Access denied"}],
        "meaning": "A client sent mail that is not in a trusted network and did not log in.",
        "remedy": f"If it is one of yours, add its network to postfix_trusted_networks and run {SITE}, or give it an account in sasldb_users ({USERS}) and "
                  "port 587 or 465.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "client_password_wrong",
        "match": [{"text": "warning: *: SASL PLAIN authentication failed"}, {"text": "warning: *: SASL LOGIN authentication failed"}],
        "meaning": "A client logged in to the relay with a wrong name or password.",
        "remedy": f"If it is one of yours, set the account's password in sasldb_users ({USERS}) and in the client; sasldblistusers2 on the relay lists the "
                  "accounts.",
        "mail": "not affected", "retry": False, "certainty": "documented",
    },
    {
        "name": "client_too_fast",
        "match": [{"text": "rate limit exceeded: *from * for service"}, {"text": "Connection concurrency limit exceeded"},
                  {"text": "too many connections from"}, {"text": "Error: too much mail from"}, {"text": "Error: too many AUTH commands from"}],
        "meaning": "A client connected, sent or logged in more often than the relay allows one client, and has to try again later.",
        "remedy": "If it may: raise postfix_client_connection_count_limit, postfix_client_connection_rate_limit, postfix_client_message_rate_limit or "
                  f"postfix_client_auth_rate_limit, then {SITE}.",
        "mail": "waits", "retry": True, "certainty": "documented",
    },
    {
        "name": "client_message_too_large",
        "match": [{"text": "Message size exceeds fixed limit"}, {"text": "message file too big"}, {"text": "queue file size limit exceeded"}],
        "meaning": "A client sent a message that is larger than postfix_message_size_limit.",
        "remedy": f"If Microsoft takes it (MaxSendSize of the mailbox), raise postfix_message_size_limit, then {SITE}.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "client_breaks_protocol",
        "match": [{"text": "bare <LF> received"}, {"text": "improper command pipelining"}],
        "meaning": "A client does not speak SMTP as it should, which smugglers of mail do as well.",
        "remedy": "Update the client's software. The relay keeps refusing it.",
        "mail": "bounces", "retry": False, "certainty": "documented",
    },
    {
        "name": "sender_policy_unavailable",
        "match": [{"text": "451 4.7.1 Service unavailable - try again later"}, {"text": "connect to Milter service"}],
        "meaning": "The service that decides about senders does not run, so the relay takes no mail and clients have to try again.",
        "remedy": "systemctl --failed on the relay shows it: start it (systemctl restart 'm365-relay-*').",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "no_login_mechanisms",
        "match": [{"text": "fatal: no SASL authentication mechanisms"}],
        "meaning": "Postfix can offer its clients no login: libsasl2-modules is missing, or /etc/postfix/sasl/smtpd.conf is wrong. No mail is taken.",
        "remedy": f"apt-get install libsasl2-modules on the relay; {SITE} puts smtpd.conf in order.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "accounts_unreadable",
        "match": [{"text": "unable to open Berkeley db *sasldb2: "}],
        "meaning": "Postfix cannot read the accounts in /etc/sasldb2, so nobody can log in to the relay.",
        "remedy": f"{SITE} puts the file right (root:sasl 0660, user postfix in group sasl).",
        "mail": "not affected", "retry": False, "certainty": "measured",
    },
]
