# SPDX-License-Identifier: GPL-3.0-or-later
"""Would this Postfix configuration relay for strangers, or give away a password or a token? (private to the collection)

The effective configuration is judged: what main.cf says, what Postfix adds, and what master.cf changes for one service.
"""

from __future__ import annotations

import ipaddress
import os
import re

from ._commands import run

PRIVATE = [
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "198.18.0.0/15",
                    "::1/128", "fc00::/7", "fe80::/10")
]
# IPv6 networks that stand for IPv4 ones.
STANDS_FOR_IPV4 = [ipaddress.ip_network(network) for network in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "2002::/16", "2001::/32")]
# As many public addresses as one organisation may have: sixteen IPv4 /16, sixteen IPv6 /32.
MOST_PUBLIC = {4: 2**20, 6: 2**100}

LOGIN_PORTS = {"submission", "submissions", "smtps", "587", "465"}
# Restrictions that let a client in because of where it comes from.
PERMIT_BY_ADDRESS = {"permit_mynetworks", "permit_inet_interfaces"}
# Restrictions that a stranger passes, or may pass, without a password.
LETS_IN = {"permit", "permit_mx_backup", "permit_tls_all_clientcerts", "permit_naked_ip_address", "permit_dnswl_client", "permit_rhswl_client"}
# Restrictions whose answer stands in a table or comes from a server, so it may be "permit"; a bare table is one too.
ELSEWHERE = re.compile(r"check_\w+|\w+:.+")
TAKES_ARGUMENT = re.compile(r"check_\w+|sleep|reject_rbl_client|reject_rhsbl_\w+|permit_dnswl_client|permit_rhswl_client")
# The one TLS policy that cannot be weaker than main.cf: the relay's own pacer, asked by the name of the service.
PACER = "socketmap:unix:/run/m365-relay-pacer/socket:"
DESTINATIONS = ("mydestination", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains")


def read(directory):
    """Return the effective configuration in `directory` as (parameters, services). Raises CommandError.

    parameters: {name: value}. services: list of {"name", "type", "command", "options": {name: value}} of the services of master.cf.
    """
    parameters = pairs(run(["postconf", "-c", directory, "-x"]).stdout)
    options = pairs(run(["postconf", "-c", directory, "-Px"]).stdout)
    services = []
    for line in run(["postconf", "-c", directory, "-M"]).stdout.decode("utf-8", "replace").splitlines():
        fields = line.split(None, 7)
        if len(fields) == 8 and not line[0].isspace():
            prefix = f"{fields[0]}/{fields[1]}/"
            own = {name[len(prefix):]: value for name, value in options.items() if name.startswith(prefix)}
            services.append({"name": fields[0], "type": fields[1], "command": fields[7], "options": own})
    return parameters, services


def pairs(output):
    """Return the lines `name = value` that postconf prints as a dict."""
    return {name: value.strip() for name, _sign, value in (line.partition(" =") for line in output.decode("utf-8", "replace").splitlines())}


def problems(parameters, services):
    """Return why the relay would be open, or a secret readable, as sentences; an empty list when it would not."""
    found = []
    for service in services:
        effective = parameters | service["options"]
        program = os.path.basename(service["command"].split()[0])
        where = f"{service['name']}/{service['type']}"
        if program == "smtpd":
            reasons = [
                *network_problems("mynetworks", effective), *relay_problems(service, effective), *login_problems(effective),
                *smuggling_problems(effective), *disguise_problems(effective),
            ]
        elif program == "qmqpd":
            reasons = [*network_problems("qmqpd_authorized_clients", effective)]
        elif program in ("smtp", "lmtp"):
            reasons = [*token_problems(service, effective)]
        else:
            reasons = []
        if program in ("smtpd", "smtp", "lmtp", "tlsproxy"):
            reasons += leak_problems(service, effective)
        found += [(where, reason) for reason in reasons]
    # A sentence that is true for several services is said once.
    reasons = dict.fromkeys(reason for _where, reason in found)
    return [f"{reason} (service {', '.join(where for where, other in found if other == reason)})" for reason in reasons]


def words(value):
    """Split a list as Postfix does."""
    return value.replace(",", " ").split()


# --- who may relay ---

def relay_problems(service, effective):
    """The restrictions must refuse a stranger for good; on ports for logins, whoever has not logged in."""
    relay = verdict(effective["smtpd_relay_restrictions"], effective)
    recipient = verdict(effective["smtpd_recipient_restrictions"], effective)
    if "closed" not in (relay[0], recipient[0]):
        yield (
            f"smtpd_relay_restrictions = {effective['smtpd_relay_restrictions']} does not keep strangers out: {relay[1]}. "
            "Let it end in: permit_sasl_authenticated, reject"
        )
    if verdict(effective["smtpd_data_restrictions"], effective)[0] != "closed":
        yield (
            f"smtpd_data_restrictions = {effective['smtpd_data_restrictions']} lets strangers send to the recipient postmaster, which no other list refuses. "
            "Let it end in: permit_sasl_authenticated, reject"
        )
    for name in ("smtpd_relay_restrictions", "smtpd_data_restrictions"):
        by_address = PERMIT_BY_ADDRESS.intersection(words(effective[name]))
        if service["name"].rpartition(":")[2] in LOGIN_PORTS and by_address:
            yield f"{name} names {', '.join(sorted(by_address))}, so trusted networks could skip AUTH on a port that promises it. Leave it out"
    if effective["soft_bounce"] == "yes":
        yield "soft_bounce = yes turns permanent refusals into temporary ones: strangers would try for ever. Leave it out"
    for name in ("reject_code", "relay_domains_reject_code"):
        if not effective[name].startswith("5"):
            yield f"{name} = {effective[name]} is no permanent refusal: strangers would try for ever. Leave it out"


def verdict(restrictions, effective, depth=0):
    """Return ("closed"|"open"|"passes", why): what a list of restrictions does with a stranger's mail for somebody else."""
    for token, only_warns in steps(restrictions):
        name = token.lower()
        if token in words(effective["smtpd_restriction_classes"]) and depth < 10:
            inner = verdict(effective.get(token, ""), effective, depth + 1)
        elif name in LETS_IN or ELSEWHERE.fullmatch(name):
            inner = "open", f"{token} can let them in. Restrictions that look something up belong into smtpd_recipient_restrictions"
        elif name == "permit_auth_destination" and destinations(effective):
            inner = "open", f"{token} lets them send to {destinations(effective)}"
        elif name in ("defer", "defer_unauth_destination"):
            inner = "open", f"{token} refuses them only for now, and they would try for ever"
        elif not only_warns and (name == "reject" or (name == "reject_unauth_destination" and not destinations(effective))):
            inner = "closed", ""
        else:
            continue
        if inner[0] != "passes":
            return inner
    return "passes", f"they may send to {destinations(effective)}" if destinations(effective) else "nothing refuses them"


def steps(restrictions):
    """Return the restrictions of a list as (name, whether it only warns), without their arguments."""
    tokens = words(restrictions)
    found = []
    only_warns = False
    while tokens:
        token = tokens.pop(0)
        if token.lower() == "warn_if_reject":
            only_warns = True
            continue
        if TAKES_ARGUMENT.fullmatch(token.lower()) and tokens:
            tokens.pop(0)
        found.append((token, only_warns))
        only_warns = False
    return found


def destinations(effective):
    """Return which parameters make this host the destination of some mail, as text; strangers may send there."""
    return ", ".join(f"{name} = {effective[name]}" for name in DESTINATIONS if effective[name])


# --- trusted networks ---

def disguise_problems(effective):
    """Nobody may claim another address than the one he has."""
    for name in ("smtpd_authorized_xclient_hosts", "smtpd_upstream_proxy_protocol"):
        if effective[name]:
            yield f"{name} = {effective[name]} lets others claim to be a trusted client. Leave it out"


def network_problems(parameter, effective):
    """A list of trusted clients must be networks of one organisation, together too."""
    try:
        networks = trusted(words(effective[parameter]))
    except ValueError as error:
        yield f"{parameter}: {error}"
        return
    for version, most in MOST_PUBLIC.items():
        merged = list(ipaddress.collapse_addresses(network for network in networks if network.version == version))
        public = sum(map(public_addresses, merged))
        if public > most:
            yield f"{parameter} trusts {public} public IPv{version} addresses: all of them could send mail without a password. Write only networks of your own"
            continue
        for network in merged:
            if not network.is_loopback and any(network.overlaps(other) for other in STANDS_FOR_IPV4):
                yield f"{parameter} holds {network}, which stands for IPv4 addresses. Write those IPv4 networks themselves"


def public_addresses(network):
    """Return how many addresses of a network are not private."""
    private = [other for other in PRIVATE if other.version == network.version]
    if any(network.subnet_of(other) for other in private):
        return 0
    return network.num_addresses - sum(other.num_addresses for other in private if other.subnet_of(network))


def trusted(tokens, depth=0):
    """Return the networks that a list such as mynetworks names. What it takes away again with ! is not taken away here. Raises ValueError."""
    networks = []
    for token in tokens:
        if token.startswith("!"):
            continue
        if token.startswith("/"):
            if depth > 5:
                raise ValueError(f"{token} names a file that names a file, too deep")
            networks += trusted(words(without_comments(token)), depth + 1)
        elif token.startswith("cidr:"):
            networks += from_cidr_table(token[len("cidr:"):])
        elif re.match(r"(proxy:)?(hash|btree|lmdb|cdb|texthash):/", token):
            networks += from_table(token)
        else:
            networks.append(network_of(token))
    return networks


def network_of(token):
    """Return one network in Postfix's notation. Raises ValueError."""
    bare = re.sub(r"^\[(.*)\]", r"\1", token)
    try:
        return ipaddress.ip_network(bare, strict=False)
    except ValueError:
        raise ValueError(f"it cannot be judged whom {token} lets in. Write networks in CIDR notation") from None


def without_comments(path):
    """Return the lines of a file that are no comments, as one text. Raises ValueError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return "\n".join(line for line in stream.read().splitlines() if not line.lstrip().startswith("#"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def from_cidr_table(path):
    """Return the networks of a cidr: table; the answer in the second column does not matter, any answer means trusted."""
    lines = [line.split() for line in without_comments(path).splitlines() if line.strip() and not line[0].isspace()]
    for fields in lines:
        if not re.match(r"[0-9a-fA-F\[:]", fields[0]):
            raise ValueError(f"{path}: it cannot be judged whom {' '.join(fields)} lets in. Write networks in CIDR notation")
    return [network_of(fields[0]) for fields in lines]


def from_table(table):
    """Return the networks that are keys of an indexed table."""
    done = run(["postmap", "-s", table.removeprefix("proxy:")], check=False)
    if done.returncode != 0:
        raise ValueError(f"{table} cannot be read")
    return [network_of(line.split("\t", 1)[0]) for line in done.stdout.decode("utf-8", "replace").splitlines()]


# --- passwords and tokens ---

def login_problems(effective):
    """AUTH only after TLS, and never without a name."""
    if effective["smtpd_sasl_auth_enable"] != "yes":
        return
    if effective["smtpd_tls_auth_only"] != "yes":
        yield "smtpd_tls_auth_only is not yes: AUTH would be offered before TLS, and passwords sent in clear. Leave it out"
    if effective["smtpd_tls_security_level"] not in ("may", "encrypt") and effective["smtpd_tls_wrappermode"] != "yes":
        yield f"smtpd_tls_security_level = {effective['smtpd_tls_security_level']} offers no TLS, so nobody could log in. Write may or encrypt"
    for name in ("smtpd_sasl_security_options", "smtpd_sasl_tls_security_options"):
        if "noanonymous" not in words(effective[name]):
            yield f"{name} = {effective[name]} allows anonymous logins: everybody could relay. Write noanonymous"


def token_problems(service, effective):
    """A token goes only to a server whose certificate proves its name."""
    if effective["smtp_sasl_auth_enable"] != "yes":
        return
    level = effective["smtp_tls_security_level"]
    if level not in ("secure", "verify"):
        yield f"smtp_tls_security_level = {level} would send the token to a server that proves nothing. Write secure"
    match = words(effective["smtp_tls_secure_cert_match" if level == "secure" else "smtp_tls_verify_cert_match"])
    if "hostname" in match and not effective["relayhost"].startswith("["):
        yield "The certificate would be compared with a name from DNS, which can be forged. Write relayhost in brackets, for example [smtp.office365.com]:587"
    for name in ("smtp_tls_policy_maps", "smtp_tls_per_site"):
        if effective.get(name) and (name, effective[name]) != ("smtp_tls_policy_maps", PACER + service["name"]):
            yield f"{name} can lower the TLS level, so a token could go to a server that proves nothing. Leave it out"
    if effective["smtp_sasl_auth_soft_bounce"] != "yes":
        yield "smtp_sasl_auth_soft_bounce is not yes: mail would be returned while the relay is signed out, instead of waiting. Leave it out"


def leak_problems(service, effective):
    """Logs must not show what was said during AUTH."""
    if re.search(r"\s-v+\b", service["command"]):
        yield f"{service['command']}: -v writes passwords and tokens to the journal. Leave it out"
    if effective["debug_peer_list"]:
        yield "debug_peer_list writes passwords and tokens to the journal. Leave it out"
    for name in ("smtpd_tls_loglevel", "smtp_tls_loglevel"):
        if effective[name].isdigit() and int(effective[name]) > 3:
            yield f"{name} = {effective[name]} writes whole sessions, passwords included, to the journal. Write at most 3"


def smuggling_problems(effective):
    """Only CR LF . CR LF ends a message, from everybody."""
    if effective.get("smtpd_forbid_bare_newline") not in ("normalize", "reject", "yes"):
        yield "smtpd_forbid_bare_newline is not set: a second message can be smuggled in behind the first. Write normalize"
    elif effective["smtpd_forbid_bare_newline_exclusions"]:
        yield "smtpd_forbid_bare_newline_exclusions is set: these clients can smuggle a second message in behind the first. Leave it out"
