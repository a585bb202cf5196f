"""A local S3 server (moto) for tests, and a proxy before it that drops connections."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import struct
import threading
import urllib.request

import pytest

BUCKET = "bucket"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDTESTS",
    "AWS_SECRET_ACCESS_KEY": "SECRETTESTS",
    "AWS_REGION": "us-east-1",
}


class Server:
    """moto in threads of this process, on 127.0.0.1 alone."""

    def __init__(self):
        moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'hiertl-dist[s3-test]'")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/{BUCKET}", method="PUT")).close()

    def environment(self, url=None):
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": url or self.url}

    def stop(self):
        self._server.stop()


class DroppingProxy:
    """Hands on what it is sent, but cuts a connection in the midst of a request whose first line a pattern fits.

    ``cuts`` says how many more are cut, ``done`` which have been; the connection is reset, as by a router that dies.
    """

    def __init__(self, port, pattern, cuts, after_answer=False):
        self.pattern, self.cuts, self.done, self._port = re.compile(pattern), cuts, [], port
        self._after_answer = after_answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                cut = threading.Event()
                threading.Thread(target=self._requests, args=(client, server, cut), daemon=True).start()
                threading.Thread(target=self._answers, args=(client, server, cut), daemon=True).start()

    def _requests(self, client, server, cut):
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                line = data.partition(b"\r\n")[0].decode("latin-1")
                if self.cuts > 0 and self.pattern.match(line):
                    self.cuts -= 1
                    self.done.append(line)
                    cut.set()
                    if not self._after_answer:
                        server.sendall(data[: max(1, len(data) - 100)])
                        self._reset(client, server)
                        return
                server.sendall(data)
        self._reset(server)

    def _answers(self, client, server, cut):
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if cut.is_set():  # it was carried out, and nobody hears of it
                    self._reset(client, server)
                    return
                client.sendall(data)
        self._reset(client)

    @staticmethod
    def _reset(*sockets):
        for one in sockets:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def stop(self):
        self._listener.close()
