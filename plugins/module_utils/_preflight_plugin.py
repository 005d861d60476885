# SPDX-License-Identifier: GPL-3.0-or-later
"""The input checks of where the plugin sasl-xoauth2 comes from (private to the collection, used on the controller)."""

from __future__ import annotations

import os
import re
from functools import partial

from ._preflight import Wrong, absolute_path, before, choice, each, keys, list_of, shown, text
from ._preflight_backport import check_host, check_suite

SOURCES = ("auto", "debian", "deb", "repository", "backport", "present")
CHECKSUM = re.compile(r"sha256:[0-9a-fA-F]{64}")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~-]*(/[A-Za-z0-9][A-Za-z0-9.+~-]*)*")
ADDRESS = re.compile(r"https?://([^/\s@:?#]+)(:[0-9]{1,5})?(/[^\s?#]*)?")
REPOSITORY = "{uris: [https://packages.example.org/debian], suites: [trixie], components: [main], key: /srv/keys/packages.asc}"


def plugin_contradictions(settings):
    """The source of the plugin and what belongs to it."""
    source, deb = settings.get("xoauth2_plugin_source"), settings.get("xoauth2_plugin_deb")
    checksum, repository = settings.get("xoauth2_plugin_deb_checksum"), settings.get("xoauth2_plugin_repository")
    if source == "deb" and not deb:
        yield "xoauth2_plugin_deb: is required by xoauth2_plugin_source: deb. Write a path on the controller or a URL, for example /srv/sasl-xoauth2.deb."
    if deb and source in SOURCES and source != "deb":
        yield f"xoauth2_plugin_deb: is not used with xoauth2_plugin_source: {source}. Write xoauth2_plugin_source: deb, or leave xoauth2_plugin_deb empty."
    if deb and "://" in str(deb) and not checksum:
        yield "xoauth2_plugin_deb_checksum: is required for a URL. Write the file's SHA-256 ('sha256sum FILE'), for example sha256:9f86d081... (64 digits)."
    if checksum and not deb:
        yield "xoauth2_plugin_deb_checksum: is given without xoauth2_plugin_deb. Write the package in xoauth2_plugin_deb too, or leave both empty."
    if source == "repository" and not repository:
        yield f"xoauth2_plugin_repository: is required by xoauth2_plugin_source: repository. Write for example {REPOSITORY}."
    if repository and source in SOURCES and source != "repository":
        yield (f"xoauth2_plugin_repository: is not used with xoauth2_plugin_source: {source}. "
               "Write xoauth2_plugin_source: repository, or leave xoauth2_plugin_repository empty.")


def check_deb(value):
    """A package: nothing, a file on the controller, or a URL."""
    what, example = "a path on the controller or a URL", "/srv/packages/sasl-xoauth2.deb"
    if value == "":
        return
    text(value, what, example)
    remedy = f"Write {what}, for example {example} or https://packages.example.org/sasl-xoauth2.deb."
    check_file(value, what, example, remedy)
    if not value.endswith(".deb"):
        raise Wrong(f"{shown(value)} is not a package: its name does not end with .deb. {remedy}")
    check_presence(value, remedy)


def check_file(value, what, example, remedy):
    """A file on the controller, or a URL that shows no secret."""
    if "://" in value:
        matched = re.fullmatch(r"https://([^/\s@:?#]+)(:[0-9]{1,5})?/[^\s?#]+", value)
        if not matched:
            raise Wrong(f"{shown(value)} is not a URL with https, a host and a path, without user and password. {remedy}")
    else:
        absolute_path(value, what, example)


def check_presence(value, remedy):
    """A file on the controller is there."""
    if "://" not in value and not os.path.isfile(value):
        raise Wrong(f"there is no file {shown(value)} on the controller. {remedy}")


def check_checksum(value, what="the checksum of the package"):
    """The checksum of a file: nothing, or SHA-256."""
    if value == "":
        return
    example = "sha256: and 64 hexadecimal digits ('sha256sum FILE' prints them)"
    text(value, what, example)
    if re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise Wrong(f"{shown(value)} does not say how it was made. Write sha256:{value}.")
    if not CHECKSUM.fullmatch(value):
        raise Wrong(f"{shown(value)} is not a SHA-256 checksum. Write {example}.")


def check_repository(value):
    """A repository for apt: nothing, or where it is and the key that signs it."""
    if value in ({}, ""):
        return
    if not isinstance(value, dict):
        raise Wrong(f"must be a dictionary and is {shown(value)}. Write for example {REPOSITORY}.")
    keys(value, ("uris", "suites", "key"), ("components", "key_checksum"))
    before("uris:", check_words, value["uris"], check_uri, "https://packages.example.org/debian")
    before("suites:", check_words, value["suites"], check_repository_suite, "trixie")
    flat = all(suite.endswith("/") for suite in value["suites"])
    before("components:", check_components, value.get("components"), flat)
    before("key:", check_key, value["key"])
    before("key_checksum:", check_checksum, value.get("key_checksum", ""), "the checksum of the key")
    if "://" in value["key"] and not value.get("key_checksum"):
        raise Wrong("the key is a URL, and key_checksum is required for a URL. Write the key's SHA-256 ('sha256sum FILE') as key_checksum: sha256:...")


def check_words(value, check, example):
    """A list of at least one."""
    list_of(value, "a list", f"[{example}]")
    if not value:
        raise Wrong(f"is an empty list. Write at least one, for example [{example}].")
    each(value, check)


def check_uri(value):
    """Where a repository is: the signature protects what comes from it, so http is fine too."""
    what, example = "the address of the repository", "https://packages.example.org/debian"
    text(value, what, example)
    matched = ADDRESS.fullmatch(value)
    if not matched:
        raise Wrong(f"{shown(value)} is not a URL with https or http and a host, without user and password. Write {what}, for example {example}.")


def check_repository_suite(value):
    """The word after the address; a path that ends with a slash for a flat repository."""
    text(value, "the suite of the repository", "trixie")
    if value != "./" and not WORD.fullmatch(value.removesuffix("/")):
        raise Wrong(f"{shown(value)} is not the name of a suite. Write one word, for example trixie.")


def check_components(value, flat):
    """The words after the suite; a flat repository has none."""
    if flat:
        if value:
            raise Wrong("the suites end with a slash, and such a repository has no components. Write no components.")
        return
    list_of([] if value is None else value, "a list", "[main]")
    if not value:
        raise Wrong("is required and has no value. Write the components of the repository, for example [main].")
    each(value, check_component)


def check_component(value):
    """One component."""
    text(value, "a component of the repository", "main")
    if not WORD.fullmatch(value):
        raise Wrong(f"{shown(value)} is not the name of a component. Write one word, for example main.")


def check_key(value):
    """The repository's public key. apt reads the ending of its name to know whether it is text or not."""
    what, example = "a path on the controller or a URL", "/srv/keys/packages.asc"
    text(value, what, example)
    remedy = f"Write {what}, for example {example} or https://packages.example.org/key.asc."
    check_file(value, what, example, remedy)
    if not value.endswith((".asc", ".gpg")):
        raise Wrong(f"{shown(value)} ends neither with .asc (text) nor with .gpg (binary), so apt could not read it. {remedy}")
    check_presence(value, remedy)


PLUGIN_CHECKS = {
    "xoauth2_plugin_source": partial(choice, choices=SOURCES),
    "xoauth2_plugin_deb": check_deb,
    "xoauth2_plugin_deb_checksum": check_checksum,
    "xoauth2_plugin_repository": check_repository,
    "xoauth2_plugin_suite": partial(check_suite, what="the suite that has the plugin", example="experimental"),
    "xoauth2_plugin_cache": partial(absolute_path, what="a directory on the controller", example="/srv/packages"),
    "xoauth2_plugin_build_host": check_host,
}
