"""One chat turn over an open WebSocket beside one over a new HTTPS connection.

A forwarder in the bench itself stands between client and relay and passes each chunk on after half
the round trip asked for. It counts round trips as well: each time the client speaks after the relay
did, or at the beginning, one begins. TCP's own handshake ends at the forwarder, so that it is charged
there: as one round trip, and by holding the first chunk back for as long.
"""

import os
import queue
import socket
import ssl
import struct
import subprocess
import threading
import time

CHUNK_BYTES = 65536
PATIENCE_S = 20
MESSAGES = ('[{"role":"system","content":"You are a careful assistant."},'
            '{"role":"user","content":"Say something about relays in a few words."}]')
FIRST = b'"content":'


class Forwarder:
    """Listens on loopback until it is closed; one relay behind it."""

    def __init__(self, port, round_trip_s):
        self.target = ("127.0.0.1", port)
        self.delay_s = round_trip_s / 2
        self.trips = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.trips += 1  # TCP's handshake
            relay = socket.create_connection(self.target)
            last = [None]
            ready = time.monotonic() + 2 * self.delay_s
            for source, sink, name, since in ((client, relay, "client", ready),
                                              (relay, client, "relay", 0)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                chunks = queue.SimpleQueue()
                threading.Thread(target=self.read, args=(source, chunks, name, last, since),
                                 daemon=True).start()
                threading.Thread(target=self.write, args=(sink, chunks), daemon=True).start()

    def read(self, source, chunks, name, last, since):
        while True:
            try:
                chunk = source.recv(CHUNK_BYTES)
            except OSError:
                chunk = b""
            with self.lock:
                if chunk and name == "client" and last[0] != "client":
                    self.trips += 1
                last[0] = name
            chunks.put((max(time.monotonic(), since) + self.delay_s, chunk))
            if not chunk:
                return

    @staticmethod
    def write(sink, chunks):
        while True:
            due, chunk = chunks.get()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not chunk:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(chunk)
            except OSError:
                return

    def close(self):
        self.listener.close()


class Turns:
    """A client of one way to ask; `turn` returns the seconds until the first text. Every turn has
    the same short answer."""

    def __init__(self, port, key, context, is_ws, is_kept):
        self.port = port
        self.key = key
        self.context = context  # of TLS; None: plain
        self.is_ws = is_ws
        self.is_kept = is_kept
        self.connection = None
        self.buffer = b""

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            connection = self.context.wrap_socket(connection, server_hostname="localhost")
        self.connection = connection
        if not self.is_ws:
            return
        connection.sendall((f"GET /v1/ws/chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                            f"Authorization: Bearer {self.key}\r\n\r\n").encode())
        self.read_until(b"\r\n\r\n")

    def read_until(self, mark, so_far=b""):
        while mark not in so_far:
            chunk = self.connection.recv(CHUNK_BYTES)
            if not chunk:
                raise OSError(f"the relay closed before {mark!r}: {so_far[-300:]!r}")
            so_far += chunk
        return so_far

    def ask(self):
        if self.is_ws:
            text = f'{{"model":"bench","messages":{MESSAGES},"user":"0000000001"}}'.encode()
            mask = os.urandom(4)
            masked = bytes(byte ^ mask[i & 3] for i, byte in enumerate(text))
            return b"\x81\xfe" + struct.pack(">H", len(text)) + mask + masked
        text = (f'{{"model":"bench","stream":true,"messages":{MESSAGES},'
                f'"user":"0000000001"}}').encode()
        return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {self.key}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(text)}\r\n\r\n").encode() + text

    def turn(self):
        ask = self.ask()
        began = time.monotonic()
        if not self.connection:
            self.connect()
        self.connection.sendall(ask)
        answer = self.read_until(FIRST)
        first_s = time.monotonic() - began
        # The end of the body too, before the next ask.
        self.read_until(b'"done":true' if self.is_ws else b"\r\n0\r\n\r\n", answer)
        if not self.is_kept:
            self.close()
        return first_s

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def make_certificate(folder):
    """A throw-away one for localhost; returns the paths of certificate and key."""
    certificate, key = f"{folder}/server.pem", f"{folder}/server.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
                    certificate], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return certificate, key


# How a turn is asked for: over TLS, over a WebSocket, on a kept connection.
WAYS = {
    "HTTPS, a connection each turn": (True, False, False),
    "HTTPS, kept connection": (True, False, True),
    "WebSocket over TLS, open": (True, True, True),
    "HTTP, a connection each turn": (False, False, False),
    "WebSocket, open": (False, True, True),
}


def measure(ports, keys, certificate, round_trip_s, turns):
    """First tokens in seconds and round trips of each way, turn by turn; `ports` and `keys` by
    whether TLS is spoken there."""
    context = ssl.create_default_context(cafile=certificate)
    forwarders = {way: Forwarder(ports[how[0]], round_trip_s) for way, how in WAYS.items()}
    clients = {way: Turns(forwarders[way].port, keys[how[0]], context if how[0] else None, *how[1:])
               for way, how in WAYS.items()}
    results = {way: [] for way in WAYS}
    try:
        for number in range(turns + 1):
            for way, client in clients.items():
                before = forwarders[way].trips
                first_s = client.turn()
                if number > 0:  # the first one opens what is kept
                    results[way].append((first_s, forwarders[way].trips - before))
    finally:
        for way in WAYS:
            clients[way].close()
            forwarders[way].close()
    return results
