# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask Cyrus SASL's own library, as Postfix does, whether it lets accounts in: `sasl_login.py DATABASE REALM` < JSON.

Standard input is a list of [name, password]; standard output a list of true and false. A process of its own, because the
library is set up once for each process.
"""

from __future__ import annotations

import ctypes
import json
import sys

SASL_CB_GETOPT = 1
SASL_OK, SASL_FAIL = 0, -1
REFUSALS = (-13, -20)    # wrong password, no such user

GETOPT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p,
                          ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(ctypes.c_uint))


class Callback(ctypes.Structure):
    _fields_ = (("id", ctypes.c_ulong), ("proc", GETOPT), ("context", ctypes.c_void_p))


def main(database, realm):
    options = {b"pwcheck_method": b"auxprop", b"auxprop_plugin": b"sasldb", b"sasldb_path": database.encode()}

    @GETOPT
    def getopt(_context, _plugin, option, result, length):
        if option not in options:
            return SASL_FAIL
        result[0] = options[option]
        if length:
            length[0] = len(options[option])
        return SASL_OK

    library = ctypes.CDLL("libsasl2.so.2")
    callbacks = (Callback * 2)(Callback(SASL_CB_GETOPT, getopt, None), Callback(0, GETOPT(), None))
    answer = library.sasl_server_init(callbacks, b"test")
    if answer != SASL_OK:
        sys.exit(f"sasl_server_init: {answer}")
    let_in = []
    for name, password in json.load(sys.stdin):
        connection = ctypes.c_void_p()
        answer = library.sasl_server_new(b"smtp", b"relay.test", realm.encode(), None, None, callbacks, 0, ctypes.byref(connection))
        if answer != SASL_OK:
            sys.exit(f"sasl_server_new: {answer}")
        user, secret = name.encode("utf-8", "surrogateescape"), password.encode("utf-8", "surrogateescape")
        answer = library.sasl_checkpass(connection, user, len(user), secret, len(secret))
        if answer not in (SASL_OK, *REFUSALS):
            sys.exit(f"sasl_checkpass: {answer}")
        let_in.append(answer == SASL_OK)
        library.sasl_dispose(ctypes.byref(connection))
    print(json.dumps(let_in))


if __name__ == "__main__":
    main(*sys.argv[1:])
