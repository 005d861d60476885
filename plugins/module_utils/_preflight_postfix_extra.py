# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of postfix_extra_parameters and postfix_extra_services (private to the collection, used on the controller).

Whatever else Postfix can do may be added, but nothing that a variable of the role already says, and nothing that would break
a promise: no open relay, no password or token in clear text or in a log, tokens only to Microsoft, no mail lost.
Values are not shown: some parameters hold secrets.
"""

from __future__ import annotations

import re

from ._networks import check_network
from ._preflight import CONTROL, Wrong, before, each, keys, passes, shown

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
    r"message_size_limit": "postfix_message_size_limit",
    r"smtpd_client_connection_count_limit": "postfix_client_connection_count_limit",
    r"smtpd_client_connection_rate_limit": "postfix_client_connection_rate_limit",
    r"smtpd_client_message_rate_limit": "postfix_client_message_rate_limit",
    r"smtpd_client_auth_rate_limit": "postfix_client_auth_rate_limit",
    r"(smtp|default)_destination_concurrency_limit": "postfix_destination_concurrency",
    r"(smtp|default)_destination_rate_delay": "postfix_destination_rate_delay",
    r"(maximal|bounce)_queue_lifetime": "postfix_queue_lifetime",
}

# Parameters that only the role sets, in main.cf and for a service: pattern -> why.
NEVER = {
    r"mynetworks_style|smtpd_authorized_xclient_hosts|(smtpd|postscreen)_upstream_proxy_(protocol|timeout)|qmqpd_authorized_clients|permit_mx_backup_networks":
        "could let strangers pass as trusted clients and open the relay",
    r"mydestination|relay_domains|relay_transport|relay_recipient_maps|virtual_(alias|mailbox)_(domains|maps)|virtual_transport|allow_untrusted_routing":
        "would take mail of strangers for more destinations and could open the relay",
    r"smtpd_relay_before_recipient_restrictions|smtpd_reject_unlisted_recipient|smtpd_delay_reject": "would change in which order strangers are refused, and could open the relay",
    r"smtpd_(use_tls|enforce_tls|tls_wrappermode)|smtpd_sasl_(auth_enable|type|path|service)|cyrus_sasl_config_path|smtpd_sasl_exceptions_networks":
        "decides where passwords are asked for and after which encryption; the role does that for every port",
    r"smtp_sasl_.*|smtp_tls_(policy_maps|per_site|CAfile|CApath|(secure|verify)_cert_match|wrappermode|trust_anchor_file|fingerprint_.*|dane_.*)|smtp_(use|enforce)_tls|smtp_enforce_.*":
        "decides who gets the token; the variables xoauth2_* say that, and a private CA belongs in the host's own store (update-ca-certificates)",
    r"(lmtp|smtp)_fallback_relay|fallback_relay|default_transport|local_transport|sender_dependent_.*|fallback_transport(_maps)?|smtp_skip_5xx_greeting":
        "would send mail another way than through Microsoft 365",
    r"debug_peer_(list|level)|smtp_tls_note_starttls_offer": "would write passwords and tokens to the log",
    r"(config|command|daemon|data|queue|meta|shlib|manpage|html|readme|sample)_directory|mail_owner|setgid_group|default_privs|compatibility_level|(sendmail|mailq|newaliases)_path"
    r"|multi_instance_.*|alternate_config_directories|default_database_type|default_cache_db_type|mail_version|openssl_path|process_id_directory|import_environment|export_environment":
        "belongs to Debian's package, and the role relies on it",
}

# Parameters of which only some values keep the promises: name -> (accepted values as a pattern, why, what to write).
VALUES = {
    "smtpd_tls_security_level": (r"may|encrypt", "without TLS there is no AUTH", "may or encrypt"),
    "smtpd_tls_auth_only": (r"yes", "passwords would cross the network in clear text", "yes"),
    "smtpd_sasl_security_options": (r"(.*[\s,])?noanonymous([\s,].*)?", "anonymous sign-in would open the relay", "noanonymous, and more if wanted"),
    "smtpd_sasl_tls_security_options": (r"(.*[\s,])?noanonymous([\s,].*)?", "anonymous sign-in would open the relay", "noanonymous, and more if wanted"),
    "smtp_tls_security_level": (r"secure|verify", "the token would go to a host whose certificate nobody checked", "secure"),
    "smtp_tls_loglevel": (r"[012]", "tokens would be written to the log", "1"),
    "smtpd_tls_loglevel": (r"[012]", "passwords would be written to the log", "1"),
    "notify_classes": (r"((bounce|2bounce|data|delay|resource|software)?[\s,]*)*", "the transcripts would hold passwords", "resource, software"),
    "soft_bounce": (r"no", "strangers would be told to try again for ever", "no"),
    "relay_domains_reject_code": (r"5[0-9][0-9]", "strangers would be told to try again for ever", "554"),
    "access_map_reject_code": (r"5[0-9][0-9]", "refused clients would be told to try again for ever", "554"),
    "reject_code": (r"5[0-9][0-9]", "refused clients would be told to try again for ever", "554"),
    "allow_percent_hack": (r"no", "a forged address could pass the relay", "no"),
    "swap_bangpath": (r"no", "a forged address could pass the relay", "no"),
    "disable_vrfy_command": (r"yes", "strangers could ask which addresses exist", "yes"),
    "smtpd_helo_required": (r"yes", "programs that are no mail clients would get in", "yes"),
    "smtpd_forbid_bare_newline": (r"yes|normalize|reject", "forged messages could be smuggled in", "reject"),
    "smtpd_forbid_bare_newline_exclusions": (r"", "forged messages could be smuggled in from those networks", "nothing"),
    "smtpd_forbid_unauth_pipelining": (r"yes", "forged messages could be smuggled in", "yes"),
}

# The words that a list of restrictions may begin with and keep strangers out, up to the refusal of all others.
MAY_RELAY = re.compile(r"permit_sasl_authenticated|permit_mynetworks|(reject|defer)_[a-z_]+")
END_OF_LIST = ("reject", "reject_unauth_destination")
RELAY_RESTRICTIONS = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
OTHER_RESTRICTIONS = re.compile(r"smtpd_(client|helo|sender|data|end_of_data|etrn)_restrictions")

TYPES = ("inet", "unix", "fifo", "unix-dgram", "pass")
SERVICE_NAMES = {"smtp": 25, "submission": 587, "submissions": 465, "smtps": 465, "urd": 465}
ROLE_PORTS = {25: "25", 587: "587", 465: "465"}
# The services of Debian's master.cf; the role runs them.
ROLE_SERVICES = {
    "pickup", "cleanup", "qmgr", "tlsmgr", "rewrite", "bounce", "defer", "trace", "verify", "flush", "proxymap", "proxywrite", "smtp", "relay", "showq",
    "error", "retry", "discard", "local", "virtual", "lmtp", "anvil", "scache", "postlog", "tlsproxy",
}
SERVICE_EXAMPLE = "{name: '2525', type: inet, chroot: 'n', command: smtpd}"
SERVICE_NAME = {"inet": re.compile(r"(\[[0-9A-Fa-f:.]+\]:|[A-Za-z0-9.-]+:)?([0-9]{1,5}|[a-z][a-z0-9-]*)"), "unix": re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")}
COMMAND = re.compile(r"[a-z][a-z0-9-]*")


def check_extra_parameters(value):
    """Parameters for main.cf."""
    if not isinstance(value, dict):
        raise Wrong(f"must be a dictionary and is {shown(value) if not isinstance(value, str) else 'text'}. Write names and values, for example {EXAMPLE}, or {{}} for none.")
    each(value.items(), lambda pair: check_parameter(*pair))


def check_parameter(name, value):
    """One parameter of main.cf."""
    check_syntax(name, value)
    for pattern, variable in VARIABLES.items():
        if re.fullmatch(pattern, name):
            raise Wrong(f"{name} is what {variable} says. Write it there, for example {variable}: ...")
    if name in RELAY_RESTRICTIONS or name == "smtpd_restriction_classes":
        raise Wrong(f"{name} decides who may relay, and could open the relay. Leave it out; trusted clients belong in postfix_trusted_networks or sasldb_users.")
    check_promises(name, value)


def check_syntax(name, value):
    """A name and a value that stay one line of main.cf."""
    if not isinstance(name, str) or not PARAMETER.fullmatch(name):
        raise Wrong(f"{shown(name)} is not the name of a parameter. Write letters, digits and underscores, for example {EXAMPLE}.")
    if isinstance(value, bool):
        raise Wrong(f"{name} has a YAML truth value, which Postfix does not know. Write {name}: '{'yes' if value else 'no'}' in quotes.")
    if value is None:
        raise Wrong(f"{name} has no value. Write {name}: '' for an empty one, or leave it out.")
    if not isinstance(value, (str, int)):
        raise Wrong(f"{name} must be text or a whole number and is {shown(value)}. Write one line as it stands in main.cf, for example {EXAMPLE}.")
    if CONTROL.search(str(value)):
        raise Wrong(f"{name} has a value with a line break or a control character. Write everything on one line, for example {EXAMPLE}.")
    if "$(" in str(value) or "`" in str(value):
        raise Wrong(f"{name} has a value with $( or a backquote, as a shell has them. Write parameters as $name or ${{name}}, for example {EXAMPLE}.")


def check_promises(name, value):
    """One parameter, wherever it stands: nothing that breaks a promise."""
    text = str(value).strip()
    for pattern, why in NEVER.items():
        if re.fullmatch(pattern, name):
            raise Wrong(f"{name} {why}. Leave it out.")
    if name in VALUES and not re.fullmatch(VALUES[name][0], text):
        raise Wrong(f"{name} has a value that breaks a promise: {VALUES[name][1]}. Write {name}: '{VALUES[name][2]}', or leave it out.")


def check_extra_services(value):
    """Services for master.cf."""
    if not isinstance(value, list):
        raise Wrong(f"must be a list and is {shown(value) if not isinstance(value, str) else 'text'}. Write a list of services, for example [{SERVICE_EXAMPLE}].")
    each(enumerate(value, start=1), lambda numbered: before(f"service {numbered[0]}:", check_service, numbered[1]))
    names = [(service["name"], service["type"]) for service in value]
    twice = sorted({str(name) for name, kind in names if names.count((name, kind)) > 1})
    if twice:
        raise Wrong(f"the service {', '.join(twice)} stands there twice. Write every name and type once.")


def check_service(service):
    """One service."""
    if not isinstance(service, dict):
        raise Wrong(f"it is not a dictionary. Write for example {SERVICE_EXAMPLE}.")
    before("it", keys, service, ("name", "type", "command"), ("private", "unprivileged", "chroot", "wakeup", "maxproc", "options"))
    if service["type"] not in TYPES:
        raise Wrong(f"the type {shown(service['type'])} is not known. Write one of {', '.join(TYPES)}, for example type: inet.")
    check_service_name(service["name"], service["type"])
    for key in ("private", "unprivileged", "chroot"):
        if service.get(key, "-") not in ("y", "n", "-"):
            raise Wrong(f"{key} is {shown(service[key])}. Write 'y', 'n' or '-' in quotes, for example {key}: 'n'.")
    for key, pattern, what in (("wakeup", r"-|[0-9]{1,6}\??", "seconds, with ? behind them if wanted"), ("maxproc", r"-|[0-9]{1,5}", "a number, 0 for no limit")):
        if isinstance(service.get(key), bool) or not re.fullmatch(pattern, str(service.get(key, "-"))):
            raise Wrong(f"{key} is {shown(service[key])}. Write {what}, or '-' for Postfix's default, for example {key}: '-'.")
    check_command(service["command"], service.get("chroot", "-"))
    options = service.get("options", {})
    if not isinstance(options, dict):
        raise Wrong("options must be a dictionary. Write names and values as in main.cf, for example options: {syslog_name: postfix/2525}.")
    each(options.items(), lambda pair: before("option", check_option, *pair))


def check_service_name(name, kind):
    """A name or port that the role does not use itself."""
    if isinstance(name, int) and not isinstance(name, bool):
        raise Wrong(f"the name {name} is a number. Write it in quotes, for example name: '{name}'.")
    pattern = SERVICE_NAME["inet" if kind == "inet" else "unix"]
    if not isinstance(name, str) or not pattern.fullmatch(name) or ".." in name:
        raise Wrong(f"the name {shown(name)} is not {'a port or host:port' if kind == 'inet' else 'a name without blanks'}. Write for example {SERVICE_EXAMPLE}.")
    if kind == "inet":
        port = name.rpartition(":")[2]
        number = SERVICE_NAMES.get(port, int(port) if port.isdigit() else None)
        if number in (25, 587, 465):
            raise Wrong(f"the name {shown(name)} is port {number}, which the role has itself. Write {number} in postfix_ports, or another port here, for example name: '2525'.")
        if port.isdigit() and not 1 <= number <= 65535:
            raise Wrong(f"the name {shown(name)} is not a port. Write a number from 1 to 65535, for example name: '2525'.")
    elif name in ROLE_SERVICES:
        raise Wrong(f"the name {shown(name)} is a service that the role has itself. Write another name, for example name: scan-filter.")


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
    if program in ("smtp", "smtpd", "lmtp") and arguments:
        raise Wrong(f"the command {program} has arguments. Write '-o name=value' in options; -v and -D are refused because they log passwords and tokens.")
    if program in ("smtp", "smtpd") and chroot == "y":
        raise Wrong(f"chroot is 'y' for {program}, which could not find accounts, tokens and certificates there. Write chroot: 'n'.")


def check_option(name, value):
    """One option of a service: what main.cf may have, and restrictions that keep strangers out."""
    check_syntax(name, value)
    if name in RELAY_RESTRICTIONS and not keeps_strangers_out(str(value), name):
        raise Wrong(f"{name} would open the relay. Write only permit_mynetworks, permit_sasl_authenticated and reject_..., with reject at the end.")
    if name == "mynetworks" and not all(passes(check_network, re.sub(r"[\[\]]", "", word)) for word in re.split(r"[\s,]+", str(value)) if word):
        raise Wrong(f"{name} holds something that is not a network of your own. Write networks as in postfix_trusted_networks, for example 127.0.0.0/8.")
    check_promises(name, value)


def keeps_strangers_out(value, name):
    """Tell whether a list of restrictions refuses everybody who is neither trusted nor signed in."""
    words = re.split(r"[\s,]+", value.strip())
    if name == "smtpd_recipient_restrictions":    # smtpd_relay_restrictions stands beside it
        return all(MAY_RELAY.fullmatch(word) or word in ("", "reject") for word in words)
    for word in words:
        if word in END_OF_LIST:
            return True
        if not MAY_RELAY.fullmatch(word):
            return False
    return False
