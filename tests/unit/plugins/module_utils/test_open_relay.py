# SPDX-License-Identifier: GPL-3.0-or-later
"""Would this configuration relay for strangers, or give away a secret?"""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _open_relay

# What the role writes, and Postfix's own defaults where the lint looks at them.
SOUND = {
    "mynetworks": "127.0.0.0/8 [::1]/128 192.0.2.0/24 [2001:db8:1::]/48 10.0.0.0/8",
    "mydestination": "", "relay_domains": "", "virtual_alias_domains": "", "virtual_mailbox_domains": "",
    "relayhost": "[smtp.office365.com]:587",
    "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination, reject",
    "smtpd_recipient_restrictions": "",
    "smtpd_data_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject",
    "smtpd_restriction_classes": "",
    "smtpd_authorized_xclient_hosts": "", "smtpd_upstream_proxy_protocol": "",
    "smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "yes", "smtpd_tls_security_level": "may", "smtpd_tls_wrappermode": "no",
    "smtpd_sasl_security_options": "noanonymous", "smtpd_sasl_tls_security_options": "noanonymous",
    "smtpd_forbid_bare_newline": "normalize", "smtpd_forbid_bare_newline_exclusions": "",
    "smtp_sasl_auth_enable": "yes", "smtp_tls_security_level": "secure", "smtp_tls_secure_cert_match": "nexthop",
    "smtp_tls_verify_cert_match": "hostname", "smtp_tls_policy_maps": "", "smtp_tls_per_site": "", "smtp_sasl_auth_soft_bounce": "yes",
    "reject_code": "554", "relay_domains_reject_code": "554", "soft_bounce": "no",
    "debug_peer_list": "", "smtpd_tls_loglevel": "1", "smtp_tls_loglevel": "1",
    "qmqpd_authorized_clients": "",
}
LOGIN = {"smtpd_tls_security_level": "encrypt", "smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
         "smtpd_data_restrictions": "permit_sasl_authenticated,reject"}


def service(name, command="smtpd", kind="inet", **options):
    return {"name": name, "type": kind, "command": command, "options": options}


SERVICES = [
    service("smtp"),
    service("submission", **LOGIN),
    service("submissions", smtpd_tls_wrappermode="yes", **LOGIN),
    service("smtp", "smtp", "unix"),
    service("cleanup", "cleanup", "unix"),
]

SOUND_CHANGES = {
    "nothing changed": {},
    "no network at all": {"mynetworks": "127.0.0.0/8 [::1]/128"},
    "a whole private network": {"mynetworks": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 [fc00::]/7"},
    "a public /16 of an organisation": {"mynetworks": "198.51.0.0/16"},
    "a public /16 written seventeen times": {"mynetworks": "198.51.0.0/16 " * 17},
    "a public IPv6 /32": {"mynetworks": "[2001:db8::]/32"},
    "one address without a length": {"mynetworks": "203.0.113.5 [2001:db8::5]"},
    "an exclusion": {"mynetworks": "!192.0.2.1 192.0.2.0/24"},
    "only refusals before the permits": {"smtpd_relay_restrictions": "reject_unknown_client_hostname, permit_mynetworks, permit_sasl_authenticated, reject"},
    "no destinations, so reject_unauth_destination refuses all": {"smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination"},
    "the recipient list refuses instead": {
        "smtpd_relay_restrictions": "", "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject_unauth_destination"},
    "a table in the recipient list": {"smtpd_recipient_restrictions": "check_recipient_access hash:/etc/postfix/vip, permit"},
    "a class that only refuses": {
        "smtpd_restriction_classes": "careful", "careful": "reject_unknown_sender_domain", "smtpd_relay_restrictions": "careful, permit_mynetworks, reject"},
    "a class that ends it": {
        "smtpd_restriction_classes": "last", "last": "permit_sasl_authenticated, reject", "smtpd_relay_restrictions": "permit_mynetworks, last"},
    "a refusal with an argument": {"smtpd_relay_restrictions": "reject_rbl_client zen.example.org, permit_mynetworks, reject"},
    "capital letters": {"smtpd_relay_restrictions": "PERMIT_MYNETWORKS REJECT"},
    "relay domains, and a reject for everything": {"relay_domains": "example.com"},
    "certificates by fingerprint": {"smtpd_relay_restrictions": "permit_tls_clientcerts, reject"},
    "bare newlines rejected": {"smtpd_forbid_bare_newline": "reject"},
    "AUTH off": {"smtpd_sasl_auth_enable": "no", "smtpd_tls_auth_only": "no", "smtpd_tls_security_level": "none"},
    "TLS always": {"smtpd_tls_security_level": "encrypt"},
    "level verify with a name in brackets": {"smtp_tls_security_level": "verify"},
    "no tokens, no TLS wanted": {"smtp_sasl_auth_enable": "no", "smtp_tls_security_level": "may"},
    "a name of the server of one's own": {"smtp_tls_secure_cert_match": "nexthop, outlook.office365.com"},
}

# name: (changed parameters, what the sentence must say)
UNSOUND_CHANGES = {
    "the IPv4 internet": ({"mynetworks": "0.0.0.0/0"}, "public IPv4 addresses"),
    "the IPv4 internet without dots": ({"mynetworks": "127.0.0.0/8, 0/0"}, "cannot be judged"),
    "its two halves": ({"mynetworks": "0.0.0.0/1 128.0.0.0/1"}, "public IPv4 addresses"),
    "its four quarters": ({"mynetworks": "0.0.0.0/2 64.0.0.0/2 128.0.0.0/2 192.0.0.0/2"}, "public IPv4 addresses"),
    "all but one address": ({"mynetworks": "0.0.0.0/0 !198.51.100.1"}, "public IPv4 addresses"),
    "half of it": ({"mynetworks": "128.0.0.0/1"}, "public IPv4 addresses"),
    "a public /8": ({"mynetworks": "8.0.0.0/8"}, "16777216 public IPv4 addresses"),
    "seventeen public /16": ({"mynetworks": " ".join(f"8.{number}.0.0/16" for number in range(17))}, "1114112 public IPv4 addresses"),
    "a net around a private one": ({"mynetworks": "10.0.0.0/7"}, "16777216 public IPv4 addresses"),
    "the IPv6 internet": ({"mynetworks": "[::]/0"}, "public IPv6 addresses"),
    "its halves": ({"mynetworks": "[::]/1 [8000::]/1"}, "public IPv6 addresses"),
    "all global unicast": ({"mynetworks": "[2000::]/3"}, "public IPv6 addresses"),
    "a public IPv6 /16": ({"mynetworks": "[2a00::]/16"}, "public IPv6 addresses"),
    "the IPv4 internet, mapped": ({"mynetworks": "[::ffff:0:0]/96"}, "stands for IPv4"),
    "the IPv4 internet, by NAT64": ({"mynetworks": "[64:ff9b::]/96"}, "stands for IPv4"),
    "a domain name": ({"mynetworks": ".example.com"}, ".example.com"),
    "everybody by a table": ({"mynetworks": "static:all"}, "static:all"),
    "a table of patterns": ({"mynetworks": "regexp:/etc/postfix/trusted"}, "regexp:"),
    "a file that is not there": ({"mynetworks": "/nonexistent/networks"}, "cannot be read"),
    "permit": ({"smtpd_relay_restrictions": "permit"}, "permit can let them in"),
    "permit before the end": ({"smtpd_relay_restrictions": "permit_mynetworks, permit, reject"}, "permit can let them in"),
    "nothing at all": ({"smtpd_relay_restrictions": ""}, "nothing refuses them"),
    "no end": ({"smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated"}, "nothing refuses them"),
    "a refusal that only warns": ({"smtpd_relay_restrictions": "permit_mynetworks, warn_if_reject reject"}, "nothing refuses them"),
    "a refusal as an argument": ({"smtpd_relay_restrictions": "reject_rbl_client reject"}, "nothing refuses them"),
    "a table first": ({"smtpd_relay_restrictions": "check_client_access cidr:/etc/postfix/friends, reject"}, "check_client_access"),
    "a policy server first": ({"smtpd_relay_restrictions": "check_policy_service unix:private/policy, reject"}, "check_policy_service"),
    "a bare table first": ({"smtpd_relay_restrictions": "hash:/etc/postfix/access, reject"}, "hash:/etc/postfix/access"),
    "any client certificate": ({"smtpd_relay_restrictions": "permit_tls_all_clientcerts, reject"}, "permit_tls_all_clientcerts"),
    "whoever names us as MX": ({"smtpd_relay_restrictions": "permit_mx_backup, reject"}, "permit_mx_backup"),
    "a white list on the internet": ({"smtpd_relay_restrictions": "permit_dnswl_client list.example.org, reject"}, "permit_dnswl_client"),
    "refused for now": ({"smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination"}, "only for now"),
    "a class that permits": (
        {"smtpd_restriction_classes": "friends", "friends": "permit", "smtpd_relay_restrictions": "friends, reject"}, "permit can let them in"),
    "a class that does not exist": ({"smtpd_restriction_classes": "ghost", "smtpd_relay_restrictions": "ghost"}, "nothing refuses them"),
    "relay domains": ({"relay_domains": "example.com", "smtpd_relay_restrictions": "reject_unauth_destination"}, "relay_domains = example.com"),
    "local mail": ({"mydestination": "$myhostname", "smtpd_relay_restrictions": "reject_unauth_destination"}, "mydestination"),
    "every domain virtual": ({"virtual_alias_domains": "static:all", "smtpd_relay_restrictions": "reject_unauth_destination"}, "virtual_alias_domains"),
    "our destinations permitted": (
        {"virtual_mailbox_domains": "example.com", "smtpd_relay_restrictions": "permit_auth_destination, reject"}, "virtual_mailbox_domains"),
    "the postmaster for everybody": ({"smtpd_data_restrictions": ""}, "postmaster"),
    "the postmaster by permit": ({"smtpd_data_restrictions": "permit"}, "postmaster"),
    "all refusals temporary": ({"soft_bounce": "yes"}, "soft_bounce"),
    "the refusal temporary": ({"reject_code": "450"}, "reject_code = 450"),
    "the relay refusal temporary": ({"relay_domains_reject_code": "454"}, "relay_domains_reject_code = 454"),
    "XCLIENT": ({"smtpd_authorized_xclient_hosts": "0.0.0.0/0"}, "smtpd_authorized_xclient_hosts"),
    "PROXY protocol": ({"smtpd_upstream_proxy_protocol": "haproxy"}, "smtpd_upstream_proxy_protocol"),
    "AUTH before TLS": ({"smtpd_tls_auth_only": "no"}, "AUTH would be offered before TLS"),
    "no TLS": ({"smtpd_tls_security_level": "none"}, "offers no TLS"),
    "anonymous logins": ({"smtpd_sasl_security_options": ""}, "smtpd_sasl_security_options"),
    "anonymous logins in TLS": ({"smtpd_sasl_tls_security_options": "noplaintext"}, "smtpd_sasl_tls_security_options"),
    "any server": ({"smtp_tls_security_level": "may"}, "smtp_tls_security_level = may"),
    "any certificate": ({"smtp_tls_security_level": "encrypt"}, "smtp_tls_security_level = encrypt"),
    "no TLS out": ({"smtp_tls_security_level": ""}, "smtp_tls_security_level"),
    "a name from DNS": ({"smtp_tls_security_level": "verify", "relayhost": "office365.com"}, "name from DNS"),
    "a name from DNS at level secure": ({"smtp_tls_secure_cert_match": "hostname", "relayhost": "office365.com:587"}, "name from DNS"),
    "the pacer of another lane": ({"smtp_tls_policy_maps": "socketmap:unix:/run/m365-relay-pacer/socket:other"}, "smtp_tls_policy_maps"),
    "more than the pacer": ({"smtp_tls_policy_maps": "socketmap:unix:/run/m365-relay-pacer/socket:smtp,static:may"}, "smtp_tls_policy_maps"),
    "a TLS policy for some": ({"smtp_tls_policy_maps": "static:none"}, "smtp_tls_policy_maps"),
    "the old TLS policy": ({"smtp_tls_per_site": "static:none"}, "smtp_tls_per_site"),
    "mail returned while signed out": ({"smtp_sasl_auth_soft_bounce": "no"}, "smtp_sasl_auth_soft_bounce"),
    "sessions logged for a peer": ({"debug_peer_list": "127.0.0.1"}, "debug_peer_list"),
    "sessions logged by TLS in": ({"smtpd_tls_loglevel": "4"}, "smtpd_tls_loglevel"),
    "sessions logged by TLS out": ({"smtp_tls_loglevel": "4"}, "smtp_tls_loglevel"),
    "smuggling": ({"smtpd_forbid_bare_newline": "no"}, "smuggled"),
    "smuggling from trusted networks": ({"smtpd_forbid_bare_newline_exclusions": "$mynetworks"}, "smuggle"),
}

# name: (service, what the sentence must say)
UNSOUND_SERVICES = {
    "trusted networks skip AUTH on 587": (service("587", **LOGIN | {"smtpd_relay_restrictions": "permit_mynetworks,reject"}), "skip AUTH"),
    "trusted networks skip AUTH on 465": (service("[::1]:465", **LOGIN | {"smtpd_relay_restrictions": "permit_mynetworks,reject"}), "skip AUTH"),
    "trusted networks write to the postmaster on 587": (service("submission", **LOGIN | {"smtpd_data_restrictions": "permit_mynetworks,reject"}), "skip AUTH"),
    "one more port is open": (service("2525", smtpd_relay_restrictions="permit"), "2525/inet"),
    "one more port offers AUTH in clear": (service("2525", smtpd_tls_auth_only="no"), "2525/inet"),
    "one more port trusts everybody": (service("2525", mynetworks="0.0.0.0/0"), "2525/inet"),
    "one more transport trusts any server": (service("other", "smtp", "unix", smtp_tls_security_level="may"), "other/unix"),
    "one more transport is lmtp": (service("other", "lmtp", "unix", smtp_tls_security_level="may"), "other/unix"),
    "a server behind postscreen": (service("smtpd", "smtpd", "pass", smtpd_relay_restrictions="permit"), "smtpd/pass"),
    "a server that talks too much": (service("2525", "smtpd -v"), "-v"),
    "a client that talks too much": (service("other", "smtp -v -v", "unix"), "-v"),
    "a program with its path": (service("2525", "/usr/lib/postfix/sbin/smtpd", smtpd_relay_restrictions="permit"), "2525/inet"),
    "QMQP for everybody": (service("628", "qmqpd", qmqpd_authorized_clients="0.0.0.0/0"), "qmqpd_authorized_clients"),
}


@pytest.mark.parametrize("changes", SOUND_CHANGES.values(), ids=SOUND_CHANGES)
def test_a_sound_configuration_has_no_problem(changes):
    assert _open_relay.problems(SOUND | changes, SERVICES) == []


@pytest.mark.parametrize("changes, says", UNSOUND_CHANGES.values(), ids=UNSOUND_CHANGES)
def test_what_would_open_the_relay_is_named(changes, says):
    found = _open_relay.problems(SOUND | changes, SERVICES)
    assert len(found) == 1
    assert says in found[0]


def test_the_one_tls_policy_that_is_accepted_is_the_pacer_asked_by_the_name_of_the_service():
    lane = service("m365-scans", "smtp", "unix", smtp_tls_policy_maps="socketmap:unix:/run/m365-relay-pacer/socket:m365-scans")
    assert _open_relay.problems(SOUND, [*SERVICES, lane]) == []


@pytest.mark.parametrize("unsound, says", UNSOUND_SERVICES.values(), ids=UNSOUND_SERVICES)
def test_every_service_is_judged_by_its_own_options(unsound, says):
    found = _open_relay.problems(SOUND, [*SERVICES, unsound])
    assert len(found) == 1
    assert says in found[0]


def test_a_problem_of_several_services_is_said_once():
    found = _open_relay.problems(SOUND | {"smtpd_tls_auth_only": "no"}, SERVICES)
    assert len(found) == 1
    assert found[0].endswith("(service smtp/inet, submission/inet, submissions/inet)")


def test_networks_in_files_are_judged(tmp_path):
    inner = tmp_path / "inner"
    inner.write_text("# the site\n192.0.2.0/24\n  128.0.0.0/1\n")
    outer = tmp_path / "outer"
    outer.write_text(f"10.0.0.0/8 {inner}\n")
    assert "public IPv4" in _open_relay.problems(SOUND | {"mynetworks": str(outer)}, SERVICES)[0]
    inner.write_text("# 128.0.0.0/1\n192.0.2.0/24\n")
    assert _open_relay.problems(SOUND | {"mynetworks": str(outer)}, SERVICES) == []


def test_a_file_that_names_itself_ends(tmp_path):
    loop = tmp_path / "loop"
    loop.write_text(f"{loop}\n")
    assert "too deep" in _open_relay.problems(SOUND | {"mynetworks": str(loop)}, SERVICES)[0]


@pytest.mark.parametrize("table, says", {
    "192.0.2.0/24 OK\n2001:db8::/48 OK\n": None,
    "# 0.0.0.0/0 OK\n192.0.2.0/24 OK\n": None,
    "192.0.2.0/24 OK\n0.0.0.0/0 whatever\n": "public IPv4",
    "::/0 x\n": "public IPv6",
    "if 0.0.0.0/0\n": "cannot be judged",
    "!192.0.2.0/24 OK\n": "cannot be judged",
}.items())
def test_networks_in_cidr_tables_are_judged(tmp_path, table, says):
    path = tmp_path / "trusted"
    path.write_text(table)
    found = _open_relay.problems(SOUND | {"mynetworks": f"cidr:{path}"}, SERVICES)
    assert (found == []) if says is None else (says in found[0])


@pytest.mark.parametrize("dump, says", {
    b"192.0.2.7\tOK\n192.0.2.8\tOK\n": None,
    b"0.0.0.0/0\tOK\n": "public IPv4",
    b"example.com\tOK\n": "example.com",
}.items())
def test_networks_in_indexed_tables_are_judged(monkeypatch, dump, says):
    def run(argv, check=True):
        assert argv == ["postmap", "-s", "hash:/etc/postfix/trusted"]
        return subprocess.CompletedProcess(argv, 0, dump, b"")

    monkeypatch.setattr(_open_relay, "run", run)
    found = _open_relay.problems(SOUND | {"mynetworks": "proxy:hash:/etc/postfix/trusted"}, SERVICES)
    assert (found == []) if says is None else (says in found[0])


def test_the_effective_configuration_is_read(monkeypatch):
    answers = {
        "-x": b"mynetworks = 127.0.0.0/8 192.0.2.0/24\nrelay_domains =\nsmtpd_banner = a = b\n",
        "-Px": b"submission/inet/smtpd_tls_security_level = encrypt\nsubmission/inet/smtpd_data_restrictions = permit_sasl_authenticated,reject\n",
        "-M": b"smtp       inet  n       -       n       -       -       smtpd -v\n"
              b"submission inet  n       -       n       -       -       smtpd\n    -o smtpd_tls_security_level=encrypt\n",
    }

    def run(argv):
        assert argv[:3] == ["postconf", "-c", "/somewhere"]
        return subprocess.CompletedProcess(argv, 0, answers[argv[3]], b"")

    monkeypatch.setattr(_open_relay, "run", run)
    parameters, services = _open_relay.read("/somewhere")
    assert parameters == {"mynetworks": "127.0.0.0/8 192.0.2.0/24", "relay_domains": "", "smtpd_banner": "a = b"}
    assert services == [
        {"name": "smtp", "type": "inet", "command": "smtpd -v", "options": {}},
        {"name": "submission", "type": "inet", "command": "smtpd",
         "options": {"smtpd_tls_security_level": "encrypt", "smtpd_data_restrictions": "permit_sasl_authenticated,reject"}},
    ]
