"""Recorded answers of providers through a running gateway: a server here replays each, whole, byte by byte
and cut in two, and the client must get the text, tool calls, finish reasons and usage that the golden
text beside it says. DROVER_ALL_CUTS=1 cuts short recordings at every byte and long ones a thousand
times; otherwise there are samples."""

import asyncio
import collections
import importlib.util
import itertools
import json
import os
import pathlib
import random
import re
import threading
import urllib.parse

import openai
import pytest

from configured import ConfiguredGateway

TEST = pathlib.Path(__file__).resolve().parent.parent
DEADLINE = 30
HAS_ALL_CUTS = os.environ.get("DROVER_ALL_CUTS") == "1"
SHORT_BYTES = 2000 if HAS_ALL_CUTS else 150  # cut at every byte
LONG_CUTS = 1000 if HAS_ALL_CUTS else 50
# Of longer recordings only the beginning and the end come byte by byte.
DRIBBLE_BYTES = 10**9 if HAS_ALL_CUTS else 800
CONNECTIONS = 24
CRLF = "\r\n"
GAP = 0.002  # for the gateway to read the first half before the second one comes

spec = importlib.util.spec_from_file_location("make", TEST / "golden" / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


class Recorded:
    """One recorded answer, as the provider's bytes."""

    def __init__(self, folder, entry, number):
        self.name = entry["name"]
        self.folder = folder
        self.number = number
        self.status = entry["status"]
        self.is_stream = entry["response"].endswith(".sse")
        self.body = (TEST / "fixtures" / folder / entry["response"]).read_bytes()
        self.headers = dict(entry.get("headers") or {})
        self.headers.setdefault("content-type",
                                "text/event-stream" if self.is_stream else "application/json")

    def head(self, framing):
        lines = [f"HTTP/1.1 {self.status} Recorded", *(f"{k}: {v}" for k, v in self.headers.items()),
                 "set-cookie: recorded=1", "openai-organization: recorded"]
        lines.append({"length": f"content-length: {len(self.body)}", "close": "connection: close"}
                     .get(framing, "transfer-encoding: chunked"))
        return "\r\n".join([*lines, "", ""]).encode()

    def pieces(self, how, cut):
        """The writes that the answer comes in."""
        head, body = self.head(how), self.body
        if how in ("length", "close"):
            parts = [head, body[:cut], body[cut:]]
        elif how == "chunk":
            whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            start = whole.index(b"\r\n") + 2
            parts = [head, whole[:start + cut], whole[start + cut:]]
        elif how == "chunks":
            parts = [head] + [b"%x\r\n%s\r\n" % (len(part), part)
                              for part in (body[:cut], body[cut:]) if part]
            parts[-1] += b"0\r\n\r\n"
        elif how == "head":
            wire = self.head("length") + body
            return [wire[:cut], wire[cut:]]
        elif how == "error":
            return [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                    b": wait\n\n", b'data: {"error":{"message":"out of luck","code":"luck"}}\n\n']
        else:
            assert how == "bytes"
            first, last = body[:DRIBBLE_BYTES], body[max(DRIBBLE_BYTES, len(body) - DRIBBLE_BYTES):]
            middle = body[len(first):len(body) - len(last)]
            parts = [head] + [body[i:i + 1] for i in range(len(first))]
            parts += [middle] if middle else []
            parts += [last[i:i + 1] for i in range(len(last))]
            return [parts[0]] + [b"%x\r\n%s\r\n" % (len(part), part) for part in parts[1:]] + [
                b"0\r\n\r\n"]
        return [parts[0] + parts[1], *parts[2:]]


class Recording(Recorded):
    """One answer in OpenAI's words, and what it says."""

    def __init__(self, folder, entry, number):
        super().__init__(folder, entry, number)
        golden = TEST / "golden" / "openai" / (self.name + ".txt")
        self.golden = golden.read_text(encoding="utf-8").splitlines()
        self.has_usage = not any(line == "usage -" for line in self.golden)
        self.usage = next((tuple(map(int, line.split()[1:])) for line in self.golden
                           if line.startswith("usage ") and line != "usage -"), None)
        self.is_failing = any(line.startswith("error ") for line in self.golden)
        self.is_ended = "end" in self.golden


def read_recordings():
    numbers = itertools.count()
    return [Recording(folder, entry, next(numbers)) for folder in make.FOLDERS
            for entry in json.loads((TEST / "fixtures" / folder / "INDEX.json").read_text())]


RECORDINGS = read_recordings()
FIRST_STREAM = next(each for each in RECORDINGS if each.is_stream and each.has_usage)
each_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=lambda each: each.name)


class Replay(asyncio.Protocol):
    """The provider: the model's name says which recording is wanted, and how: NUMBER/HOW/CUT."""

    recordings = RECORDINGS

    def model(self, head):
        """Google's dialect has it in the path."""
        path = urllib.parse.unquote(head.split(b" ")[1].decode())
        return path.partition("/models/")[2].rpartition(":")[0] or self.ask["model"]

    def connection_made(self, transport):
        self.transport = transport
        self.received = b""
        self.ask = None  # the latest

    def data_received(self, data):
        self.received += data
        head, blank, rest = self.received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        if len(rest) < length:
            return
        self.ask = json.loads(rest[:length])
        self.received = rest[length:]
        number, how, cut = self.model(head).partition(":")[2].split("/")
        pieces = self.recordings[int(number)].pieces(how, int(cut))
        self.send(iter(pieces), 0 if how == "bytes" else GAP, how in ("close", "error"))

    def send(self, pieces, gap, then_closes):
        piece = next(pieces, None)
        if piece is not None and not self.transport.is_closing():
            self.transport.write(piece)
            asyncio.get_running_loop().call_later(gap, self.send, pieces, gap, then_closes)
        elif then_closes:
            self.transport.close()


class Wire(asyncio.Protocol):
    """A client's connection: one request after the other, the answers' bytes as they are."""

    def connection_made(self, transport):
        self.transport = transport
        self.received = bytearray()
        self.answer = None

    def data_received(self, data):
        self.received += data
        if self.answer is None or self.answer.done():
            return
        at = self.received.find(b"\r\n\r\n")
        if at < 0:
            return
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", self.received[:at])
        if length:
            is_whole = len(self.received) >= at + 4 + int(length[1])
        else:
            is_whole = self.received.endswith(b"\r\n0\r\n\r\n")
        if is_whole:
            answer = bytes(self.received)
            self.received.clear()
            self.answer.set_result(answer)

    def connection_lost(self, error):
        if self.answer and not self.answer.done():
            self.answer.set_exception(error or ConnectionError(f"closed after {self.received[-300:]!r}"))

    async def chat(self, key, model, is_stream, wants_usage=True):
        body = {"model": model, "messages": [{"role": "user", "content": "again"}]}
        if is_stream:
            body |= {"stream": True}
            if wants_usage:
                body["stream_options"] = {"include_usage": True}
        return await self.ask("POST", "/v1/chat/completions", key, json.dumps(body))

    async def ask(self, method, path, key, body="", headers=()):
        return split_answer(await self.ask_raw(method, path, key, body, headers))

    async def ask_raw(self, method, path, key, body="", headers=()):
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(
            f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"{''.join(f'{header}{CRLF}' for header in headers)}\r\n{body}".encode())
        return await asyncio.wait_for(self.answer, DEADLINE)


def split_answer(raw):
    """(status, headers, body) of a whole answer."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    body = rest
    if headers.get("transfer-encoding") == "chunked":
        body, at = b"", 0
        while True:
            end = rest.index(b"\r\n", at)
            size = int(rest[at:end], 16)
            body += rest[end + 2:end + 2 + size]
            assert rest[end + 2 + size:end + 4 + size] == b"\r\n"
            at = end + 4 + size
            if size == 0:
                assert at == len(rest)
                break
    return int(lines[0].split()[1]), headers, body


PRICE = "price: {input: 3.00, output: 8.00, cached_input: 1.00}"


class House:
    """The replaying provider and the clients on a thread of their own, and the gateway between them."""

    replay = Replay
    config = f"""
timeouts: {{first_byte: 20s, between_bytes: 20s}}
providers:
  replay: {{dialect: openai, base_url: "http://127.0.0.1:PORT/v1", api_keys: [sk-recorded]}}
models:
  "r:*":
    {PRICE}
    targets:
      - {{name: replay, provider: replay, model: "*"}}
  unlucky:
    price: {{input: 3.00, output: 8.00}}
    targets:
      - {{name: first, provider: replay, model: "r:0/error/0"}}
  lucky:
    price: {{input: 3.00, output: 8.00}}
    targets:
      - {{name: first, provider: replay, model: "r:0/error/0"}}
      - {{name: second, provider: replay, model: "r:{FIRST_STREAM.number}/chunk/0"}}
"""

    def __init__(self, folder):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.server = self.run(self.serve())
        port = self.server.sockets[0].getsockname()[1]
        self.gateway = ConfiguredGateway(folder, self.config.replace("PORT", str(port))).start()

    async def serve(self):
        return await self.loop.create_server(self.replay, "127.0.0.1", 0)

    async def connect(self):
        _, wire = await self.loop.create_connection(Wire, "127.0.0.1", self.gateway.port)
        return wire

    def run(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(600)

    def on_a_wire(self, what):
        """What the coroutine function `what` makes of a connection of its own."""
        async def alone():
            wire = await self.connect()
            try:
                return await what(wire)
            finally:
                wire.transport.abort()
        return self.run(alone())

    def chat(self, *arguments, **options):
        return self.on_a_wire(lambda wire: wire.chat(self.gateway.key, *arguments, **options))

    def post_body(self, body, headers=()):
        """The answer's bytes as they came."""
        return self.on_a_wire(lambda wire: wire.ask_raw("POST", "/v1/chat/completions", self.gateway.key,
                                                        body, headers))

    def get(self, path):
        return self.on_a_wire(lambda wire: wire.ask("GET", path, self.gateway.key))

    def receipt(self, request_id):
        async def wait(wire):
            deadline = self.loop.time() + DEADLINE
            while True:
                status, _, body = await wire.ask("GET", "/v1/receipts/" + request_id, self.gateway.key)
                if status == 200:
                    return json.loads(body)
                assert self.loop.time() < deadline
                await asyncio.sleep(0.01)  # on its way to the store
        return self.on_a_wire(wait)

    def sdk(self):
        return openai.OpenAI(base_url=self.gateway.url + "/v1", api_key=self.gateway.key, max_retries=0)

    def stop(self):
        ended = self.gateway.stop()
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        assert ended == 0, self.gateway.log()


def fixture_of(kind):
    """The house of one file's tests."""
    @pytest.fixture(scope="module")
    def house(tmp_path_factory):
        running = kind(tmp_path_factory.mktemp("house"))
        yield running
        running.stop()
    return house


house = fixture_of(House)


@pytest.fixture(scope="module")
def sdk(house):
    with house.sdk() as client:
        yield client


# --- what the client should get


def lines_of(body, is_stream):
    """What an answer says, read by the reader that wrote the golden texts."""
    return list(make.lines_of({"status": 200, "response": "x.sse" if is_stream else "x.json"}, body))


def without(lines, *starts):
    return [line for line in lines if not line.startswith(starts)]


def expected_refusal(recording):
    """(status, type, code, Retry-After) that the client gets for a provider's error."""
    kept = {400, 404, 413, 422}
    if recording.status in kept:
        _, _, code, _ = make.error_of(json.loads(recording.body))
        code = code or ("not_found" if recording.status == 404 else "invalid_request")
        return recording.status, "invalid_request_error", code, None
    if recording.status == 429:
        return 429, "rate_limit_error", "upstream_rate_limited", recording.headers.get("retry-after", "1")
    if recording.status in (503, 529):
        return 503, "server_error", "no_healthy_upstream", recording.headers.get("retry-after", "1")
    return 502, "server_error", "upstream_error", None


def check_error(error, recording):
    assert set(error) == {"message", "type", "param", "code"}
    words, _, _, param = make.error_of(json.loads(recording.body))
    if recording.status in (401, 402, 403):
        assert words not in error["message"], "what is said about our key is not the client's"
    else:
        assert re.sub("org-fixture|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "***", words)[:300] in error["message"]
    if recording.status in (400, 404, 413, 422):
        assert error["param"] == param


def check_meaning(lines, recording, receipt_usage):
    """The golden text, apart from what the gateway adds where a provider left it out."""
    golden = recording.golden
    if recording.is_failing:
        assert without(lines, "usage ", "error ") == without(golden, "usage ", "error ", "end")
        (words,) = [line for line in golden if line.startswith("error ")]
        (told,) = [line for line in lines if line.startswith("error ")]
        assert words.removeprefix("error ").split(" | ")[0][:300] in told
        assert told.endswith(" | server_error | upstream_error | -")
        return
    if not recording.has_usage:
        golden = [f"usage {receipt_usage[0]} {receipt_usage[1]} {receipt_usage[2]} 0 0"
                  if line == "usage -" else line for line in golden]
    if recording.is_stream and not recording.is_ended:
        golden = golden + ["end"]
    assert lines == golden


def check_bytes(body, recording):
    """They pass as they come, from the first event on that says something; a last event that was not
    ended gets its blank line."""
    whole = recording.body
    while recording.is_stream and not whole.endswith((b"\n\n", b"\r\n\r\n")):
        whole += b"\n"
    assert whole.endswith(body)
    if body != whole:
        left_out = lines_of(whole[:-len(body)], recording.is_stream)
        assert left_out == ["id -", "model -", "usage -"], left_out


def check_receipt(receipt, recording, status):
    usage = receipt["usage"]
    counts = tuple(usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens",
                                            "cached_tokens", "reasoning_tokens"))
    assert receipt["status"] == status
    if recording.status == 200 and recording.has_usage and not recording.is_failing:
        assert counts == recording.usage and receipt["usage_source"] == "reported"
    if recording.status != 200:
        assert counts == (0, 0, 0, 0, 0) and receipt["cost"] == 0
    prompt, completion, total, cached, _ = counts
    output = max(completion, total - prompt)
    nanodollars = (prompt - cached) * 3000 + cached * 1000 + output * 8000
    assert receipt["cost"] == nanodollars / 10**9
    return counts


@each_recording
def test_whole(house, recording):
    """A whole answer in each framing, with its receipt, and without asking for usage."""
    bodies = set()
    for how in ("length", "chunk", "close"):
        status, headers, body = house.chat(f"r:{recording.number}/{how}/0", recording.is_stream)
        assert "set-cookie" not in headers and "openai-organization" not in headers
        assert headers["x-ratelimit-limit-requests"] == "1000000000"
        receipt = house.receipt(headers["x-request-id"])
        if recording.status != 200:
            error = json.loads(body)["error"]
            assert (status, error["type"], error["code"], headers.get("retry-after")) == (
                expected_refusal(recording))
            check_error(error, recording)
            check_receipt(receipt, recording, status)
            continue
        is_committed = status == 200
        counts = check_receipt(receipt, recording, 502 if recording.is_failing else 200)
        if is_committed:
            check_meaning(lines_of(body, recording.is_stream), recording, counts)
        else:
            assert recording.is_failing and status == 502
        if recording.has_usage and recording.is_ended and not recording.is_failing:
            check_bytes(body, recording)
        bodies.add(plain(body))
    assert len(bodies) <= 1
    if recording.status == 200 and recording.is_stream and not recording.is_failing:
        _, _, body = house.chat(f"r:{recording.number}/chunk/0", True, wants_usage=False)
        chunks = [json.loads(payload) for payload in make.payloads(body) if payload.strip() != "[DONE]"]
        assert without(lines_of(body, True), "usage ", "end") == without(recording.golden, "usage ",
                                                                         "end")
        assert not any(chunk.get("usage") and chunk.get("choices") == [] for chunk in chunks)


def read_by_sdk(sdk, model, is_stream, answer):
    """Adds to the answer what the official SDK hands out, until it throws."""
    asked = {"model": model, "messages": [{"role": "user", "content": "again"}]}
    if is_stream:
        for chunk in sdk.chat.completions.create(
                **asked, stream=True, stream_options={"include_usage": True}):
            answer.add(chunk.to_dict())
    else:
        answer.add(sdk.chat.completions.create(**asked).to_dict())


@each_recording
def test_sdk(sdk, recording):
    """The official SDK reads it to the same."""
    answer = make.Answer()
    try:
        read_by_sdk(sdk, f"r:{recording.number}/length/0", recording.is_stream, answer)
    except openai.APIStatusError as error:
        status, kind, code, _ = expected_refusal(recording)
        assert recording.status != 200 or recording.is_failing
        assert (error.status_code, error.type, error.code) == (status, kind, code)
        return
    except openai.APIError as error:
        assert recording.is_failing and error.code == "upstream_error"
        assert without(list(answer.lines()), "usage ") == without(recording.golden, "usage ", "error ",
                                                                  "end")
        return
    assert recording.status == 200 and not recording.is_failing
    starts = ("end",) if recording.has_usage else ("usage ", "end")
    assert without(list(answer.lines()), *starts) == without(recording.golden, *starts)
    assert answer.usage


def test_an_answer_of_the_other_kind_is_an_error(house):
    """A stream where one body was asked for, and one body for a stream."""
    for recording in RECORDINGS:
        if recording.status == 200:
            status, headers, body = house.chat(
                f"r:{recording.number}/chunk/0", not recording.is_stream)
            assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_error"), recording.name
            assert headers["content-type"] == "application/json"


def test_a_stream_that_begins_with_an_error_is_asked_of_the_next_target(house):
    status, headers, body = house.chat("lucky", True)
    assert (status, headers["x-drover-target"], body) == (200, "second", FIRST_STREAM.body)
    receipt = house.receipt(headers["x-request-id"])
    assert [attempt["target"] for attempt in receipt["attempts"]] == ["first", "second"]
    status, headers, body = house.chat("unlucky", True)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["type"]) == (502, "upstream_error", "server_error")
    assert "out of luck" in error["message"]
    assert house.receipt(headers["x-request-id"])["cost"] == 0


# --- cut


def plain(body):
    """Without what differs from one answer to the next: ids and times that the gateway made."""
    return re.sub(rb'"created":\d+|"model":"r:[^"]*"', b"", re.sub(rb'"id":"req_\w+"', b'"id":""', body))


async def ask_all(house, asks, told):
    """Runs the asks over some connections, and tells what came of each."""
    left = iter(asks)

    async def worker():
        wire = await house.connect()
        for recording, how, cut in left:
            status, _, body = await wire.chat(
                house.gateway.key, f"r:{recording.number}/{how}/{cut}", recording.is_stream)
            told(recording, how, cut, (status, plain(body)))
        wire.transport.abort()

    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))


def check_all(house, asks):
    """Each answer is what the same recording gave when it came whole (which test_whole looks at)."""
    whole, wrong = {}, []
    counts = collections.Counter()

    def keep(recording, _how, _cut, answer):
        whole[recording.number] = answer

    def compare(recording, how, cut, answer):
        counts[recording.number] += 1
        if answer != whole[recording.number]:
            wrong.append((recording.name, how, cut, answer))

    house.run(ask_all(house, [(recording, "chunk", 0) for recording in RECORDINGS], keep))
    assert len(whole) == len(RECORDINGS)
    house.run(ask_all(house, asks, compare))
    print(f"{counts.total()} answers of {len(counts)} recordings, {len(wrong)} wrong")
    assert counts.total() == len(asks)
    assert not wrong, wrong[:3]


def test_byte_by_byte(house):
    check_all(house, [(recording, "bytes", 0) for recording in RECORDINGS])


def test_cut(house):
    """In the three framings in turn."""
    seed = random.Random(20261124)
    framings = itertools.cycle(("chunk", "chunks", "length"))
    asks = []
    for recording in RECORDINGS:
        cuts = range(1, len(recording.body))
        if len(cuts) > SHORT_BYTES:
            cuts = [seed.randrange(1, len(recording.body)) for _ in range(LONG_CUTS)]
        asks += [(recording, next(framings), cut) for cut in cuts]
    check_all(house, asks)


@pytest.mark.threads
def test_cut_within_the_head(house):
    picked = [next(each for each in RECORDINGS if each.is_stream == is_stream and each.status == status)
              for is_stream, status in ((True, 200), (False, 200), (False, 400))]
    check_all(house, [(recording, "head", cut) for recording in picked
                      for cut in range(1, len(recording.head("length")))])
