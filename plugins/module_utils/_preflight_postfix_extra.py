# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of postfix_extra_parameters and postfix_extra_services (private to the collection, used on the controller).

Whatever else Postfix can do may be added, but nothing that a variable of the role already says, and nothing that would break
a promise: no open relay, no password or token in clear text or in a log, tokens only to Microsoft, no mail lost.
Values are not shown: some parameters hold secrets.
"""

from __future__ import annotations

import re

from ._networks import check_network
from ._preflight import CONTROL, Wrong, before, each, keys, list_of, passes, shown

EXAMPLE = "{smtpd_banner: $myhostname ESMTP}"
PARAMETER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

# Parameters that a variable of a role sets: pattern -> what to write instead.
VARIABLES = {
    r"myhostname": "postfix_hostname",
    r"mydomain|myorigin": "postfix_domain",
    r"mynetworks": "postfix_trusted_networks",
    r"inet_protocols": "postfix_inet_protocols",
    r"relayhost": "postfix_relayhost",
    r"smtpd_tls_(chain_files|(ec|d)?c?cert_file)": "postfix_tls_certificate",
    r"smtpd_tls_(ec|d)?c?key_file": "postfix_tls_key",
    r"smtpd_sasl_local_domain": "postfix_sasl_realm",
    r"(sender_|smtp_)?(canonical|generic)_(maps|classes)|local_header_rewrite_clients": "postfix_sender_address",
    r"(non_)?smtpd_milters|internal_mail_filter_classes": "postfix_milters",
    r"milter_default_action": "postfix_milter_default_action",
    r"message_size_limit": "postfix_message_size_limit",
    r"smtpd_client_connection_count_limit": "postfix_client_connection_count_limit",
    r"smtpd_client_connection_rate_limit": "postfix_client_connection_rate_limit",
    r"smtpd_client_message_rate_limit": "postfix_client_message_rate_limit",
    r"smtpd_client_auth_rate_limit": "postfix_client_auth_rate_limit",
    r"(smtp|default|m365-.*)_destination_concurrency_limit": "postfix_connections",
    r"(smtp|default|m365-.*)_(destination|transport)_rate_delay": "postfix_messages_per_minute",
    r"(maximal|bounce)_queue_lifetime": "postfix_queue_lifetime",
    r"delay_warning_time": "postfix_delay_warning",
}

# Parameters that only the role sets: pattern -> why. IN_MAIN is about main.cf alone, NEVER about a service's own options too.
IN_MAIN = {
    r"smtpd_(relay|recipient|data)_restrictions|smtpd_restriction_classes":
        "decides who may relay, and could open the relay (trusted clients belong in postfix_trusted_networks or sasldb_users)",
    r"smtpd_tls_wrappermode|smtpd_sasl_auth_enable": "differs from port to port, and the role sets it for each",
}
NEVER = {
    r"mynetworks_style|smtpd_authorized_xclient_hosts|(smtpd|postscreen)_upstream_proxy_(protocol|timeout)|qmqpd_authorized_clients"
    r"|permit_mx_backup_networks":
        "could let strangers pass as trusted clients, and open the relay",
    r"mydestination|relay_(domains|transport|recipient_maps)|virtual_(alias|mailbox)_domains|virtual_(mailbox_maps|transport)|allow_untrusted_routing"
    r"|smtpd_relay_before_recipient_restrictions":
        "would take mail of strangers for more destinations, and could open the relay",
    r"smtpd_(use|enforce)_tls|smtpd_sasl_(type|path|service|exceptions_networks)|cyrus_sasl_config_path|tls_[a-z]+_cipherlist":
        "decides how passwords are checked and encrypted on the way",
    r"smtp_sasl_.*|smtp_(use|enforce)_tls|smtp_tls_(policy_maps|per_site|enforce_peername|CAfile|CApath|(secure|verify)_cert_match)"
    r"|smtp_tls_(trust_anchor_file|wrappermode)|smtp_tls_(fingerprint|dane)_.*|smtp_tls_(mandatory_)?protocols|tls_append_default_CA":
        "decides who gets the token (the variables xoauth2_* say that; a private CA belongs in the host's own store, see update-ca-certificates)",
    r"(lmtp_|smtp_)?fallback_relay|default_transport|local_transport|fallback_transport(_maps)?|sender_dependent_.*":
        "would send mail another way than through Microsoft 365 (transport_maps is accepted for domains of your own)",
    r"(non_)?smtpd_milters|smtpd_milter_maps|milter_default_action|internal_mail_filter_classes|receive_override_options":
        "could let mail pass whose sender nobody has checked",
    r"(smtp|lmtp|default)_delivery_status_filter": "could return mail that only has to wait",
    r"milter_header_checks|smtp_header_checks": "tells by which mailbox a message leaves",
    r"debug_peer_(list|level)": "would write passwords and tokens to the log",
    r"(config|command|daemon|data|queue|meta|shlib|manpage|html|readme|sample|process_id)_directory|(sendmail|mailq|newaliases|openssl)_path"
    r"|mail_(owner|version)|setgid_group|default_privs|compatibility_level|multi_instance_.*|alternate_config_directories|default_(database|cache_db)_type"
    r"|(im|ex)port_environment":
        "belongs to Debian's package, and the role relies on it",
}

# Parameters of which only some values keep the promises: pattern -> accepted values as a pattern, why, what to write.
CLEAR_TEXT = "passwords would cross the network in clear text"
SMUGGLING = "forged messages could be smuggled in"
FOR_EVER = "strangers would be told to try again for ever"
VALUES = {
    r"smtpd_tls_security_level": (r"may|encrypt", "without TLS there is no AUTH", "may"),
    r"smtpd_tls_auth_only": (r"yes", CLEAR_TEXT, "yes"),
    r"smtpd_tls_(mandatory_)?protocols": (r">=TLSv1(\.[0-3])?", CLEAR_TEXT, ">=TLSv1.2"),
    r"smtpd?_tls_(mandatory_)?ciphers": (r"medium|high", CLEAR_TEXT, "medium"),
    r"smtpd_sasl_(tls_)?security_options": (r"(.*[\s,])?noanonymous([\s,].*)?", "anonymous sign-in would open the relay", "noanonymous"),
    r"smtpd_sasl_mechanism_filter": (r"(plain|login|[\s,])+", "the accounts work with PLAIN and LOGIN only", "plain, login"),
    r"smtp_tls_security_level": (r"secure|verify", "the token would go to a host whose certificate nobody checked", "secure"),
    r"smtpd?_tls_loglevel": (r"[012]", "passwords and tokens would be written to the log", "1"),
    r"notify_classes": (r"(2?bounce|data|delay|resource|software|[\s,])*", "transcripts sent by mail would hold passwords", "resource, software"),
    r"soft_bounce": (r"no", FOR_EVER, "no"),
    r"((relay_domains|access_map|maps_rbl)_)?reject_code": (r"5[0-9][0-9]", FOR_EVER, "554"),
    r"allow_percent_hack|swap_bangpath": (r"no", "a forged address could pass the relay", "no"),
    r"disable_vrfy_command": (r"yes", "strangers could ask which addresses exist", "yes"),
    r"smtpd_etrn_restrictions": (r"reject", "strangers could start deliveries", "reject"),
    r"smtpd_helo_required": (r"yes", "programs that are no mail clients would get in", "yes"),
    r"smtpd_forbid_bare_newline": (r"normalize|reject", SMUGGLING, "normalize"),
    r"smtpd_forbid_bare_newline_exclusions": (r"", SMUGGLING, ""),
    r"smtpd_forbid_unauth_pipelining": (r"yes", SMUGGLING, "yes"),
    r"enable_long_queue_ids": (r"yes", "a message could not be followed by its queue id, which would be used again", "yes"),
}

# Restrictions that keep strangers out up to the refusal of all others.
MAY_RELAY = re.compile(r"permit_sasl_authenticated|permit_mynetworks|(reject|defer)_[a-z_]+")
END_OF_LIST = ("reject", "reject_unauth_destination")

TYPES = ("inet", "unix", "fifo", "unix-dgram", "pass")
YES_OR_NO = (r"[yn-]", "'y' or 'n' in quotes")
FIELDS = {
    "private": YES_OR_NO,
    "unprivileged": YES_OR_NO,
    "chroot": YES_OR_NO,
    "wakeup": (r"-|[0-9]{1,6}\??", "seconds, with ? behind them if wanted"),
    "maxproc": (r"-|[0-9]{1,5}", "a number, 0 for no limit"),
}
# The ports and named services of the role's own master.cf, whatever they are called.
SERVICE_PORTS = {"smtp": 25, "submission": 587, "submissions": 465, "smtps": 465, "urd": 465, "ssmtp": 465, "25": 25, "587": 587, "465": 465}
ROLE_SERVICES = {
    "pickup", "cleanup", "qmgr", "tlsmgr", "rewrite", "bounce", "defer", "trace", "verify", "flush", "proxymap", "proxywrite", "smtp", "relay", "showq",
    "error", "retry", "discard", "local", "virtual", "lmtp", "anvil", "scache", "postlog", "tlsproxy",
}
SERVICE_EXAMPLE = "{name: '2525', type: inet, chroot: 'n', command: smtpd}"
PORT_NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]:|[A-Za-z0-9.-]+:)?([0-9]{1,5}|[a-z][a-z0-9-]*)")
SOCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
COMMAND = re.compile(r"[a-z][a-z0-9-]*")
MAIL_PROGRAMS = ("smtp", "smtpd", "lmtp", "tlsproxy", "cleanup", "postscreen")


def check_extra_parameters(value):
    """Parameters for main.cf."""
    if not isinstance(value, dict):
        raise Wrong(f"must be a dictionary and is {'text' if isinstance(value, str) else shown(value)}. Write names and values, for example {EXAMPLE}.")
    each(value.items(), lambda pair: check_parameter(*pair))


def check_parameter(name, value):
    """One parameter of main.cf."""
    check_syntax(name, value)
    for pattern, variable in VARIABLES.items():
        if re.fullmatch(pattern, name):
            raise Wrong(f"{name} is what {variable} says. Write it there, for example {variable}: ...")
    refuse(IN_MAIN, name)
    check_promises(name, value)


def check_syntax(name, value):
    """A name and a value that stay one line of main.cf."""
    if not isinstance(name, str) or not PARAMETER.fullmatch(name):
        raise Wrong(f"{shown(name)} is not the name of a parameter. Write letters, digits and underscores, for example {EXAMPLE}.")
    if value is None:
        raise Wrong(f"{name} has no value. Write {name}: '' for an empty one, or leave it out.")
    if not isinstance(value, (str, int)):
        raise Wrong(f"{name} must be text or a whole number and is {shown(value)}. Write one line as it stands in main.cf, for example {EXAMPLE}.")
    if CONTROL.search(str(value)):
        raise Wrong(f"{name} has a value with a line break or a control character. Write everything on one line, for example {EXAMPLE}.")
    if "$(" in str(value) or "`" in str(value):
        raise Wrong(f"{name} has a value with $( or a backquote, as a shell has them. Write parameters as $name or ${{name}}, for example {EXAMPLE}.")


def refuse(patterns, name):
    """Refuse the names that match a pattern, for its reason."""
    for pattern, why in patterns.items():
        if re.fullmatch(pattern, name):
            raise Wrong(f"{name} {why}. Leave it out.")


def check_promises(name, value):
    """One parameter, wherever it stands: nothing that breaks a promise."""
    refuse(NEVER, name)
    for pattern, (accepted, why, instead) in VALUES.items():
        if re.fullmatch(pattern, name) and not re.fullmatch(accepted, as_postfix(value)):
            raise Wrong(f"{name} has a value that breaks a promise: {why}. Write {name}: '{instead}', or leave it out.")


def as_postfix(value):
    """Return the value as it is written to a file."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value).strip()


def check_extra_services(value):
    """Services for master.cf."""
    list_of(value, "a list of services", f"[{SERVICE_EXAMPLE}]")
    each(enumerate(value, start=1), lambda numbered: before(f"service {numbered[0]}:", check_service, numbered[1]))
    names = [(service["name"], service.get("type", "unix")) for service in value]
    twice = sorted({name for name, kind in names if names.count((name, kind)) > 1})
    if twice:
        raise Wrong(f"the service {', '.join(twice)} stands there twice. Write every service once, for example [{SERVICE_EXAMPLE}].")


def check_service(service):
    """One service."""
    if not isinstance(service, dict):
        raise Wrong(f"it is not a dictionary. Write for example {SERVICE_EXAMPLE}.")
    before("it", keys, service, ("name", "command"), ("type", "private", "unprivileged", "chroot", "wakeup", "maxproc", "options"))
    kind = service.get("type", "unix")
    if kind not in TYPES:
        raise Wrong(f"the type {shown(kind)} is not known. Write one of {', '.join(TYPES)}, for example type: inet.")
    check_service_name(service["name"], kind)
    for key, (pattern, what) in FIELDS.items():
        field = service.get(key, "-")
        if isinstance(field, bool) or not re.fullmatch(pattern, str(field)):
            raise Wrong(f"{key} is {shown(field)}. Write {what}, or '-' for Postfix's default, for example {key}: '-'.")
    if kind == "inet" and service.get("private") == "y":
        raise Wrong("private is 'y', but a port cannot be private. Leave it out, or write a type other than inet, for example type: unix.")
    check_command(service["command"], service.get("chroot"))
    options = service.get("options", {})
    if not isinstance(options, dict):
        raise Wrong("options must be a dictionary. Write names and values as in main.cf, for example options: {syslog_name: postfix/2525}.")
    # A client that never signs in has no token to lose: that is how mail goes to a host of one's own.
    tokenless = service["command"] == "smtp" and as_postfix(options.get("smtp_sasl_auth_enable", "yes")) == "no"
    judged = {name: value for name, value in options.items() if not (tokenless and re.match("smtp_(tls|sasl)_", str(name)))}
    each(options.items(), lambda pair: before("option", check_syntax, *pair))
    each(judged.items(), lambda pair: before("option", check_option, *pair))


def check_service_name(name, kind):
    """A name or port that the role does not use itself."""
    if isinstance(name, int) and not isinstance(name, bool):
        raise Wrong(f"the name {name} is a number. Write it in quotes, for example name: '2525'.")
    pattern = PORT_NAME if kind == "inet" else SOCKET_NAME
    if not isinstance(name, str) or not pattern.fullmatch(name) or ".." in name:
        wanted = "a port or host:port" if kind == "inet" else "a plain name"
        raise Wrong(f"the name {shown(name)} is not {wanted}. Write for example {SERVICE_EXAMPLE}.")
    if kind != "inet":
        if name in ROLE_SERVICES or name.startswith("m365-"):
            raise Wrong(f"the name {shown(name)} is a service that the role has itself. Write another name, for example name: scan-filter.")
        return
    port = name.rpartition(":")[2]
    number = SERVICE_PORTS.get(port) or (int(port) if port.isdigit() else None)
    if number in SERVICE_PORTS.values():
        raise Wrong(f"the name {shown(name)} is port {number}, which the role has itself. Write it in postfix_ports, or another port, for example '2525'.")
    if number is not None and not 1 <= number <= 65535:
        raise Wrong(f"the name {shown(name)} is not a port. Write a number from 1 to 65535, for example name: '2525'.")


def check_command(command, chroot):
    """A program of Postfix's and its arguments, which log nothing they should not."""
    example = "command: smtpd"
    if not isinstance(command, str) or not command.strip():
        raise Wrong(f"the command is {shown(command) if command else 'empty'}. Write a program of Postfix's, for example {example}.")
    if CONTROL.search(command):
        raise Wrong(f"the command holds a line break or a control character. Write it on one line, for example {example}.")
    program, *arguments = command.split()
    if not COMMAND.fullmatch(program):
        raise Wrong(f"the command {shown(program)} is not a program in Postfix's own directory. Write its name without a path, for example {example}.")
    if program in MAIL_PROGRAMS and arguments:
        raise Wrong(f"the command {program} has arguments. Write '-o name=value' in options; -v and -D would write passwords and tokens to the log.")
    if program in MAIL_PROGRAMS and chroot == "y":
        raise Wrong(f"chroot is 'y' for {program}, which could not find accounts, tokens and certificates there. Write chroot: 'n'.")


def check_option(name, value):
    """One option of a service: what main.cf may have, and restrictions that keep strangers out."""
    if name in ("smtpd_relay_restrictions", "smtpd_recipient_restrictions", "smtpd_data_restrictions") and not keeps_strangers_out(str(value), name):
        raise Wrong(f"{name} would open the relay. Write only permit_mynetworks, permit_sasl_authenticated and reject_..., with reject at the end.")
    if name == "mynetworks" and not all(passes(check_network, re.sub(r"[\[\]]", "", word)) for word in words_of(value)):
        raise Wrong(f"{name} holds something that is not a network of your own. Write networks as in postfix_trusted_networks, for example 127.0.0.0/8.")
    if name == "smtpd_restriction_classes":
        refuse(IN_MAIN, name)
    check_promises(name, value)


def words_of(value):
    """Return the words of a list as Postfix has them."""
    return [word for word in re.split(r"[\s,]+", str(value)) if word]


def keeps_strangers_out(value, name):
    """Tell whether a list of restrictions refuses everybody who is neither trusted nor signed in."""
    words = words_of(value)
    if name == "smtpd_recipient_restrictions":    # the relay restrictions are asked as well
        return all(word == "reject" or MAY_RELAY.fullmatch(word) for word in words)
    for word in words:
        if word in END_OF_LIST:
            return True
        if not MAY_RELAY.fullmatch(word):
            return False
    return False
