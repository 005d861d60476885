# SPDX-License-Identifier: GPL-3.0-or-later
"""Trusted networks: read, judged and merged on the controller, with netaddr (private to the collection)."""

from __future__ import annotations

import re

from ._preflight import CONTROL, Wrong, each, list_of, shown

try:
    import netaddr
except ImportError:    # a clear message at the first use is better than a traceback at import
    netaddr = None

LOOPBACK = ("127.0.0.0/8", "::1/128")

# Not routed on the internet: as broad as they are, only the site itself is in them.
PRIVATE = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "198.18.0.0/15",
    "::1/128", "fc00::/7", "fe80::/10",
)
# No client has such an address, so whoever writes one means something else.
NOBODY = {"0.0.0.0/8": "stands for no client", "::/128": "stands for no client", "224.0.0.0/4": "is for multicast", "ff00::/8": "is for multicast",
          "255.255.255.255/32": "is for broadcast"}
# IPv6 addresses that stand for IPv4 ones: a narrow IPv6 network can be the whole IPv4 internet.
STANDS_FOR_IPV4 = ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "2002::/16", "2001::/32")

# Of the internet itself: the broadest network that one organisation has, and how much all of them together may cover.
BROADEST = {4: 16, 6: 32}
MOST_OF_BROADEST = 16

IPV4 = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")
REMEDY = "Write only networks of your own, for example 192.0.2.0/24 or 2001:db8:1::/48."


class NetaddrMissing(Exception):
    """The controller has no netaddr."""


def required_netaddr():
    """Return the module netaddr."""
    if netaddr is None:
        raise NetaddrMissing(
            "the Python library netaddr is missing on the controller. "
            "Install it for the Python that runs Ansible: 'python3 -m pip install netaddr', or 'apt install python3-netaddr' where Ansible comes from Debian."
        )
    return netaddr


def check_networks(value):
    """A list of networks that a relay may trust, one by one and together."""
    required_netaddr()
    list_of(value, "a list of networks", "[192.0.2.0/24, '2001:db8:1::/48'], or [] for none")
    each(value, check_network)
    for version, broadest in BROADEST.items():
        public = sum(network.size for network in netaddr.cidr_merge(value) if network.version == version and not within(network, PRIVATE))
        if public > MOST_OF_BROADEST * 2 ** (width(version) - broadest):
            raise Wrong(
                f"the IPv{version} networks together trust {public} addresses of the internet: everybody there could send mail without a password. {REMEDY}"
            )


def check_network(value):
    """One network or address, in one notation, with no address in it that cannot be a client of this organisation."""
    check_notation(value)
    try:
        network = netaddr.IPNetwork(value)
    except (netaddr.AddrFormatError, ValueError):
        raise Wrong(f"{shown(value)} is not a network: the address or the prefix length is broken. {REMEDY}") from None
    check_breadth(value, network.cidr)
    if network.ip != network.cidr.ip:
        raise Wrong(f"{shown(value)} is an address and not a network. Write {network.cidr} for the whole network, or {network.ip} for this one host.")


def check_notation(value):
    """CIDR notation or a plain address: what people write instead is named."""
    if not isinstance(value, str):
        raise Wrong(f"every network must be text and one is {shown(value)}. {REMEDY}")
    if CONTROL.search(value):
        raise Wrong(f"{shown(value)} holds a line break or a control character. {REMEDY}")
    if not value.strip():
        raise Wrong(f"one network is empty. {REMEDY}")
    for pattern, what in (
        (r"[\s,;]", "holds a blank or a comma: every network is one item of the list"),
        (r"^!", "is an exception, which trusted networks do not have: leave it out"),
        (r"^/|^[a-z_]+:/|^(?=[a-z_]*[g-z_])[a-z_]+:", "is a file or a table, which this check cannot judge"),
        (r"%", "has a zone: leave out the % and what follows"),
        (r"^\[|\]", "has brackets: leave them out, they are added where Postfix needs them"),
        (r"^[^/]*-|\*", "is a range: write networks in CIDR notation"),
    ):
        if re.search(pattern, value, re.IGNORECASE):
            raise Wrong(f"{shown(value)} {what}. {REMEDY}")
    address, slash, length = value.partition("/")
    if IPV4.fullmatch(address) and IPV4.fullmatch(length):
        raise Wrong(f"{shown(value)} has a netmask. Write the prefix length instead, for example {with_prefix_length(address, length)}.")
    if re.fullmatch(r"[0-9.]+", address) and re.search(r"(^|\.)0[0-9]", address):
        raise Wrong(f"{shown(value)} has a number with a leading zero, which some programs read as octal. Write it without. {REMEDY}")
    if ":" not in address and not re.fullmatch(r"[0-9.]+", address):
        raise Wrong(f"{shown(value)} is a name or no network at all; only addresses and networks are accepted. {REMEDY}")
    if ":" not in address and not IPV4.fullmatch(address):
        raise Wrong(f"{shown(value)} is not a whole IPv4 address: four numbers from 0 to 255 are wanted. {REMEDY}")
    if slash and not re.fullmatch(r"0|[1-9][0-9]{0,2}", length):
        raise Wrong(f"{shown(value)} has no number as prefix length. {REMEDY}")


def check_breadth(value, network):
    """A network that is not the internet, nor a good part of it."""
    for block, what in NOBODY.items():
        if within(network, [block]):
            raise Wrong(f"{shown(value)} {what}. {REMEDY}")
    if network.version == 6 and not within(network, PRIVATE) and network.prefixlen >= 16 and any(overlap(network, block) for block in STANDS_FOR_IPV4):
        raise Wrong(f"{shown(value)} stands for IPv4 addresses, and may stand for all of them. Write the IPv4 networks themselves, for example 192.0.2.0/24.")
    if not within(network, PRIVATE) and network.prefixlen < BROADEST[network.version]:
        raise Wrong(
            f"{shown(value)} covers {'the whole internet' if network.prefixlen == 0 else 'a part of the internet that is not yours alone'}: "
            f"everybody there could send mail without a password (broadest accepted public network: /{BROADEST[network.version]}). {REMEDY}"
        )


def within(network, blocks):
    """Tell whether the network lies in one of the blocks."""
    return any(network in netaddr.IPNetwork(block) for block in blocks)


def overlap(network, block):
    """Tell whether the network and the block share an address."""
    other = netaddr.IPNetwork(block)
    return network in other or other in network


def width(version):
    """Return the bits of an address."""
    return {4: 32, 6: 128}[version]


def with_prefix_length(address, netmask):
    """Return CIDR notation for an address and a netmask, or a good example when the netmask is none."""
    try:
        return str(netaddr.IPNetwork(f"{address}/{netmask}").cidr)
    except (netaddr.AddrFormatError, ValueError):
        return "192.0.2.0/24"


def for_postfix(networks):
    """Return the networks merged, as mynetworks wants them: loopback first, then IPv4, then IPv6 in brackets."""
    required_netaddr()
    check_networks(networks)
    merged = netaddr.cidr_merge([*LOOPBACK, *networks])
    written = [f"[{network.ip}]/{network.prefixlen}" if network.version == 6 else str(network) for network in merged]
    first = ["127.0.0.0/8", "[::1]/128"]
    return first + [network for network in written if network not in first]
