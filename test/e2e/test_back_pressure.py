"""Back-pressure: who does not read slows his provider down, and nobody else; nothing is lost."""

import json
import os
import re
import socket
import statistics
import threading
import time

import pytest

from rig import ASK, Paced, Provider, Relay, Wire, answer_always, call, get, running, wait_for

STREAM = {**ASK, "stream": True}
# A sanitizer keeps freed memory aside and pads what is taken: the bound is the tighter one where
# DROVER_PLAIN says that DROVER is built without.
RSS_PER_READER = 256 * 1024 if os.environ.get("DROVER_PLAIN") else 1024 * 1024
# As on a real network: loopback's huge segments make the system keep megabytes.
SEGMENT_BYTES = 1400
EVENT_COUNT = 1500
EVENT_BYTES = 4096


class Flood:
    """Streams of numbered events, as fast as they are taken; notes how far each has come."""

    def __init__(self):
        self.provider = Provider(self.serve)
        self.provider.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        self.url = self.provider.url

    @property
    def visits(self):
        return self.provider.visits

    def serve(self, visit):
        # Small buffers, so that what is pent up is in the gateway, if anywhere.
        visit.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        while visit.ask() is not None:
            say = say_anthropic if "/messages " in visit.heads[-1][0] else say_openai
            visit.begin_stream()
            say(visit, (f"{number:06}" + "x" * EVENT_BYTES for number in range(EVENT_COUNT)))

    def sent(self):
        return [visit.sent for visit in self.visits]

    def close(self):
        self.provider.close()


def say_openai(visit, texts):
    for text in texts:
        visit.send_event({"content": text})
    visit.end_stream()


def say_anthropic(visit, texts):
    def send(**event):
        visit.send_chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    send(type="message_start", message={"id": "msg_own", "model": "own", "content": [],
                                        "usage": {"input_tokens": 10, "output_tokens": 1}})
    send(type="content_block_start", index=0, content_block={"type": "text", "text": ""})
    for text in texts:
        send(type="content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    send(type="content_block_stop", index=0)
    send(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5})
    send(type="message_stop")
    visit.send(b"0\r\n\r\n")


each_dialect = pytest.mark.parametrize("dialect", ["openai", "anthropic"])


@pytest.fixture
def flood():
    provider = Flood()
    yield provider
    provider.close()


def deaf(relay, body=STREAM):
    """Asks and reads nothing of the answer."""
    wire = Wire.__new__(Wire)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    plain.settimeout(30)
    plain.connect(("127.0.0.1", relay.port))
    wire.socket, wire.kept, wire.has_ended = plain, b"", False
    assert wire.send(relay.post(body))
    return wire


def resident(relay):
    with open(f"/proc/{relay.process.pid}/statm", encoding="ascii") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_until_stuck(flood, count):
    """Until no provider's stream has moved for three looks."""
    wait_for(lambda: len([sent for sent in flood.sent() if sent > 0]) == count, 30, "all streams")
    seen = []

    def is_stuck():
        seen.append(sum(flood.sent()))
        time.sleep(0.1)  # the distance of two looks
        return len(seen) > 3 and len(set(seen[-4:])) == 1
    wait_for(is_stuck, 40, "the standstill")


def read_slowly(wire):
    """All events of a stream, in small bites; their numbers."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    assert wire.head()[0] == 200
    body = bytearray()
    for piece in wire.chunks():
        assert piece is not None, "cut"
        body += piece
    events = bytes(body).split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    numbers = [int(number) for number in re.findall(rb'"content": ?"(\d{6})x', body)]
    return numbers, body.count(b"x" * EVENT_BYTES)


@each_dialect
def test_two_hundred_who_never_read_cost_nobody_else_anything(tmp_path, flood, dialect):
    quick = Provider(answer_always)
    relay = QuickRelay(tmp_path, flood.url, quick.url, dialect=dialect)
    with running(relay):
        for _ in range(20):
            assert call(relay.port, relay.post({**ASK, "model": "quick"})).status == 200
        before = resident(relay)
        wires = [deaf(relay) for _ in range(200)]
        wait_until_stuck(flood, 200)
        stuck = resident(relay)
        grown = stuck - before
        assert grown < 200 * RSS_PER_READER, f"{grown >> 10} KiB for 200 streams"
        # The providers were held: none has come far, whatever the stream's length.
        length = EVENT_COUNT * (EVENT_BYTES + 150)
        sent = sorted(flood.sent())
        assert sent[-1] < length * 0.6, sent[-5:]

        took = []
        for _ in range(100):
            began = time.monotonic()
            assert call(relay.port, relay.post({**ASK, "model": "quick"})).status == 200
            took.append(time.monotonic() - began)
        assert statistics.median(took) < 0.1, took
        assert resident(relay) - stuck < 8 << 20
        print(f"200 deaf streams: {grown / 200 / 1024:.1f} KiB each, provider wrote "
              f"{sent[100] >> 10} KiB (median) of {length >> 10}, others' median "
              f"{statistics.median(took) * 1000:.2f} ms")

        # Those who read at last get all of it in order.
        for wire in wires[:3]:
            numbers, whole = read_slowly(wire)
            assert numbers == list(range(EVENT_COUNT)) and whole == EVENT_COUNT
        for wire in wires:
            wire.close()
        wait_for(lambda: relay.usage_over_http() == 200 + 120, 20, "the books")
    rows = [row for row in relay.usage() if row["transport"] == "sse"]
    assert sorted(int(row["status"]) for row in rows) == [200] * 3 + [499] * 197
    assert all(row["cost"] > 0 for row in rows)
    quick.close()


class QuickRelay(Relay):
    """Two providers: the flood, and one for those who must not notice it."""

    def __init__(self, folder, flood, quick, **more):
        super().__init__(folder, flood, **more)
        self.quick = quick

    def write(self):
        super().write()
        text = self.file.read_text()
        text = text.replace("models:\n", "  quick: {base_url: \"%s\", api_keys: [sk-quick]}\n"
                            "models:\n  quick:\n    price: {input: 8.00, output: 8.00}\n"
                            "    targets: [{name: quick, provider: quick}]\n" % self.quick)
        self.file.write_text(text)


@pytest.mark.threads
@each_dialect
def test_a_reader_who_pauses_gets_every_byte_in_order(tmp_path, flood, dialect):
    with running(Relay(tmp_path, flood.url, dialect=dialect)) as relay:
        wires = [deaf(relay) for _ in range(4)]
        wait_until_stuck(flood, 4)
        found = []
        threads = [threading.Thread(target=lambda wire=wire: found.append(read_slowly(wire)))
                   for wire in wires]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [(list(range(EVENT_COUNT)), EVENT_COUNT)] * 4
        for wire in wires:
            wire.close()


def test_requests_behind_a_running_answer_wait_outside(tmp_path):
    provider = Paced()
    with running(Relay(tmp_path, provider.url)) as relay:
        before = resident(relay)
        wire = Wire(relay.port)
        wire.send(relay.post(STREAM))
        assert wire.until(b"Hello")
        # Far more than the gateway keeps: the rest stays in the system's buffers and with us.
        behind = get("/healthz", ["X-Filling: " + "x" * 4000]) * 4
        wire.socket.setblocking(False)
        count = len(behind) // 4
        sent = 0
        try:
            while sent < 64 << 20:
                sent += wire.socket.send(behind[sent % count:])
        except BlockingIOError:
            pass
        assert sent < 64 << 20, "all of it was taken"
        wire.socket.settimeout(30)
        assert resident(relay) - before < 8 << 20
        provider.go.set()
        while (piece := wire.until(b"\r\n")) != b"0\r\n":
            assert piece
        wire.until(b"\r\n")
        rest = threading.Thread(target=wire.send, args=(behind[sent % count:count],))
        rest.start()
        for _ in range(sent // count + 1):
            assert wire.answer().status == 200
        rest.join()
        wire.close()
    provider.close()


def test_a_deaf_client_is_let_go_in_the_end(tmp_path, flood):
    with running(Relay(tmp_path, flood.url, timeouts="between_bytes: 1s")) as relay:
        wires = [deaf(relay) for _ in range(5)]
        wait_for(lambda: relay.usage_over_http() == 5, 15, "the end of the deaf")
        for wire in wires:
            wire.close()
    assert [int(row["status"]) for row in relay.usage()] == [499] * 5


def test_a_deaf_client_of_a_long_json_answer_holds_one_answer(tmp_path):
    text = "y" * 3_000_000
    provider = Provider(lambda visit: visit.ask() and visit.send_json(text))
    with running(Relay(tmp_path, provider.url)) as relay:
        wires = [deaf(relay, ASK) for _ in range(8)]
        wait_for(lambda: relay.usage_over_http() == 8, what="the books")
        for wire in wires:
            answer = wire.answer()
            assert answer.is_whole and answer.json["choices"][0]["message"]["content"] == text
            wire.close()
    provider.close()
