# SPDX-License-Identifier: GPL-3.0-or-later
"""What people rightly write gives no problem."""

from __future__ import annotations

import pytest
from ansible_collections.simple_m365.relay.plugins.module_utils import _preflight_postfix, _preflight_sasldb, _preflight_xoauth2

ROLES = {"postfix": _preflight_postfix, "sasldb": _preflight_sasldb, "xoauth2": _preflight_xoauth2}

SMALLEST = {
    "postfix_hostname": "relay.corp.test",
    "postfix_domain": "corp.test",
    "postfix_trusted_networks": ["10.0.0.0/8"],
    "xoauth2_mailbox": "scans@corp.test",
    "xoauth2_tenant_id": "11111111-2222-4333-8444-555555555555",
    "xoauth2_client_id": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
}
DEFAULTS = {
    "postfix_ports": [25, 587, 465],
    "postfix_inet_protocols": "all",
    "postfix_relayhost": "[smtp.office365.com]:587",
    "postfix_tls_certificate": "/etc/ssl/certs/ssl-cert-snakeoil.pem",
    "postfix_tls_key": "/etc/ssl/private/ssl-cert-snakeoil.key",
    "postfix_sasl_realm": "corp.test",
    "postfix_sender_address": "scans@corp.test",
    "postfix_postmaster": "scans@corp.test",
    "postfix_delay_warning": "4h",
    "postfix_message_size_limit": 36700160,
    "postfix_client_connection_count_limit": 50,
    "postfix_client_connection_rate_limit": 1200,
    "postfix_client_message_rate_limit": 1200,
    "postfix_client_auth_rate_limit": 120,
    "postfix_connections": 1,
    "postfix_messages_per_minute": 30,
    "postfix_recipients_per_day": 10000,
    "postfix_mailbox_limits": {},
    "postfix_queue_lifetime": "5d",
    "postfix_extra_parameters": {},
    "postfix_extra_services": [],
    "sasldb_users": [],
    "sasldb_realm": "corp.test",
    "sasldb_exclusive": False,
    "xoauth2_sign_in_as": "scans@corp.test",
    "xoauth2_identities": [
        {
            "mailbox": "scans@corp.test", "tenant_id": "11111111-2222-4333-8444-555555555555",
            "client_id": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "sign_in_as": "scans@corp.test",
        }
    ],
    "xoauth2_sign_in": "auto",
    "xoauth2_login_host": "login.microsoftonline.com",
    "xoauth2_smtp_host": "smtp.office365.com",
    "xoauth2_smtp_port": 587,
    "xoauth2_scope": "https://outlook.office.com/SMTP.Send",
    "xoauth2_audiences": ["https://outlook.office.com", "https://outlook.office365.com"],
    "xoauth2_refresh_window": 300,
    "xoauth2_plugin_source": "debian",
    "xoauth2_plugin_deb": "",
    "xoauth2_plugin_deb_checksum": "",
    "xoauth2_plugin_suite": "experimental",
}
CHECKSUM = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def service(**fields):
    """One extra service on port 2525, changed by `fields`."""
    return [{"name": "2525", "type": "inet", "command": "smtpd", **fields}]


GOOD = {
    "the smallest inventory": {},
    "a host name in capital letters": {"postfix_hostname": "RELAY.Corp.Test"},
    "a host name in punycode": {"postfix_hostname": "relais.xn--bro-hoa.test"},
    "a host name with digits and hyphens": {"postfix_hostname": "3-relay-1.corp.test"},
    "one port": {"postfix_ports": [587]},
    "only IPv6": {"postfix_inet_protocols": "ipv6"},
    "a certificate of one's own": {"postfix_tls_certificate": "/etc/letsencrypt/live/relay.corp.test/fullchain.pem", "postfix_tls_key": "/etc/ssl/relay.key"},
    "a realm that is no domain": {"postfix_sasl_realm": "local", "sasldb_realm": "local"},
    "senders that stay as they are": {"postfix_sender_address": ""},
    "a postmaster, and nobody warned": {"postfix_postmaster": "it@corp.test", "postfix_delay_warning": "0s"},
    "no postmaster": {"postfix_postmaster": ""},
    "a mailbox with signs": {"postfix_sender_address": "o'brien.scan+1_a@corp.test"},
    "numbers as text, as surveys give them": {"postfix_message_size_limit": "36700160", "xoauth2_smtp_port": "587"},
    "limits switched off": {"postfix_client_auth_rate_limit": 0, "postfix_client_message_rate_limit": 0},
    "no limit and a week in the queue": {"postfix_messages_per_minute": 0, "postfix_recipients_per_day": 0, "postfix_queue_lifetime": "1w"},
    "harmless parameters": {
        "postfix_extra_parameters": {
            "smtpd_banner": "$myhostname ESMTP", "header_checks": "regexp:/etc/postfix/header_checks", "virtual_alias_maps": "hash:/etc/our-aliases",
            "smtpd_client_restrictions": "reject_unknown_client_hostname", "transport_maps": "inline:{corp.test=smtp:[mail.corp.test]}",
            "maximal_backoff_time": "5m", "biff": False, "hopcount_limit": 30, "always_bcc": "", "2bounce_notice_recipient": "postmaster@corp.test",
        }
    },
    "parameters that keep a promise": {
        "postfix_extra_parameters": {
            "smtpd_tls_security_level": "encrypt", "smtp_tls_security_level": "verify", "smtpd_tls_auth_only": True, "smtpd_tls_protocols": ">=TLSv1",
            "smtpd_sasl_security_options": "noanonymous, nodictionary", "smtp_tls_loglevel": 2, "notify_classes": "resource, software", "soft_bounce": False,
        }
    },
    "a service that inherits everything": {"postfix_extra_services": service()},
    "a service with all its fields": {
        "postfix_extra_services": service(private="n", unprivileged="-", chroot="n", wakeup="60?", maxproc=10, options={"syslog_name": "postfix/2525"})
    },
    "a service that asks for AUTH": {
        "postfix_extra_services": service(options={"smtpd_relay_restrictions": "permit_sasl_authenticated, reject", "smtpd_tls_security_level": "encrypt"})
    },
    "a service with TLS from the start": {"postfix_extra_services": service(name="192.0.2.1:4650", options={"smtpd_tls_wrappermode": True})},
    "a service for a content filter": {
        "postfix_extra_services": service(
            name="127.0.0.1:10026",
            options={"mynetworks": "127.0.0.0/8 [::1]/128", "smtpd_relay_restrictions": "permit_mynetworks,reject", "smtpd_recipient_restrictions": ""},
        )
    },
    "a service that pipes": {"postfix_extra_services": [{"name": "filter", "command": "pipe flags=Rq user=filter argv=/usr/local/bin/filter -f ${sender}"}]},
    "a way to a host of one's own, without token": {
        "postfix_extra_services": [{"name": "inside", "command": "smtp", "options": {"smtp_sasl_auth_enable": False, "smtp_tls_security_level": "may"}}]
    },
    "the same name for two types": {"postfix_extra_services": [*service(name="scan"), {"name": "scan", "command": "smtp"}]},
    "accounts": {"sasldb_users": [{"name": "scanner", "password": "p w:@\"'ä"}, {"name": "a@b.test", "password": "x"}, {"name": "old", "state": "absent"}]},
    "an account with a realm": {"sasldb_users": [{"name": "scanner", "realm": "local", "password": "x", "state": "present"}]},
    "an account with an empty realm": {"sasldb_users": [{"name": "scanner", "realm": "", "password": "x"}]},
    "an absent account with its old password": {"sasldb_users": [{"name": "scanner", "password": "x", "state": "absent"}]},
    "the same name in two realms": {"sasldb_users": [{"name": "a", "password": "x"}, {"name": "a@other.test", "password": "x"}]},
    "exclusive accounts": {"sasldb_exclusive": True, "sasldb_users": [{"name": "a", "password": "x"}]},
    "a truth value as text": {"sasldb_exclusive": "true", "sasldb_users": [{"name": "a", "password": "x"}]},
    "another person signs in": {
        "xoauth2_sign_in_as": "admin@corp.test", "xoauth2_identities": [{**DEFAULTS["xoauth2_identities"][0], "sign_in_as": "admin@corp.test"}],
    },
    "an identity instead of the single values": {"xoauth2_mailbox": None, "xoauth2_tenant_id": None, "xoauth2_client_id": None, "xoauth2_sign_in_as": None},
    "ids in capital letters": {"xoauth2_client_id": "AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE", "xoauth2_identities": None},
    "the cloud of the US government": {
        "xoauth2_login_host": "login.microsoftonline.us", "xoauth2_smtp_host": "smtp.office365.us", "xoauth2_scope": "https://outlook.office365.us/SMTP.Send",
        "xoauth2_audiences": ["https://outlook.office365.us"], "postfix_relayhost": "[smtp.office365.us]:587",
    },
    "hosts of a cloud that is not known yet": {
        "xoauth2_login_host": "login.sovcloud-identity.fr", "xoauth2_smtp_host": "smtp.sovcloud.fr", "postfix_relayhost": "[smtp.sovcloud.fr]:587",
    },
    "an audience by its id": {"xoauth2_audiences": ["https://outlook.office.com", "00000002-0000-0ff1-ce00-000000000000"]},
    "a package from a URL": {
        "xoauth2_plugin_source": "deb", "xoauth2_plugin_deb": "https://packages.corp.test:8443/sasl-xoauth2.deb", "xoauth2_plugin_deb_checksum": CHECKSUM,
    },
    "variables of somebody else's role": {"postfix_install": ["postfix"], "monitoring_port": 1},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_good_inputs_give_no_problem(changes):
    settings = {**SMALLEST, **DEFAULTS, **changes}
    assert [problem for role in ROLES.values() for problem in role.problems(settings)] == []


def test_the_smallest_inventory_needs_no_default():
    assert [problem for role in ROLES.values() for problem in role.problems(SMALLEST)] == []


def test_a_package_that_is_there_is_accepted(tmp_path):
    package = tmp_path / "sasl-xoauth2.deb"
    package.write_bytes(b"!<arch>\n")
    settings = {**SMALLEST, **DEFAULTS, "xoauth2_plugin_source": "deb", "xoauth2_plugin_deb": str(package)}
    assert _preflight_xoauth2.problems(settings) == []


def test_without_any_variable_the_required_ones_are_asked_for():
    asked = [problem.split(":")[0] for role in ROLES.values() for problem in role.problems({})]
    assert asked == ["postfix_hostname", "postfix_domain", "xoauth2_mailbox", "xoauth2_tenant_id", "xoauth2_client_id"]


def test_a_missing_mailbox_is_told_once_though_other_defaults_are_made_from_it():
    empty = {"mailbox": "", "tenant_id": SMALLEST["xoauth2_tenant_id"], "client_id": SMALLEST["xoauth2_client_id"], "sign_in_as": ""}
    settings = {**SMALLEST, **DEFAULTS, "xoauth2_mailbox": "", "xoauth2_sign_in_as": "", "xoauth2_identities": [empty]}
    assert len(_preflight_xoauth2.problems(settings)) == 1


MADE_FROM = {
    "a bad domain, of the realm of role postfix": (_preflight_postfix, {"postfix_domain": "a b", "postfix_sasl_realm": "a b"}, ["postfix_domain"]),
    "a bad domain, of the realm of role sasldb": (_preflight_sasldb, {"postfix_domain": "a b", "sasldb_realm": "a b"}, ["postfix_domain"]),
    "no domain, of the realm of role sasldb": (_preflight_sasldb, {"postfix_domain": None, "sasldb_realm": ""}, ["postfix_domain"]),
    "a bad realm of the accounts, of the realm of role postfix": (_preflight_postfix, {"sasldb_realm": "a b", "postfix_sasl_realm": "a b"}, ["sasldb_realm"]),
    "a realm of its own": (_preflight_sasldb, {"sasldb_realm": "a b"}, ["sasldb_realm"]),
    "a bad mailbox, of the sender": (_preflight_postfix, {"xoauth2_mailbox": "x", "postfix_sender_address": "x"}, ["xoauth2_mailbox"]),
    "a sender of its own": (_preflight_postfix, {"postfix_sender_address": "x"}, ["postfix_sender_address"]),
    "a bad mailbox, of the person": (_preflight_xoauth2, {"xoauth2_mailbox": "x", "xoauth2_sign_in_as": "x", "xoauth2_identities": None}, ["xoauth2_mailbox"]),
}


@pytest.mark.parametrize(("role", "changes", "named"), MADE_FROM.values(), ids=MADE_FROM)
def test_a_mistake_is_told_of_the_variable_where_it_was_made(role, changes, named):
    assert [problem.split(":")[0] for problem in role.problems({**SMALLEST, **DEFAULTS, **changes})] == named


@pytest.mark.parametrize(("password", "accepted"), [("x" * 1024, True), ("x" * 1025, False), ("ä" * 512, True), ("ä" * 513, False)])
def test_a_password_has_at_most_1024_bytes(password, accepted):
    said = _preflight_sasldb.problems({"sasldb_users": [{"name": "scanner", "password": password}], "sasldb_realm": "corp.test"})
    assert [problem.split(". ")[0] for problem in said] == ([] if accepted else ["sasldb_users: account 1 ('scanner'): the password is longer than 1024 bytes"])


def test_ten_thousand_accounts_can_be_good():
    users = [{"name": f"user{number}", "password": f"password {number}"} for number in range(10_000)]
    assert _preflight_sasldb.problems({"sasldb_users": users, "sasldb_realm": "corp.test"}) == []


def test_ten_thousand_wrong_accounts_do_not_fill_the_screen():
    said = _preflight_sasldb.problems({"sasldb_users": [{"name": "same", "password": ""}] * 10_000, "sasldb_realm": "corp.test"})
    assert len(said) == 21
    assert said[10] == "sasldb_users: 9990 more problems of the same kind are not shown."
