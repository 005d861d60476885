# SPDX-License-Identifier: GPL-3.0-or-later
"""A light SMTP server that takes everything: STARTTLS and AUTH as Microsoft's stand-in has them, but it checks nothing and keeps nothing.

The stand-in itself reads every message and logs every step; in a benchmark of throughput it would be what is measured. Arguments: port, port of
the counter, seconds that the end of a message takes. Whoever connects to the counter gets {"accepted", "last"}; it starts anew then.
"""

import asyncio
import json
import ssl
import sys
import time

CERTIFICATE = "/var/lib/m365-lab/good.pem"
COUNT = {"accepted": 0, "last": 0.0}


class Sink(asyncio.Protocol):
    def __init__(self, context, delay):
        self.context, self.delay, self.buffer, self.in_data, self.tls, self.auth = context, delay, b"", False, False, False

    def connection_made(self, transport):
        first = not self.tls
        self.transport = transport
        if first:
            self.say("220 sink")

    def say(self, text):
        self.transport.write(f"{text}\r\n".encode())

    def data_received(self, data):
        self.buffer += data
        while True:
            end = b"\r\n.\r\n" if self.in_data else b"\r\n"
            line, found, rest = self.buffer.partition(end)
            if not found:
                return
            self.buffer = rest
            if self.in_data:
                self.in_data = False
                asyncio.get_running_loop().call_later(self.delay, self.accept)
            else:
                self.command(line.upper())

    def accept(self):
        self.say("250 2.0.0 OK")
        COUNT["accepted"] += 1
        COUNT["last"] = time.time()

    def command(self, line):
        if self.auth:
            self.auth = False
            self.say("235 2.7.0 Authentication successful")
        elif line.startswith(b"EHLO"):
            self.say("250-sink\r\n250-SIZE 157286400\r\n250-PIPELINING\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"
                     + ("250-AUTH LOGIN XOAUTH2\r\n" if self.tls else "250-STARTTLS\r\n") + "250-8BITMIME\r\n250 SMTPUTF8")
        elif line == b"STARTTLS":
            self.say("220 2.0.0 SMTP server ready")
            asyncio.get_running_loop().create_task(self.start_tls())
        elif line.startswith(b"AUTH"):
            self.auth = len(line.split()) < 3
            self.say("334 " if self.auth else "235 2.7.0 Authentication successful")
        elif line == b"DATA":
            self.in_data = True
            self.say("354 go on")
        elif line == b"QUIT":
            self.say("221 2.0.0 bye")
            self.transport.close()
        else:
            self.say("250 2.1.0 OK")

    async def start_tls(self):
        self.tls = True
        self.transport = await asyncio.get_running_loop().start_tls(self.transport, self, self.context, server_side=True)


async def count(_reader, writer):
    writer.write(json.dumps(COUNT).encode())
    COUNT.update(accepted=0, last=0.0)
    await writer.drain()
    writer.close()


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    port, counter, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    server = await asyncio.get_running_loop().create_server(lambda: Sink(context, delay), None, port, backlog=512)
    await asyncio.start_server(count, None, counter)
    await server.serve_forever()


asyncio.run(main())
