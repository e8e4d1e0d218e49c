"""A small NATS client for tests: one socket, one reader thread, nothing but the standard library.

    with Nats(url) as nats:                                  # or a list of urls, separated by commas
        nats.publish("healthmed.v1.booking.3.7", b"junk", {"Healthmed-Call": "booking.book"})
        reply = nats.request("$SRV.PING", b"")               # Message; Timeout after 5 s
        sub = nats.subscribe("healthmed.v1.events.>")
        fact = sub.next(timeout=2)
        nats.js("STREAM.INFO.BOOKING")["state"]["messages"]  # the JetStream API; ApiError
        nats.stored("BOOKING", "healthmed.v1.booking.3.7", b"…", {...})   # the stream's sequence
"""
import base64
import itertools
import json
import queue
import secrets
import socket
import threading
from urllib.parse import urlsplit


class Timeout(Exception):
    """No message in time."""


class NoResponders(Exception):
    """Nobody listens to the subject of a request."""


class ApiError(Exception):
    """JetStream refused; .code is its err_code."""

    def __init__(self, error):
        super().__init__(error.get("description"))
        self.code = error.get("err_code")


class Message:
    def __init__(self, subject, reply, headers, status, data):
        self.subject, self.reply, self.headers, self.status, self.data = subject, reply, headers, status, data

    def json(self):
        return json.loads(self.data)

    def __repr__(self):
        return f"<{self.subject} {self.status or ''} {self.headers} {self.data[:80]!r}>"


class Subscription:
    def __init__(self, nats, sid):
        self.nats, self.sid, self.messages = nats, sid, queue.Queue()

    def next(self, timeout=5):
        """The next message."""
        try:
            return self.messages.get(timeout=timeout)
        except queue.Empty:
            raise Timeout(f"no message on subscription {self.sid} within {timeout} s") from None

    def all(self, timeout=0.2):
        """What comes until nothing has come for that long."""
        found = []
        while True:
            try:
                found.append(self.messages.get(timeout=timeout))
            except queue.Empty:
                return found

    def close(self):
        self.nats._subscriptions.pop(self.sid, None)
        self.nats._send(f"UNSUB {self.sid}\r\n".encode())


class Nats:
    def __init__(self, url, name="tests", inbox="_INBOX"):
        self.errors = []                        # what the server refused, e.g. a permission
        self._subscriptions, self._sids = {}, itertools.count(1)
        self._lock, self._pong = threading.Lock(), queue.Queue()
        at, self._socket = self._connect(url.split(","))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.info = json.loads(self._file.readline().split(b" ", 1)[1])
        options = {"verbose": False, "pedantic": False, "name": name, "lang": "python", "version": "1",
                   "protocol": 1, "headers": True, "no_responders": True}
        if at.username is not None:
            options.update(user=at.username, **{"pass": at.password or ""})
        self._send(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
        answer = self._file.readline()
        if not answer.startswith(b"PONG"):
            raise ConnectionError(answer.decode().strip())
        self._socket.settimeout(None)
        self._inbox = f"{inbox}." + secrets.token_hex(8)
        threading.Thread(target=self._read, daemon=True).start()

    @staticmethod
    def _connect(urls):
        """The first of the servers that listens."""
        for url in urls:
            at = urlsplit(url)
            try:
                return at, socket.create_connection((at.hostname, at.port or 4222), timeout=5)
            except OSError:
                if url == urls[-1]:
                    raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def flush(self, timeout=5):
        """Returns when the server has seen all that was sent, with its refusals in .errors."""
        self._send(b"PING\r\n")
        try:
            self._pong.get(timeout=timeout)
        except queue.Empty:
            raise Timeout("no PONG") from None

    def publish(self, subject, data=b"", headers=None, reply=""):
        if headers is None:
            self._send(f"PUB {subject} {reply} {len(data)}\r\n".encode() + data + b"\r\n")
        else:
            head = "NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
            head = head.encode()
            self._send(f"HPUB {subject} {reply} {len(head)} {len(head) + len(data)}\r\n".encode()
                       + head + data + b"\r\n")

    def subscribe(self, subject, queue_group=""):
        sub = Subscription(self, next(self._sids))
        self._subscriptions[sub.sid] = sub
        self._send(f"SUB {subject} {queue_group} {sub.sid}\r\n".encode())
        return sub

    def request(self, subject, data=b"", headers=None, timeout=5):
        inbox = f"{self._inbox}.{secrets.token_hex(6)}"
        sub = self.subscribe(inbox)
        try:
            self.publish(subject, data, headers, inbox)
            message = sub.next(timeout)
        finally:
            sub.close()
        if message.status == 503 and not message.data:
            raise NoResponders(subject)
        return message

    def js(self, method, timeout=5, **arguments):
        """A request to the JetStream API, e.g. js("STREAM.PURGE.BOOKING", filter="…")."""
        data = json.dumps(arguments).encode() if arguments else b""
        answer = self.request("$JS.API." + method, data, timeout=timeout).json()
        if "error" in answer:
            raise ApiError(answer["error"])
        return answer

    def stored(self, stream, subject, data=b"", headers=None, timeout=5):
        """Publishes into a stream and returns the sequence it got there."""
        answer = self.request(subject, data, headers, timeout).json()
        if "error" in answer:
            raise ApiError(answer["error"])
        assert answer["stream"] == stream, answer
        return answer["seq"]

    def message(self, stream, seq):
        """A stored message as a Message; ApiError when there is none."""
        m = self.js(f"STREAM.MSG.GET.{stream}", seq=seq)["message"]
        headers = _headers(base64.b64decode(m.get("hdrs", "")))[1]
        return Message(m["subject"], "", headers, None, base64.b64decode(m.get("data", "")))

    def _send(self, data):
        with self._lock:
            self._socket.sendall(data)

    def _read(self):
        try:
            while line := self._file.readline():
                word, *rest = line.split()
                word = word.upper()
                if word in (b"MSG", b"HMSG"):
                    self._take(word, rest)
                elif word == b"PING":
                    self._send(b"PONG\r\n")
                elif word == b"PONG":
                    self._pong.put(True)
                elif word == b"-ERR":
                    self.errors.append(line[5:].decode().strip().strip("'"))
        except (OSError, ValueError):
            pass                                # closed

    def _take(self, word, rest):
        sizes = 2 if word == b"HMSG" else 1
        subject, sid, *reply = (x.decode() for x in rest[:-sizes])
        total = int(rest[-1])
        body = self._file.read(total + 2)[:-2]
        cut = int(rest[-2]) if sizes == 2 else 0
        status, headers = _headers(body[:cut])
        sub = self._subscriptions.get(int(sid))
        if sub is not None:
            sub.messages.put(Message(subject, reply[0] if reply else "", headers, status, body[cut:]))


def _headers(block):
    first, *lines = block.decode("utf-8", "replace").split("\r\n") if block else [""]
    words = first.split()
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
    return status, {k: v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
