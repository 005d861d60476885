# SPDX-License-Identifier: GPL-3.0-or-later
"""The token files that sasl-xoauth2 reads, and what the relay remembers beside them (private to the collection).

An identity is a dict: mailbox, sign_in_as (who signs in for it), tenant_id, client_id, grant, login_host, scope, audiences (list),
smtp_host, smtp_port, refresh_window (seconds), credential (path of a secret or certificate), proxy, ca_file; "" for what it has not.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import pwd
import re
import stat
import time

from ._files import read_if_there, write_atomically

BASE = "/var/lib/m365-relay"
TOKENS = BASE + "/tokens"
STATE = BASE + "/state"
OWNER = "postfix"
CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
PERSONS_GRANT = "device_code"
# A token of the app itself has no refresh token, and the plugin wants one: it gets a word, and a place where nobody listens.
NONE_TO_REFRESH = "unused"
NOWHERE = "http://127.0.0.1:9/the-timer-renews-this-token"
HIGH_VOLUME = ".hve.mx.microsoft"
ABANDONED_SECONDS = 3600  # A temporary file of the plugin's that is older than this belongs to a killed process.


class LockedError(Exception):
    """Somebody else has been working on the same mailbox for too long."""


class OwnerMissingError(Exception):
    """The system user that has to own token files does not exist."""


def token_path(mailbox):
    """Return the path of a mailbox's token file. Raises ValueError for what cannot be a file name."""
    return f"{TOKENS}/{_file_name(mailbox)}"


def state_path(mailbox, kind):
    """Return the path of a mailbox's "json" (metadata), "pending" (a sign-in that waits for a person) or "lock"."""
    return f"{STATE}/{_file_name(mailbox)}.{kind}"


def _file_name(mailbox):
    if not re.fullmatch(r"[^\s/\0.][^\s/\0]*@[^\s/\0]+", mailbox):
        raise ValueError(f"{mailbox!r} is not a mailbox address")
    return mailbox.lower()


def is_app_only(identity):
    """Tell whether the app signs in by itself, without a person and without a refresh token."""
    return identity["grant"] != PERSONS_GRANT


def token_endpoint(identity):
    """Return the URL where the plugin renews this identity's access token."""
    if is_app_only(identity):
        return NOWHERE
    return f"https://{identity['login_host']}/{identity['tenant_id']}/oauth2/v2.0/token"


def load(path):
    """Return a JSON file as a dict, or None if there is no file. Raises ValueError when it is damaged."""
    content = read_if_there(path)
    if content is None:
        return None
    try:
        loaded = json.loads(content)
    except ValueError:
        loaded = None  # The error's text would quote the file.
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} is not a JSON object")
    return loaded


def claims(token):
    """Return the claims of a JWT without verifying it, or {} for any other text: Microsoft may make tokens opaque."""
    try:
        payload = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (AttributeError, IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def expiry(token):
    """Return when a token file's access token expires in seconds since 1970, or 0 when it does not say so."""
    text = str(token.get("expiry", ""))
    return int(text) if text.isascii() and text.isdigit() else 0


def why_not_good(token, identity):
    """Return None if a token file's content is for this identity, or the reason as (name, detail) if it is not.

    It looks at the file alone. Whether Microsoft still accepts it shows when it is renewed.
    """
    if token is None:
        return ("token_missing", "")
    if not all(isinstance(value, str) for value in token.values()) or not token.get("access_token"):
        return ("token_damaged", "")
    if not token.get("refresh_token"):
        return ("no_refresh_token", "")
    if (token["refresh_token"] == NONE_TO_REFRESH) != is_app_only(identity):
        return ("token_missing", "The one that is there came by another grant.")
    for name, key, wanted, words in (
        ("wrong_mailbox", "user", identity["mailbox"], "It is for"),
        ("wrong_client", "client_id", identity["client_id"], "It was given to"),
        ("wrong_tenant", "token_endpoint", token_endpoint(identity), "It is renewed at"),
    ):
        if token.get(key, "").lower() != wanted.lower():
            return (name, f"{words} {token.get(key) or 'an unknown one'}.")
    return mismatch(claims(token["access_token"]), identity)


def mismatch(found, identity):
    """Return the reason as (name, detail) why an access token's claims are not this identity's, or None.

    Only claims that are there can be wrong.
    """
    for name, claim, accepted, words in (
        ("wrong_person", person_of(found), [] if is_app_only(identity) else [identity["sign_in_as"]], "It belongs to"),
        ("wrong_tenant", found.get("tid"), [identity["tenant_id"]], "It is from tenant"),
        ("wrong_client", found.get("appid") or found.get("azp"), [identity["client_id"]], "It was given to"),
        ("wrong_audience", found.get("aud"), identity["audiences"], "It is for"),
    ):
        if claim and _plain(claim) not in map(_plain, accepted):
            return (name, f"{words} {claim}.")
    if is_app_only(identity):
        return _wrong_role(found, identity)
    if "scp" in found and permission(identity) not in _plain(found["scp"]).split():
        return ("wrong_scope", f"It allows: {found['scp'] or 'nothing'}.")
    return None


def _wrong_role(found, identity):
    """What an app may do stands in its roles, or, with application RBAC, in Exchange alone: then there are none."""
    if found.get("scp"):
        return ("wrong_role", "It is a person's.")
    needed = "Mail.Send" if identity["smtp_host"].endswith(HIGH_VOLUME) else "SMTP.SendAsApp"
    roles = found.get("roles") or []
    if roles and needed not in roles:
        return ("wrong_role", f"It allows: {', '.join(map(str, roles))}; needed is {needed}.")
    return None


def _plain(text):
    return str(text).rstrip("/").lower()


def person_of(found):
    """Return who signed in according to a token's claims, or None."""
    return found.get("upn") or found.get("preferred_username") or found.get("unique_name")


def permission(identity):
    """Return the permission's own name within the scope, as tokens carry it, in lower case: smtp.send."""
    return identity["scope"].rpartition("/")[2].lower()


def granted(token):
    """Return what a token allows, as text: a person's scopes or an app's roles."""
    found = claims(token)
    return str(found.get("scp") or " ".join(map(str, found.get("roles") or [])))


def owner_of(token):
    """Return whose a token is, as it says itself: a person or the app; "" when it does not say."""
    found = claims(token)
    return str(person_of(found) or found.get("appid") or found.get("azp") or "")


def is_proven(token, identity):
    """Tell whether a token says itself whose it is. One that does not has to be asked about."""
    found = claims(token["access_token"])
    return bool(found.get("appid") or found.get("azp")) if is_app_only(identity) else bool(person_of(found))


def content(identity, access_token, refresh_token, expires_at):
    """Return what has to stand in the token file, as bytes.

    All values are texts, as the plugin wants them. refresh_window stands here because plugin 0.27 ignores it in its
    configuration, and client_secret does not, because plugins before 0.27 refuse an empty one in this file.
    """
    values = {
        "access_token": access_token,
        "refresh_token": refresh_token,
        "expiry": str(int(expires_at)),
        "user": identity["mailbox"],
        "client_id": identity["client_id"],
        "token_endpoint": token_endpoint(identity),
        "refresh_window": str(identity["refresh_window"]),
    }
    return render({**values, **network(identity)})


def network(identity):
    """Return how the plugin reaches Microsoft's sign-in, where that is not its default."""
    proxy = {"proxy": identity["proxy"]} if identity["proxy"] else {}
    return {**proxy, "ca_bundle_file": identity["ca_file"]} if identity["ca_file"] != CA_FILE else proxy


def render(values):
    """Return a dict as the bytes of a JSON file."""
    return (json.dumps(values, indent=2) + "\n").encode()


def is_stored(mailbox, wanted):
    """Tell whether the token file is exactly as it should be: content, owner and mode."""
    path = token_path(mailbox)
    if read_if_there(path) != wanted:
        return False
    status = os.lstat(path)
    return stat.S_IMODE(status.st_mode) == 0o600 and (status.st_uid, status.st_gid) == owner()


def store(mailbox, wanted):
    """Write the token file. Call it under the lock."""
    uid, gid = owner()
    write_atomically(token_path(mailbox), wanted, 0o600, uid, gid)


def owner():
    """Return user and group id that own token files. Raises OwnerMissingError."""
    try:
        user = pwd.getpwnam(OWNER)
    except KeyError:
        user = None
    if user is None:
        raise OwnerMissingError(f"there is no user {OWNER} on this host: install the package postfix first")
    return user.pw_uid, user.pw_gid


def directories():
    """Return the directories that have to exist, in order: {path: (mode, uid, gid)}."""
    uid, gid = owner()
    return {BASE: (0o755, 0, 0), TOKENS: (0o700, uid, gid), STATE: (0o700, 0, 0)}


def ensure_directories(check_only=False):
    """Make the directories of tokens and state, or correct their owner and mode. Returns whether anything was wrong."""
    try:
        wanted = directories()
    except OwnerMissingError:
        if check_only:
            return True
        raise
    changed = False
    for path, (mode, uid, gid) in wanted.items():
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            status = None
        if status and (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, uid, gid):
            continue
        changed = True
        if check_only:
            continue
        if status is None:
            os.mkdir(path, 0o700)
        os.chown(path, uid, gid, follow_symlinks=False)
        os.chmod(path, mode)
    return changed


@contextlib.contextmanager
def locked(mailbox, patience=60):
    """Be the only one who works on a mailbox's token. Raises LockedError after `patience` seconds."""
    handle = os.open(state_path(mailbox, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _lock(handle, mailbox, time.monotonic() + patience)
        yield
    finally:
        os.close(handle)


def _lock(handle, mailbox, deadline):
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return
    raise LockedError(f"another sign-in or renewal for {mailbox} has not ended: try again")


def remove_abandoned(mailbox, now):
    """Remove the temporary files that killed writers left behind for this mailbox. Call it under the lock.

    Under the lock nobody else of ours is writing. The plugin knows no lock, so its own files have to be old.
    """
    name = re.escape(_file_name(mailbox))
    ours = re.compile(rf"\.{name}(\.json|\.pending)?\.[0-9a-f]{{16}}\.new")
    plugins = re.compile(rf"{name}\.[0-9]+\.[0-9]+")
    for directory in (TOKENS, STATE):
        for entry in os.scandir(directory):
            with contextlib.suppress(FileNotFoundError):  # The plugin may finish its file in this moment.
                old = plugins.fullmatch(entry.name) and now - entry.stat(follow_symlinks=False).st_mtime > ABANDONED_SECONDS
                if old or ours.fullmatch(entry.name):
                    os.unlink(entry.path)
