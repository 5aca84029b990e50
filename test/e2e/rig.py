"""What hostile and unlucky worlds are made of: raw sockets, providers of our own, configured gateways."""

import contextlib
import decimal
import json
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from conftest import DROVER, Gateway, free_port

KEY = "sk-drover-demo"
PATH = "/v1/chat/completions"
ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "count"}], "max_tokens": 2}


def wait_for(condition, seconds=10, what="the condition"):
    """Polls what nobody tells us of."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.005)
    return found


# --- clients ---------------------------------------------------------------------------------------


class Answer:
    def __init__(self, status, fields, body, is_whole=True):
        self.status = status
        self.fields = fields
        self.body = body
        self.is_whole = is_whole

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}{'' if self.is_whole else ' cut'}>"

    def field(self, name):
        found = [value for key, value in self.fields if key == name]
        assert len(found) <= 1, f"{name} stands there {len(found)} times"
        return found[0] if found else None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The error, after looking whether it is OpenAI's object."""
        whole = self.json
        assert list(whole) == ["error"], whole
        error = whole["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert error["message"] and error["type"] and error["code"], error
        assert self.field("content-type") == "application/json"
        if self.status in (429, 503):
            assert int(self.field("retry-after")) >= 1
        return error


class Wire:
    """A raw connection that reads answers as strictly as it sends whatever it is told."""

    def __init__(self, port, host="127.0.0.1", tls=None, timeout=15):
        plain = socket.create_connection((host, port), timeout=timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        self.kept = b""
        self.has_ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Leaves with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        """False when the gateway has closed: it may, in the middle of what it refuses."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            return False

    def more(self):
        if self.has_ended:
            return False
        try:
            piece = self.socket.recv(262144)
        except ConnectionResetError:
            piece = b""
        self.kept += piece
        self.has_ended = not piece
        return bool(piece)

    def take(self, count):
        while len(self.kept) < count and self.more():
            pass
        piece, self.kept = self.kept[:count], self.kept[count:]
        return piece

    def until(self, mark):
        """Up to and with `mark`; None when the connection ends before."""
        while mark not in self.kept:
            if not self.more():
                return None
        piece, _, self.kept = self.kept.partition(mark)
        return piece + mark

    def chunks(self):
        """The pieces of a chunked body; the last is None when it was cut."""
        while True:
            line = self.until(b"\r\n")
            if line is None:
                yield None
                return
            size = int(line, 16)
            piece = self.take(size + 2)
            if len(piece) < size + 2:
                yield None
                return
            assert piece.endswith(b"\r\n")
            if size == 0:
                return
            yield piece[:-2]

    def head(self):
        """Status and fields; None when the connection has ended."""
        head = self.until(b"\r\n\r\n")
        if head is None:
            assert not self.kept, f"an answer was cut in its head: {self.kept!r}"
            return None
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        version, status = first.split(" ")[:2]
        assert version == "HTTP/1.1", first
        fields = [(name.lower(), value.strip()) for name, _, value in
                  (line.partition(":") for line in lines)]
        return int(status), fields

    def answer(self, method="POST"):
        found = self.head()
        if found is None:
            return None
        status, fields = found
        if status == 100:
            return Answer(status, fields, b"")
        names = dict(fields)
        assert "x-request-id" in names, f"{status} without x-request-id: {fields}"
        if method == "HEAD" or status in (204, 304):
            return Answer(status, fields, b"")
        if names.get("transfer-encoding") == "chunked":
            pieces = list(self.chunks())
            is_whole = not pieces or pieces[-1] is not None
            return Answer(status, fields, b"".join(piece for piece in pieces if piece), is_whole)
        if "content-length" in names:
            count = int(names["content-length"])
            body = self.take(count)
            return Answer(status, fields, body, len(body) == count)
        while self.more():
            pass
        body, self.kept = self.kept, b""
        return Answer(status, fields, body)

    def answers(self):
        """All until the gateway closes."""
        found = []
        while (answer := self.answer()) is not None:
            found.append(answer)
        return found


def post(body=ASK, fields=(), key=KEY, path=PATH, host="gateway", version="1.1"):
    """The bytes of a good request."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/{version}", f"Host: {host}", f"Authorization: Bearer {key}",
             "Content-Type: application/json", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def get(path, fields=(), key=KEY, method="GET"):
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {key}", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def call(port, request, method="POST", tls=None):
    """One request on a connection of its own."""
    with Wire(port, tls=tls) as wire:
        assert wire.send(request)
        answer = wire.answer(method)
        assert answer is not None, "closed without an answer"
        return answer


# --- books -----------------------------------------------------------------------------------------


def parse_lines(text):
    """Amounts exactly as they are written."""
    return [json.loads(line, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
            for line in text.splitlines()]


def nano(amount):
    scaled = decimal.Decimal(amount) * 1_000_000_000
    assert scaled == scaled.to_integral_value(), f"{amount} is no whole number of nano-dollars"
    return int(scaled)


# --- a provider of our own -------------------------------------------------------------------------


class Visit:
    """One connection of the gateway's to our provider."""

    def __init__(self, connection):
        self.socket = connection
        self.asked_at = None
        self.left_at = None
        self.has_left = threading.Event()
        self.sent = 0
        self.heads = []

    def ask(self):
        """Reads one request: its head and JSON. None when the gateway has closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = [(name.lower(), value.strip()) for name, _, value in
                  (line.partition(":") for line in lines[1:])]
        length = int(dict(fields)["content-length"])
        while len(body) < length:
            body += self.socket.recv(65536)
        self.asked_at = time.monotonic()
        self.heads.append((lines[0], fields))
        return json.loads(body)

    def send(self, data):
        self.socket.sendall(data)
        self.sent += len(data)

    def send_json(self, text="done", fields=""):
        body = json.dumps({
            "id": "chatcmpl-own", "object": "chat.completion", "created": 1, "model": "own",
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}).encode()
        self.send(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{fields}"
                  f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def begin_stream(self, fields=""):
        self.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{fields}"
                  "Transfer-Encoding: chunked\r\n\r\n".encode())

    def send_event(self, delta, finish=None, usage=None):
        event = {"id": "chatcmpl-own", "object": "chat.completion.chunk", "created": 1,
                 "model": "own",
                 "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        if usage:
            event["choices"] = []
            event["usage"] = usage
        self.send_chunk(f"data: {json.dumps(event)}\n\n".encode())

    def send_chunk(self, data):
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end_stream(self):
        self.send_event({}, finish="stop")
        self.send_event({}, usage={"prompt_tokens": 10, "completion_tokens": 5,
                                   "total_tokens": 15})
        self.send_chunk(b"data: [DONE]\n\n")
        self.send(b"0\r\n\r\n")

    def wait_until_left(self, seconds=15):
        """Until the gateway closes this connection; whatever comes instead is dropped."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        self.left_at = time.monotonic()
        self.has_left.set()


class Provider:
    """Listens on loopback; `serve(visit)` runs in a thread for each connection."""

    def __init__(self, serve, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family, backlog=512)
        self.host = f"[{host}]" if ":" in host else host
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        self.visits = []
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"http://{self.host}:{self.port}/v1"

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            visit = Visit(connection)
            self.visits.append(visit)
            threading.Thread(target=self.run, args=(visit,), daemon=True).start()

    def run(self, visit):
        with contextlib.suppress(OSError), visit.socket:
            self.serve(visit)

    def close(self):
        self.listener.close()


def answer_always(visit):
    while (ask := visit.ask()) is not None:
        if ask.get("stream"):
            visit.begin_stream()
            visit.send_event({"role": "assistant", "content": "Hello"})
            visit.end_stream()
        else:
            visit.send_json()


class Paced(Provider):
    """Its streams send an event, then wait for `go`; JSON answers likewise."""

    def __init__(self, host="127.0.0.1"):
        self.go = threading.Event()
        self.asked = threading.Semaphore(0)
        super().__init__(self.pace, host)

    def pace(self, visit):
        while (ask := visit.ask()) is not None:
            if ask.get("stream"):
                visit.begin_stream()
                visit.send_event({"role": "assistant", "content": "Hello"})
                self.asked.release()
                self.go.wait(30)
                visit.send_event({"content": " world"})
                visit.end_stream()
            else:
                self.asked.release()
                self.go.wait(30)
                visit.send_json()

    def close(self):
        self.go.set()
        super().close()


# --- gateways --------------------------------------------------------------------------------------


class Relay(Gateway):
    """A gateway on a file of the test's own, with one account and key and 100 USD."""

    def __init__(self, folder, provider, data=None, drain_seconds=10, timeouts="", limits="",
                 extra="", workers=2, upstream_model="own", dialect="openai"):
        super().__init__(folder)
        self.dialect = dialect
        self.provider = provider
        self.data = pathlib.Path(data or self.folder / "data")
        self.drain_seconds = drain_seconds
        self.timeouts = timeouts
        self.limits = limits
        self.extra = extra
        self.workers = workers
        self.upstream_model = upstream_model
        self.models = ("gpt-4.1",)
        self.file = self.folder / "drover.yaml"
        self.port = free_port()
        self.admin_port = free_port()
        self.key = None
        self.account = None

    def write(self):
        models = "".join(f"  {name}:\n    price: {{input: 8.00, output: 8.00}}\n"
                         f"    targets: [{{name: own, provider: own, model: {self.upstream_model}}}]\n"
                         for name in self.models)
        self.file.write_text(
            f"listen: 127.0.0.1:{self.port}\nadmin: {{listen: 127.0.0.1:{self.admin_port}}}\n"
            f"data: {self.data}\ndrain_seconds: {self.drain_seconds}\nworkers: {self.workers}\n"
            f"timeouts: {{{self.timeouts}}}\nlimits: {{{self.limits}}}\n{self.extra}"
            f"providers:\n  own: {{dialect: {self.dialect}, base_url: \"{self.provider}\", "
            f"api_keys: [sk-upstream]}}\n"
            f"models:\n{models}")

    def create_key(self):
        self.account = self.command_json("account", "create", "tester")["id"]
        self.command_json("account", "topup", self.account, "100")
        self.key = self.command_json("key", "create", "--account", self.account)["key"]

    def launch(self):
        """Starts without waiting for anything."""
        self.write()
        if self.key is None:
            self.create_key()
        log = open(self.folder / "drover.log", "ab")
        self.process = subprocess.Popen([DROVER, "serve", "-c", str(self.file)],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        return self

    def start(self):
        self.launch()
        return self.wait_until_open()

    def wait_until_open(self):
        def is_open():
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
        wait_for(is_open, 30, "the gateway")
        return self

    def command(self, *arguments):
        return subprocess.run([DROVER, *arguments, "--data", str(self.data)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def command_json(self, *arguments):
        done = self.command(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout, parse_float=decimal.Decimal)

    def usage(self):
        done = self.command("usage", "--requests", "--json")
        assert done.returncode == 0, done.stderr
        return parse_lines(done.stdout)

    def usage_over_http(self):
        """How many exchanges the running gateway has in its books."""
        return call(self.port, get("/v1/account/usage", key=self.key)).json["total"]["requests"]

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def post(self, body=ASK, **more):
        return post(body, key=self.key, **more)


@contextlib.contextmanager
def running(relay):
    """Ends it as an operator would, and looks that it ended well."""
    relay.start()
    try:
        yield relay
    finally:
        if relay.process.poll() is None:
            code = relay.stop()
            assert code == 0, f"exit code {code}\n{relay.log()}"
    assert "ERROR: " not in relay.log() and "runtime error" not in relay.log(), relay.log()
