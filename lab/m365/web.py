# SPDX-License-Identifier: GPL-3.0-or-later
"""A small threaded HTTP server that can be closed and opened again on its port, with or without TLS."""
from __future__ import annotations

import contextlib
import http.server
import socket
import socketserver
import threading

IDLE = 60  # seconds


class Drop(Exception):
    """Raised by an answer: the connection is cut and nothing is said."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; on :: it takes IPv4 as well."""
    if ":" in host:
        return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    return socket.create_server((host, port), backlog=128)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    tls = None  # function that gives the TLS context for a new connection

    def __init__(self, listener: socket.socket, handler):
        self.open_sockets: set[socket.socket] = set()
        super().__init__(listener.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def finish_request(self, request, client_address) -> None:
        """Runs in the connection's own thread, so a client that stays silent in the handshake holds up nobody."""
        request.settimeout(IDLE)
        connection = request
        self.open_sockets.add(connection)
        try:
            if self.tls:
                connection = self.tls().wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                self.open_sockets.add(connection)
                connection.do_handshake()
            self.RequestHandlerClass(connection, client_address, self)
        except (OSError, Drop):
            pass  # the client went away, did not like the certificate, or is to see a cut connection
        finally:
            self.open_sockets -= {request, connection}
            connection.close()

    def cut(self) -> None:
        for connection in list(self.open_sockets):
            with contextlib.suppress(OSError):  # it may have gone by itself
                connection.shutdown(socket.SHUT_RDWR)


class Service:
    """Opens and closes the server; keeps its port."""

    def __init__(self, host: str, port: int, handler, tls=None):
        self.host, self.port, self.handler, self.tls = host, port, handler, tls
        self.server = None

    def open(self) -> None:
        if self.server:
            return
        listener = listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        self.server = Server(listener, self.handler)
        self.server.tls = self.tls
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        if not self.server:
            return
        server, self.server = self.server, None
        server.shutdown()
        server.server_close()
        server.cut()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Microsoft-IIS/10.0", ""
    disable_nagle_algorithm = True

    def answer(self, method: str, body: bytes) -> tuple[int, dict, bytes]:
        """Status, headers and body; a subclass knows."""
        raise NotImplementedError

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, content = self.answer(self.command, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = do_PUT = handle_request

    @property
    def remote(self) -> str:
        return self.client_address[0].removeprefix("::ffff:")

    def log_message(self, *_args) -> None:
        """The request log says it better."""
