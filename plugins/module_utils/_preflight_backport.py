# SPDX-License-Identifier: GPL-3.0-or-later
"""The input checks of role backport (private to the collection, used on the controller)."""

from __future__ import annotations

import re
from functools import partial

from ._preflight import Wrong, absolute_path, collect, each, list_of, plain, shown, text

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
SUITE = re.compile(r"[a-z][a-z0-9.+-]*(/[a-z][a-z0-9.+-]*)?")
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")


def problems(settings):
    """Return what is wrong with the variables of role backport, as sentences; an empty list when nothing is."""
    return collect(CHECKS, plain(settings), ["backport_source"])


def check_package(value, what="the name of a Debian package", example="hello"):
    """A package by its name alone."""
    text(value, what, example)
    if not PACKAGE.fullmatch(value):
        raise Wrong(f"{shown(value)} is not the name of a package: only small letters, digits and + . - are. Write {what}, for example {example}.")


def check_packages(value):
    """At least one package."""
    example = "[hello]"
    list_of(value, "a list of packages", example)
    if not value:
        raise Wrong(f"is an empty list, so nothing would be installed. Write the packages, for example {example}.")
    each(value, check_package)


def check_suite(value, what="the suite that has the source", example="sid"):
    """A suite in Debian's archive."""
    text(value, what, example)
    if not SUITE.fullmatch(value):
        raise Wrong(f"{shown(value)} is not the name of a suite. Write one word such as sid, for example {example}.")


def check_host(value):
    """Nothing, or the name of a host in the inventory."""
    if value == "":
        return
    what, example = "the name of a host in the inventory", "localhost"
    text(value, what, example)
    if not HOST.fullmatch(value):
        raise Wrong(f"{shown(value)} is not the name of a host. Write {what}, for example {example}.")


CHECKS = {
    "backport_source": partial(check_package, what="the name of a Debian source package"),
    "backport_packages": check_packages,
    "backport_suite": check_suite,
    "backport_cache": partial(absolute_path, what="a directory on the controller", example="/srv/packages"),
    "backport_host": check_host,
}
