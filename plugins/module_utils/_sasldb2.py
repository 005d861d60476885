# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts in Cyrus SASL's sasldb2, read and written in bulk (private to the collection).

The database is a Berkeley DB hash file: key = name NUL realm NUL property, value = in clear. Debian's db_dump and db_load
turn it into text and back, all accounts at once. In this file `entries` is the whole database, {key: value} as bytes.

Who reads the database sees the old file or the new one, never half of one: the new one is made aside, read back and then
renamed. A lock keeps two runs of this code apart. saslpasswd2 knows no lock, so the file is looked at again just before
the rename; when it has changed, everything starts again with what it holds now. What is left is a saslpasswd2 that opened
the old file before the rename and writes to it after it: its change is lost, as it is with two saslpasswd2 at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import re
import shutil
import stat
import time
from collections import namedtuple

from ._commands import CommandError, run
from ._files import sync_directory, temporary_name

TOOLS = ("db_verify", "db_dump", "db_load")
TOOL_SECONDS = 600
LOCK_SECONDS = 60
ATTEMPTS = 5

HEADER = b"VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n"
# Where the first page of a Berkeley DB hash file says that it is one, and how many entries there are.
HASH_MAGIC, MAGIC_AT, COUNT_AT = 0x061561, slice(12, 16), slice(88, 92)

PASSWORD = b"userPassword"
OTHER_SECRETS = b"cmusaslsecret"

# libsasl2 refuses longer ones: LOGIN takes 1024 bytes for the name and for the password; name@realm has 1024 in all.
NAME_BYTES = 255
PASSWORD_BYTES = 1024
NOT_IN_NAMES = re.compile(r"[ ,:@]")
USER_KEYS = ("name", "realm", "password", "state")

Decision = namedtuple("Decision", "changed entries added altered removed count")


class SasldbError(Exception):
    """The database cannot be read or written; the text names the file and the remedy, and no password."""


# --- The text form -----------------------------------------------------------------------------------------------------


def parse_dump(text):
    """Turn the text of db_dump (bytes) into entries. Raises ValueError."""
    lines = text.decode("ascii").splitlines()
    if "HEADER=END" not in lines or lines[-1] != "DATA=END":
        raise ValueError("the dump is not complete")
    start = lines.index("HEADER=END")
    for needed in ("VERSION=3", "format=bytevalue", "type=hash"):
        if needed not in lines[:start]:
            raise ValueError(f"its header lacks {needed}")
    data = [bytes.fromhex(line) for line in lines[start + 1:-1]]
    entries = dict(zip(data[::2], data[1::2], strict=False))
    if 2 * len(entries) != len(data):
        raise ValueError("a key stands there twice or has no value")
    return entries


def make_dump(entries):
    """Turn entries into the text that db_load reads (bytes)."""
    lines = "".join(f" {key.hex()}\n {value.hex()}\n" for key, value in entries.items())
    return HEADER + lines.encode() + b"DATA=END\n"


# --- What is wanted ----------------------------------------------------------------------------------------------------


def wanted_accounts(users, realm):
    """Check a list of {name, realm, password, state} and return (wanted, problems).

    wanted:   {(name, realm): password, or None if the account has to be absent}, as bytes.
    problems: sentences about what is wrong with the list; with any, `wanted` is not complete. They never hold a password.
    """
    if not isinstance(users, list):
        return {}, ["users must be a list of accounts"]
    wanted, problems = {}, []
    for number, user in enumerate(users, 1):
        account, wrong = _wanted_account(user, realm)
        if not wrong and account[:2] in wanted:
            wrong = ["this account stands in the list already: keep one of the two"]
        if wrong:
            name = user.get("name") if isinstance(user, dict) else None
            who = f"users, entry {number}" + (f" ({name!a})" if isinstance(name, str) and name else "")
            problems += [f"{who}: {sentence}" for sentence in wrong]
        else:
            wanted[account[:2]] = account[2]
    return wanted, problems


def _wanted_account(user, default_realm):
    """Return ((name, realm, password or None) as bytes, problems) for one entry of the list."""
    if not isinstance(user, dict):
        return None, ["an account must be a mapping with name and password"]
    problems = [f"{key!a} is not known: use {', '.join(USER_KEYS)}" for key in user if key not in USER_KEYS]
    name, realm, password = user.get("name"), user.get("realm"), user.get("password")
    state = user.get("state") or "present"
    if state not in ("present", "absent"):
        problems.append("state must be present or absent")
    if isinstance(name, str) and name.count("@") == 1:
        name, named_realm = name.split("@")
        if realm not in (None, "", named_realm):
            problems.append("the name has a realm of its own after its @: leave one of the two out")
        realm = named_realm
    elif realm in (None, ""):
        realm = default_realm
    problems += name_problems("name", name) + name_problems("realm", realm)
    if state == "present":
        problems += password_problems(password)
    if problems:
        return None, problems
    return (name.encode(), realm.encode(), encoded(password) if state == "present" else None), []


def name_problems(what, value):
    """Say what is wrong with an account's name or realm (`what`); an empty list if nothing is."""
    if value in (None, ""):
        return [f"{what} is missing"]
    if not isinstance(value, str):
        return [f"{what} must be text: put it in quotes"]
    if not value.isprintable() or NOT_IN_NAMES.search(value):
        return [f"{what} must not have spaces, control characters, commas, colons or a further @"]
    if len(encoded(value)) > NAME_BYTES:
        return [f"{what} must not be longer than {NAME_BYTES} bytes"]
    return []


def password_problems(value):
    """Say what is wrong with a password, without showing it; an empty list if nothing is."""
    if value in (None, ""):
        return ["password is missing or empty"]
    if not isinstance(value, str):
        return ["password must be text: put it in quotes"]
    if "\0" in value:
        return ["password must not have a NUL character"]
    try:
        length = len(encoded(value))
    except UnicodeEncodeError:
        return ["password has a character that is no Unicode text (half of a surrogate pair)"]
    return [f"password must not be longer than {PASSWORD_BYTES} bytes"] if length > PASSWORD_BYTES else []


def encoded(text):
    """Return the bytes of a text; bytes that are no UTF-8 come through unchanged when Python read them with surrogateescape."""
    return text.encode("utf-8", "surrogateescape")


def decide(entries, wanted, exclusive):
    """Compare a database with the wanted accounts and return a Decision: its new entries and sorted name@realm lists.

    exclusive: accounts that are not in `wanted` are removed.

    A wanted account signs in with its password and with nothing else: libsasl2 lets it in with an old cmusaslsecretPLAIN
    too. So its other secrets go, and those of removed accounts. All other accounts and properties stay as they are.
    """
    held = {}
    for key, value in entries.items():
        parts = key.split(b"\0")
        if len(parts) == 3 and (parts[2] == PASSWORD or parts[2].startswith(OTHER_SECRETS)):
            held.setdefault((parts[0], parts[1]), {})[parts[2]] = value
    removed = {account for account in held if wanted.get(account) is None and (exclusive or account in wanted)}
    written = {account: password for account, password in wanted.items() if password is not None and held.get(account) != {PASSWORD: password}}
    altered = written.keys() & held.keys()
    new = dict(entries)
    for account in removed | altered:
        for secret in held[account]:
            del new[b"\0".join((*account, secret))]
    for account, password in written.items():
        new[b"\0".join((*account, PASSWORD))] = password
    return Decision(
        changed=bool(removed or written),
        entries=new,
        added=_names(written.keys() - held.keys()),
        altered=_names(altered),
        removed=_names(removed),
        count=len((held.keys() - removed) | written.keys()),
    )


def _names(accounts):
    return sorted((name + b"@" + realm).decode("utf-8", "backslashreplace") for name, realm in accounts)


# --- The file ----------------------------------------------------------------------------------------------------------


def missing_tools():
    """Return the database programs that this host lacks."""
    return [tool for tool in TOOLS if not shutil.which(tool, path=os.defpath)]


def update(path, wanted, exclusive, check=False):
    """Bring the database file to what is wanted and return the Decision. With `check`, only decide. Raises SasldbError."""
    if missing_tools():
        raise SasldbError(f"{path} cannot be read: {', '.join(missing_tools())} not found. Install the package db-util.")
    try:
        entries, seen = read(path)
        decision = decide(entries, wanted, exclusive)
        if check or not decision.changed:
            return decision
        with _locked(path):
            _remove_leftovers(path)
            for _attempt in range(ATTEMPTS):
                if _stamp(path) != seen:
                    entries, seen = read(path)
                    decision = decide(entries, wanted, exclusive)
                if not decision.changed or write(path, decision.entries, seen):
                    return decision
    except (OSError, CommandError) as error:
        raise SasldbError(f"{path} was left as it is: {error}") from error
    raise SasldbError(f"{path} was left as it is: another program keeps changing it. Stop that program and run this again.")


def read(path):
    """Return (entries, stamp) of the database file; a missing file is an empty database.

    Nothing is written, not even to a damaged file. Raises SasldbError, OSError, CommandError.
    """
    for _attempt in range(ATTEMPTS):
        seen = _stamp(path)
        if seen is None:
            return {}, None
        problem = None
        try:
            entries = _read_whole(path)
        except (CommandError, ValueError) as error:
            problem = error
        if _stamp(path) == seen:
            break
    else:
        raise SasldbError(f"{path} could not be read: another program keeps changing it. Stop that program and run this again.")
    if problem is not None:
        raise SasldbError(
            f"{path} is damaged or is not a sasldb2 database (a Berkeley DB hash file): {str(problem).splitlines()[0]}. "
            f"It was left as it is. Put back a good copy, or move it away (mv {path} {path}.bad): the next run makes a new one."
        )
    return entries, seen


def write(path, entries, seen):
    """Put a new database file in the place of the one that had the stamp `seen`; return False if that one has changed since.

    Raises SasldbError, OSError, CommandError; then, as after a kill, the old file is what it was.
    """
    temporary = temporary_name(path)
    try:
        # db_load fills an empty file in place, but makes a missing one readable by everybody.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        _run_tool("db_load", temporary, make_dump(entries))
        try:
            whole = _read_whole(temporary) == entries
        except ValueError:
            whole = False
        if not whole:
            raise SasldbError(f"{path} was left as it is: db_load wrote something else than it was given. Is the disk full or damaged?")
        uid, gid, mode = _owner_and_mode(path)
        handle = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchown(handle, uid, gid)
            os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        if _stamp(path) != seen:
            os.unlink(temporary)
            return False
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))
    return True


def _read_whole(path):
    """Return the entries of a file that stands still. Raises ValueError or CommandError if something is missing in it.

    The tools do not notice when whole pages are cut off or zeroed; but the first page says how many entries there are.
    """
    with open(path, "rb") as stream:
        page = stream.read(COUNT_AT.stop)
    order = next((order for order in ("little", "big") if page[MAGIC_AT] == HASH_MAGIC.to_bytes(4, order)), None)
    if order is None:
        raise ValueError("it does not begin like one")
    count = int.from_bytes(page[COUNT_AT], order)
    _run_tool("db_verify", path)
    entries = parse_dump(_run_tool("db_dump", path).stdout)
    if len(entries) != count:
        raise ValueError(f"it should have {count} entries and {len(entries)} can be read")
    return entries


def _run_tool(tool, path, stdin=None):
    """Run a database program on a file, without the database environment that the current directory or DB_HOME might hold."""
    return run([tool, "-h", os.path.dirname(path), path], stdin=stdin, timeout=TOOL_SECONDS)


def _stamp(path):
    """Return what changes when the file does, or None if there is no file. Raises SasldbError if it is no regular file."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        raise SasldbError(f"{path} is a symbolic link. It was left as it is. Put the file itself there: a link would be replaced by the new file.")
    if not stat.S_ISREG(found.st_mode):
        raise SasldbError(f"{path} is not a file. It was left as it is. Move it away (mv {path} {path}.bad): the next run makes a new one.")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _owner_and_mode(path):
    """Return (uid, gid, mode) of the file, or Debian's for a sasldb2 if there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return 0, grp.getgrnam("sasl").gr_gid, 0o660
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


@contextlib.contextmanager
def _locked(path):
    """Keep other runs away from the file. The lock's own file stays: removing it would let two runs in."""
    name = f"{os.path.dirname(path)}/.{os.path.basename(path)}.lock"
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SasldbError(
                        f"{path} was left as it is: another run has held {name} for {LOCK_SECONDS} seconds. Try again when it is done."
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _remove_leftovers(path):
    """Remove what a killed run left beside the file. Only for who holds the lock: then there is no other run."""
    directory, name = os.path.split(path)
    for found in os.listdir(directory):
        if found.startswith(f".{name}.") and found.endswith(".new"):
            os.unlink(f"{directory}/{found}")
