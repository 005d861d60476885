# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue's entries for the host itself and its network; data only (private to the collection).

What a key means stands in _catalogue. `text` is what stands in Postfix's log or on its queue.
"""

from __future__ import annotations

SIGN_IN = "ansible-playbook -i inventory simple_m365.relay.sign_in"
SITE = "ansible-playbook -i inventory simple_m365.relay.site"

HOST = [
    {
        "name": "smtp_host_not_found",
        "match": [{"text": "Name service error for name=*: Host not found"}],
        "meaning": "DNS says that {smtp_host} does not exist.",
        "remedy": "resolvectl query {smtp_host} (or getent hosts {smtp_host}) on the relay; correct its name server, or postfix_relayhost. Postfix asks DNS "
                  "and minds no /etc/hosts.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "dns_unavailable",
        "match": [{"text": "Name service error for name=*: Host not found, try again"}],
        "meaning": "The relay's name server does not answer for {smtp_host}.",
        "remedy": "getent hosts {smtp_host} on the relay; look at /etc/resolv.conf and at the way to the name server (UDP and TCP port 53).",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "smtp_port_closed",
        "match": [{"text": "connect to *: Connection refused"}],
        "meaning": "Nothing answers at {smtp_host} port 587, or a firewall refuses it.",
        "remedy": "Allow the relay out to {smtp_host} port 587 (TCP); postfix_relayhost has to be [{smtp_host}]:587.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "smtp_port_blocked",
        "match": [{"text": "connect to *: Connection timed out"}],
        "meaning": "{smtp_host} port 587 does not answer: a firewall drops the packets, or Microsoft is in trouble.",
        "remedy": "Allow the relay out to {smtp_host} port 587 (TCP). If it worked before: https://status.cloud.microsoft.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "network_unreachable",
        "match": [{"text": "connect to *: Network is unreachable"}, {"text": "connect to *: No route to host"}],
        "meaning": "The relay has no route to {smtp_host}.",
        "remedy": "ip route get 1.1.1.1 on the relay; if it has IPv4 only and the log shows an IPv6 address, set postfix_inet_protocols to ipv4.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "login_host_not_found",
        "match": [],
        "meaning": "DNS says that {login_host} (or the proxy on the way to it) does not exist: tokens cannot be renewed.",
        "remedy": "getent hosts {login_host} on the relay; correct its name server, xoauth2_login_host or xoauth2_proxy.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "login_dns_unavailable",
        "match": [],
        "meaning": "The relay's name server does not answer for {login_host} (or the proxy on the way to it): tokens cannot be renewed.",
        "remedy": "getent hosts {login_host} on the relay; look at /etc/resolv.conf and at the way to the name server (UDP and TCP port 53).",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    # What the doctor finds by itself
    {
        "name": "settings_missing",
        "match": [],
        "meaning": "The relay's settings in /etc/m365-relay/relay.json are missing, damaged, or name no identity.",
        "remedy": f"{SITE} writes them.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "configuration_wrong",
        "match": [],
        "meaning": "Postfix does not accept its configuration.",
        "remedy": f"postfix check on the relay names the line; {SITE} puts main.cf and master.cf in order.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "postfix_stopped",
        "match": [],
        "meaning": "Postfix does not run: no mail is taken, and what waits is not sent.",
        "remedy": "systemctl start postfix on the relay; journalctl -t postfix/master tells why it stopped.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "smtp_in_chroot",
        "match": [],
        "meaning": "Postfix's smtp runs in a chroot, where it sees neither the token nor the CA certificates.",
        "remedy": f"{SITE} puts master.cf in order (the fifth column of every smtp is n).",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "token_expired",
        "match": [],
        "meaning": "The access token of {mailbox} has expired, and nobody renewed it.",
        "remedy": "m365-relay doctor --renew on the relay renews it or says why not; systemctl status m365-relay-token.timer has to say active.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "renewal_timer_off",
        "match": [],
        "meaning": "The timer that renews the tokens does not run: they will run out.",
        "remedy": f"systemctl enable --now m365-relay-token.timer on the relay; {SITE} does it too.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    {
        "name": "msal_missing",
        "match": [],
        "meaning": "Microsoft's library msal is not installed, so no token can be renewed.",
        "remedy": "apt-get install python3-msal on the relay.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
    # What the sign-in finds by itself
    {
        "name": "sign_in_page_unreachable",
        "match": [],
        "meaning": "The relay cannot reach the sign-in service at {login_host}.",
        "remedy": "From the relay, https://{login_host} has to be reachable (TCP port 443): check DNS, routes and firewall.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "unexpected_answer",
        "match": [],
        "meaning": "What answers as {login_host} does not speak as Microsoft's sign-in service does.",
        "remedy": "Look for a proxy or captive portal between the relay and https://{login_host}, and check xoauth2_login_host.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "tls_failure",
        "match": [],
        "meaning": "The certificate of {login_host} cannot be verified.",
        "remedy": "Check the relay's clock (timedatectl) and its CA certificates (package ca-certificates); a firewall that breaks TLS open needs an "
                  "exception for {login_host}.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "ca_file_missing",
        "match": [],
        "meaning": "The file of CA certificates by which {login_host} is verified is not on the relay, or cannot be read.",
        "remedy": "apt-get install --reinstall ca-certificates on the relay; if xoauth2_ca_file is set, put that file there.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "proxy_unreachable",
        "match": [],
        "meaning": "The relay cannot reach {login_host} through the proxy of its settings.",
        "remedy": f"Look at the proxy, and at xoauth2_proxy: it has to let CONNECT {{login_host}}:443 through; then {SITE}.",
        "mail": "waits", "retry": True, "certainty": "measured",
    },
    {
        "name": "clock_wrong",
        "match": [],
        "meaning": "Microsoft's answer is not valid at the time that the relay's clock shows.",
        "remedy": f"Set the relay's clock (timedatectl set-ntp true), then sign in again: {SIGN_IN}.",
        "mail": "waits", "retry": False, "certainty": "measured",
    },
]
