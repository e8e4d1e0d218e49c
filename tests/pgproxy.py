"""Stands between PostgreSQL's socket and its clients, and loses the connection of one of them at its COMMIT.

    with PgProxy(stack) as proxy:
        with proxy.cutting("booking_write_requests", "applied"):    # at the COMMIT that follows that query
            ...

The modes: "unsent" (the server never hears of it), "applied" (it is done, and nobody is told), "under way"
(the client is cut off at once, while the server is still at it).
"""
import socket
import struct
import threading
from contextlib import contextmanager

MODES = ("unsent", "applied", "under way")


class PgProxy:
    def __init__(self, stack):
        home = (stack.run / "postgres").resolve()
        self.path, self.behind = home / ".s.PGSQL.5432", home / ".behind"
        self.query = self.mode = None
        self.cuts = 0
        self._lock = threading.Lock()

    def __enter__(self):
        """New connections go through here; those that exist stay as they are."""
        self.path.rename(self.behind)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.path.chmod(0o777)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.behind.rename(self.path)           # those that exist go on
        self.listener.close()

    @contextmanager
    def cutting(self, query, mode):
        """Arms it for one COMMIT after that query; fails when none came."""
        assert mode in MODES
        before = self.cuts
        with self._lock:
            self.query, self.mode = query, mode
        try:
            yield
        finally:
            with self._lock:
                self.query = None
        assert self.cuts == before + 1, "one connection was cut"

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self.behind))
            link = _Link(self, client, server)
            threading.Thread(target=link.forth, daemon=True).start()
            threading.Thread(target=link.back, daemon=True).start()

    def takes(self, queries):
        """The mode, if the COMMIT after these is the one that is waited for."""
        with self._lock:
            if self.query not in queries:
                return None
            self.query = None
            self.cuts += 1
            return self.mode


class _Link:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server, self.mode = proxy, client, server, None

    def forth(self):
        """Whole messages of the client; the first has no type."""
        try:
            n = struct.unpack("!I", self._read(4))[0]
            self.server.sendall(struct.pack("!I", n) + self._read(n - 4))
            queries = set()                     # since the last COMMIT
            while True:
                kind = self._read(1)
                n = struct.unpack("!I", self._read(4))[0]
                body = self._read(n - 4)
                if kind == b"B":                # portal and statement, by name
                    queries.add(body.split(b"\0", 2)[1].decode())
                if "core_commit" in queries:
                    mode, queries = self.proxy.takes(queries), set()
                    if mode == "unsent":
                        break
                    self.mode = mode
                self.server.sendall(kind + struct.pack("!I", n) + body)
                if kind == b"S" and self.mode == "under way":
                    self._end(self.client)
                    return                      # the server is left to it
        except (OSError, EOFError):
            pass
        self._end(self.client)
        self._end(self.server)

    def back(self):
        """What the server says, until it said COMMIT to a client that is not to hear it."""
        try:
            while data := self.server.recv(65536):
                if self.mode is None:
                    self.client.sendall(data)
                elif b"COMMIT\0" in data:
                    break
        except OSError:
            pass
        self._end(self.client)
        self._end(self.server)

    def _read(self, n):
        data = b""
        while len(data) < n:
            more = self.client.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    @staticmethod
    def _end(s):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
