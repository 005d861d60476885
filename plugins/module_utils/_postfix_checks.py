# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known about a Postfix configuration before Postfix runs with it (private to the collection)."""

from __future__ import annotations

import os
import re

from . import _open_relay
from ._certificate import certificate_problem
from ._commands import run

# Tables that lie in files; the file is opened here the way Postfix opens it.
FILE_TABLES = ("btree", "cdb", "cidr", "hash", "lmdb", "pcre", "regexp", "texthash")
TABLE = re.compile(rf"\b({'|'.join(FILE_TABLES)}):(/[^\s,{{}}\"]+)")
SILENT_MISTAKES = ("unused parameter", "undefined parameter", "unknown parameter", "fatal", "overriding earlier entry")


def said(done):
    """Return what a program said, its standard error first."""
    return "\n".join(part.decode("utf-8", "replace").strip() for part in (done.stderr, done.stdout) if part.strip())


def problems(directory, missing_is_fine=False):
    """Return what is wrong with the configuration in `directory`, as sentences.

    missing_is_fine: tables and certificates that are not there yet are no problem: in check mode nobody has made them.
    """
    found = syntax_problems(directory)
    if found:
        return found
    parameters, services = _open_relay.read(directory)
    found += program_problems(parameters, services)
    found += table_problems(parameters, services, missing_is_fine)
    found += certificate_problems(parameters, missing_is_fine)
    return found + _open_relay.problems(parameters, services)


def syntax_problems(directory):
    """Ask Postfix itself: its own check, names of parameters, lines of master.cf."""
    for argv in (["postconf", "-c", directory, "-n"], ["postconf", "-c", directory, "-M"], ["postconf", "-c", directory, "-P"]):
        done = run(argv, check=False)
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if any(mistake in line for mistake in SILENT_MISTAKES)]
        if done.returncode != 0 or lines:
            return lines or [said(done)]
    done = run(["postfix", "-c", directory, "check"], check=False)
    return [said(done) or "postfix check failed and said nothing"] if done.returncode != 0 else []


def program_problems(parameters, services):
    """Look for the program of each service: master(8) finds out only when the first client is there."""
    programs = ((service, os.path.join(parameters["daemon_directory"], service["command"].split()[0])) for service in services)
    return [f"The service {service['name']}/{service['type']} has no program: {program} is not there, or nobody may run it"
            for service, program in programs if not os.access(program, os.X_OK)]


def table_problems(parameters, services, missing_is_fine):
    """Open every lookup table in a file that the configuration names. What lies in the data directory, Postfix makes itself."""
    texts = [*parameters.values(), *(value for service in services for value in service["options"].values())]
    tables = {match for text in texts for match in TABLE.findall(text)}
    caches = parameters["data_directory"] + "/"
    found = []
    for kind, path in sorted(table for table in tables if not table[1].startswith(caches)):
        done = run(["postmap", "-q", "postmaster", f"{kind}:{path}"], check=False)
        message = said(done) if done.stderr else ""
        if message and not (missing_is_fine and "No such file" in message):
            found.append(f"The table {kind}:{path} cannot be used: {message}")
    return found


def certificate_problems(parameters, missing_is_fine):
    """Load the certificate and key that smtpd is told to use."""
    files = certificate_files(parameters)
    if files is None or (missing_is_fine and not all(map(os.path.exists, files))):
        return []
    problem = certificate_problem(*files)
    return [problem] if problem else []


def certificate_files(parameters):
    """Return (certificate, key) of smtpd, or None when it has none."""
    chain = parameters["smtpd_tls_chain_files"].replace(",", " ").split()
    if chain:
        return chain[-1], chain[0]
    certificate = parameters["smtpd_tls_cert_file"]
    return (certificate, parameters["smtpd_tls_key_file"]) if certificate not in ("", "none") else None
