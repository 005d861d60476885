# SPDX-License-Identifier: GPL-3.0-or-later
"""What the input checks of all roles share (private to the collection).

A check takes a value and raises Wrong when nobody can work with it. What it says is whole sentences: what is wrong with the
value, and what to write instead. `collect` puts the variable's name in front. A check never shows a value that may be a secret.
"""

from __future__ import annotations

import difflib
import re

MOST_PROBLEMS = 10    # of one variable that are told one by one: 10,000 accounts can be wrong in the same way

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
NUMBERS_AND_DOTS = re.compile(r"[0-9.]+")
LOCAL_PART = re.compile(r"[A-Za-z0-9_+'-]+(\.[A-Za-z0-9_+'-]+)*")
REALM = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


class Wrong(ValueError):
    """A value that cannot be used; every argument is one sentence or more about it."""


def collect(checks, settings, required=(), sources=None):
    """Return the problems of all variables as sentences that begin with the variable's name.

    checks:   variable -> function(value) that raises Wrong.
    settings: variable -> value; variables without a check are somebody else's, unless they look like a slip of the pen.
    required: variables that are checked even when nobody set them.
    sources:  variable -> the variables that its default is made from, the first of them first. A mistake is told once, and of the variable where it was made.
    """
    found = []
    for name, check in checks.items():
        if name in settings or name in required:
            made_in = made_from(name, settings, sources or {})
            if made_in == name or made_in not in checks:
                found += sentences(made_in, check, settings.get(name))
    for name in settings:
        if name not in checks:
            meant = difflib.get_close_matches(name, checks, n=1, cutoff=0.85)
            found += [f"{name}: there is no such variable, so nothing would use it. Write {meant[0]}."] if meant else []
    return found


def made_from(name, settings, sources):
    """Return the variable whose value this one has by default, or the variable itself when it has a value of its own."""
    same = (source for source in sources.get(name, ()) if (settings.get(source) or "") == (settings.get(name) or ""))
    return next(same, name)


def sentences(name, check, value):
    """Return what `check` says about the value, each sentence with the name in front."""
    try:
        check(value)
    except Wrong as wrong:
        said = list(wrong.args)
        if len(said) > MOST_PROBLEMS:
            said[MOST_PROBLEMS:] = [f"{len(said) - MOST_PROBLEMS} more problems of the same kind are not shown."]
        return [f"{name}: {sentence}" for sentence in said]
    return []


def passes(check, value):
    """Tell whether the check has nothing to say."""
    return not sentences("", check, value)


def each(items, check):
    """Check every item of a list or pair of a dictionary, and raise all that was said together."""
    said = []
    for item in items:
        try:
            check(item)
        except Wrong as wrong:
            said += wrong.args
    if said:
        raise Wrong(*said)


def plain(value):
    """Return the value in Python's own types: Ansible has its own text, lists and dictionaries, and text that is still encrypted."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if getattr(value, "__ENCRYPTED__", False):
        return str(value)
    return value


def shown(value):
    """Return the value for a message: on one line, not longer than a line, and nothing that may hold a secret."""
    if isinstance(value, bool):
        return "the truth value " + ("true" if value else "false")
    if value is None:
        return "nothing"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if not isinstance(value, str):
        return {dict: "a dictionary", list: "a list"}.get(type(value), "a " + type(value).__name__)
    if "-----BEGIN" in value:
        return "the text of a certificate or key (not shown)"
    value = re.sub(r"//[^/@\s]*@", "//(not shown)@", value)
    return repr(value if len(value) <= 80 else value[:77] + "...")


def text(value, what, example):
    """Text that is there, on one line, without control characters and blanks around it.

    what:    what to write, as the object of "Write".
    example: a good value.
    """
    remedy = f"Write {what}, for example {example}."
    if value is None or value == "":
        raise Wrong(f"is required and has no value. {remedy}")
    if not isinstance(value, str):
        raise Wrong(f"must be text and is {shown(value)}. {remedy}")
    if CONTROL.search(value):
        kind = "a line break" if re.search(r"[\r\n\u2028\u2029]", value) else "a control character"
        raise Wrong(f"{shown(value)} holds {kind}. {remedy}")
    if value != value.strip():
        raise Wrong(f"{shown(value)} has blanks around it. {remedy}")


def choice(value, choices):
    """One of a few words."""
    if value not in choices or isinstance(value, bool):
        raise Wrong(f"{shown(value)} is not a choice. Write one of {', '.join(choices)}, for example {choices[0]}.")


def whole_number(value, low, high, meaning):
    """A number from low to high. Digits in quotes are the same: templates, surveys and the command line give them."""
    remedy = f"Write {meaning}: a whole number from {low} to {high}, without unit."
    digits = isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value)
    if isinstance(value, bool) or not (isinstance(value, int) or digits):
        raise Wrong(f"{shown(value)} is not a whole number. {remedy}")
    if not low <= int(value) <= high:
        raise Wrong(f"{value} is out of range. {remedy}")


def smtp_port(value):
    """A port with STARTTLS."""
    whole_number(value, 1, 65535, "the port of the mail server, usually 587")
    if int(value) == 465:
        raise Wrong("port 465 speaks TLS from the start, which Microsoft does not offer. Write the port with STARTTLS, for example 587.")


def truth_value(value):
    """true or false; surveys and the command line give them as text."""
    if not isinstance(value, bool) and str(value).lower() not in ("true", "false", "yes", "no"):
        raise Wrong(f"{shown(value)} is neither true nor false. Write true or false, for example false.")


def host_name(value, what="the full name of a host", example="relay.example.org"):
    """A full name in DNS, in ASCII and without the dot at its end; not an address."""
    text(value, what, example)
    remedy = f"Write {what}, for example {example}."
    if "://" in value or "/" in value:
        raise Wrong(f"{shown(value)} is a URL or a path. Only the name is wanted. {remedy}")
    if "@" in value:
        raise Wrong(f"{shown(value)} is a mail address. Only the part after the @ is wanted. {remedy}")
    if NUMBERS_AND_DOTS.fullmatch(value) or re.fullmatch(r"\[.*\]|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", value):
        raise Wrong(f"{shown(value)} is an address, not a name. {remedy}")
    if ":" in value:
        raise Wrong(f"{shown(value)} holds a port. Only the name is wanted. {remedy}")
    if not value.isascii():
        raise Wrong(f"{shown(value)} holds characters that DNS does not have. Write {punycode(value) or 'its punycode form, xn--...'} instead.")
    if value.endswith("."):
        raise Wrong(f"{shown(value)} ends with a dot. Write {value.rstrip('.')!r} without it, for example {example}.")
    if "_" in value:
        raise Wrong(f"{shown(value)} holds an underscore, which host names may not have. {remedy}")
    labels = value.split(".")
    if len(value) > 253 or any(len(label) > 63 for label in labels):
        raise Wrong(f"{shown(value)} is too long: 63 characters between dots and 253 in all is the most. {remedy}")
    if not all(LABEL.fullmatch(label) for label in labels):
        raise Wrong(f"{shown(value)} is not a host name: only letters, digits, dots and hyphens inside. {remedy}")
    if len(labels) == 1:
        raise Wrong(f"{shown(value)} has no domain. {remedy}")
    if labels[-1].isdigit():
        raise Wrong(f"{shown(value)} ends with a number, as no domain does. {remedy}")


def punycode(name):
    """Return the name as DNS knows it, or None when there is no such form."""
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return None


def mail_address(value, what="a mail address", example="scans@example.org"):
    """An address as Microsoft 365 has them, and as a file name and Postfix's tables can hold them."""
    text(value, what, example)
    remedy = f"Write {what}, for example {example}."
    if "<" in value or ">" in value:
        raise Wrong(f"{shown(value)} is an address with a name or brackets. Only the address is wanted. {remedy}")
    if re.search(r"[\s,;]", value):
        raise Wrong(f"{shown(value)} holds a blank or a comma; exactly one address is wanted. {remedy}")
    if value.count("@") != 1:
        raise Wrong(f"{shown(value)} has {'no' if '@' not in value else 'more than one'} @. {remedy}")
    local, domain = value.split("@")
    if len(local) > 64 or not LOCAL_PART.fullmatch(local):
        raise Wrong(f"{shown(value)}: the part before the @ must be 1 to 64 letters, digits and . _ + - '. {remedy}")
    try:
        host_name(domain)
    except Wrong:
        hint = punycode(domain) if not domain.isascii() else None
        raise Wrong(f"{shown(value)}: the part after the @ is not a mail domain{f' in ASCII; its ASCII form is {hint}' if hint else ''}. {remedy}") from None


def realm(value):
    """What Cyrus SASL puts behind a plain user name."""
    what, example = "a realm, usually the mail domain", "example.org"
    text(value, what, example)
    if not REALM.fullmatch(value):
        raise Wrong(f"{shown(value)} is not a realm: only letters, digits, dots, hyphens and underscores. Write {what}, for example {example}.")


def absolute_path(value, what, example):
    """A path that Postfix and a shell read as one plain word."""
    remedy = f"Write {what}, for example {example}."
    if isinstance(value, str) and "-----BEGIN" in value:
        raise Wrong(f"holds the text of a certificate or key; the path of its file is wanted. {remedy}")
    text(value, what, example)
    if not value.startswith("/"):
        raise Wrong(f"{shown(value)} is not an absolute path. {remedy}")
    if not re.fullmatch(r"[A-Za-z0-9/._+@~-]+", value):
        raise Wrong(f"{shown(value)} holds characters that Postfix would not take as part of a path: only letters, digits and / . _ + @ ~ - are safe. {remedy}")
    if value.endswith("/") or {"", ".", ".."} & set(value[1:].split("/")):
        raise Wrong(f"{shown(value)} is not the plain path of a file: no slash at the end, no //, /./ or /../. {remedy}")


def list_of(value, what, example):
    """A list, even of one."""
    if not isinstance(value, list):
        raise Wrong(f"must be a list and is {shown(value) if not isinstance(value, str) else 'text'}. Write {what}, for example {example}.")


def keys(entry, wanted, optional=()):
    """The keys of a dictionary: all that are wanted, none that nothing would read."""
    known = (*wanted, *optional)
    for key in entry:
        if key not in known:
            meant = difflib.get_close_matches(str(key), known, n=1, cutoff=0.6)
            raise Wrong(f"has the key {shown(key)}, which nothing reads. Write {meant[0] if meant else 'only ' + ', '.join(known)}.")
    for key in wanted:
        if key not in entry:
            raise Wrong(f"has no {key}. Write all of {', '.join(wanted)}.")


def before(prefix, check, *arguments, **options):
    """Run a check on a part of a value, and say in front of its sentences which part it was."""
    try:
        check(*arguments, **options)
    except Wrong as wrong:
        raise Wrong(*(f"{prefix} {sentence}" for sentence in wrong.args)) from None
