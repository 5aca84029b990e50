"""Answers that survive their connections: no frame lost or doubled, nothing billed anew."""

import contextlib
import random
import socket
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed

from configured import Client
from rig import ASK, Provider, Relay, nano, running, wait_for
from socket_chat import HELLO, Told, ask, gather, open_socket, receive, send
from test_back_pressure import (EVENT_BYTES, EVENT_COUNT, SEGMENT_BYTES, Flood,
                                wait_until_stuck)

WORDS = [f"từ{number} " for number in range(40)]


class Slow:
    """A provider that says a word for each `go`, or all at once."""

    def __init__(self, words=WORDS, wave=None):
        self.words = words
        self.wave = wave or threading.Semaphore(0)
        self.asks = 0
        self.provider = Provider(self.serve)

    def serve(self, visit):
        while visit.ask() is not None:
            self.asks += 1
            visit.begin_stream()
            for word in self.words:
                self.wave.acquire()
                visit.send_event({"content": word})
            visit.end_stream()

    def say(self, count=1000):
        if count > 0:
            self.wave.release(count)


@pytest.fixture
def slow():
    made = Slow()
    yield made
    made.say()
    made.provider.close()


def begin(socket, name="x", frames=1):
    """Asks, and takes that many frames: the answer so far."""
    send(socket, {**ASK, "id": name})
    told = Told()
    while len(told.frames) < frames:
        told.take(receive(socket))
    return told


def cut(socket):
    """As a lost network would, but that the gateway is told."""
    socket.socket.close()


def resume(socket, told, name="again"):
    """The rest under another id, behind what was told."""
    send(socket, {"type": "resume", "request_id": told.frames[0]["request_id"],
                  "after": len(told.frames), "id": name})
    while not told.is_done:
        frame = receive(socket)
        assert frame["id"] == name, frame
        told.take(frame)
    return told


@pytest.mark.threads
def test_an_answer_is_resumed_at_any_moment_on_any_connection(tmp_path, slow):
    seeded = random.Random(7)
    with running(Relay(tmp_path, slow.provider.url, workers=2)) as relay:
        requests = 12
        for number in range(requests):
            with open_socket(relay, relay.key) as socket:
                before = seeded.choice([0, 1, 2, 20, 40])
                slow.say(before)
                told = begin(socket, frames=1 + before)
                if number % 2:
                    cut(socket)
            while number % 4 > 1 and seeded.random() < 0.7 and len(told.frames) < 35:
                with open_socket(relay, relay.key) as socket:
                    send(socket, {"type": "resume", "request_id": told.frames[0]["request_id"],
                                  "after": len(told.frames), "id": "between"})
                    slow.say(3)
                    for _ in range(3):
                        told.take(receive(socket))
                    cut(socket)
            slow.say(len(WORDS) - (len(told.frames) - 1))
            with open_socket(relay, relay.key) as socket:
                resume(socket, told)
                assert told.text == "".join(WORDS) and told.last["finish_reason"] == "stop"
                again = Told()
                again.frames = told.frames[:seeded.randrange(1, 30)]
                assert resume(socket, again, "second").text == told.text
        rows = relay.stop() or relay.usage()
    assert slow.asks == requests == len(rows)
    assert {row["status"] for row in rows} == {200}
    assert len({row["request_id"] for row in rows}) == requests


@pytest.mark.parametrize("name", ["x", "0b9a3c1e-6f2d-4a51-9d5e-2c7f0a8b4d13", "y" * 64])
def test_long_answers_are_numbered_to_their_end(tmp_path, slow, name):
    slow.words = [f"w{number} " for number in range(1200)]
    slow.say(len(slow.words))
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            told = begin(socket, name)
            while not told.is_done:
                told.take(receive(socket))
            assert told.text == "".join(slow.words) and told.last["seq"] == 1202
            for kept in (1, 9, 98, 99, 998, 999):
                again = Told()
                again.frames = told.frames[:kept]
                assert resume(socket, again).text == told.text


def test_an_answer_that_has_not_begun_can_be_resumed(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            told = begin(socket)
            cut(socket)
        with open_socket(relay, relay.key) as socket:
            slow.say()
            assert resume(socket, told).text == "".join(WORDS)


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", '","seq":1', "tên", "\u001f", "x" * 64])
def test_an_answer_goes_on_under_another_id_whatever_the_first_one_was(tmp_path, slow, name):
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            slow.say(3)
            told = begin(socket, name, frames=4)
            assert {frame["id"] for frame in told.frames} == {name}
            cut(socket)
        with open_socket(relay, relay.key) as socket:
            slow.say()
            assert resume(socket, told, name[::-1]).text == "".join(WORDS)


@pytest.mark.threads
def test_the_newer_connection_wins(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        with open_socket(relay, relay.key) as first, open_socket(relay, relay.key) as second, \
                open_socket(relay, relay.key) as third:
            slow.say(2)
            told = begin(first, frames=3)
            name = {"type": "resume", "request_id": told.frames[0]["request_id"]}
            send(second, {**name, "after": 0, "id": "b"})
            assert [receive(second)["seq"] for _ in range(3)] == [1, 2, 3]
            assert receive(first) == {"id": "x", "moved": True}
            send(third, {**name, "after": 3, "id": "c"})
            assert receive(second) == {"id": "b", "moved": True}
            slow.say()
            frames = gather_from(third, 4)
            assert "".join(frame.get("content", "") for frame in frames) == "".join(WORDS[2:])
            for socket in (first, second):
                send(socket, {"type": "ping"})
                assert receive(socket) == {"type": "pong"}
            send(first, {**name, "after": 40, "id": "x"})  # the id is free again
            assert receive(first)["seq"] == 41


def gather_from(socket, seq):
    frames = []
    while not frames or not frames[-1].get("done"):
        frames.append(receive(socket))
        assert frames[-1]["seq"] == seq + len(frames) - 1
    return frames


def test_a_resumed_answer_can_be_cancelled(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            slow.say(5)
            told = begin(socket, frames=6)
            cut(socket)
        with open_socket(relay, relay.key) as socket:
            send(socket, {"type": "resume", "request_id": told.frames[0]["request_id"],
                          "after": 6, "id": "y"})
            send(socket, {"type": "cancel", "id": "y"})
            last = receive(socket)
            assert last["finish_reason"] == "cancelled" and last["seq"] == 7 and last["id"] == "y"
        (row,) = relay.stop() or relay.usage()
    assert nano(row["cost"]) == round(last["cost"] * 10 ** 9)


def test_what_cannot_be_resumed_says_so(tmp_path, slow):
    relay = Relay(tmp_path, slow.provider.url)
    relay.create_key()
    other = relay.key
    relay.create_key()
    slow.say()
    with running(relay):
        with open_socket(relay, relay.key) as socket, open_socket(relay, other) as stranger:
            told = ask(socket, {**ASK, "id": "x"})
            for each, frame, code in (
                    (stranger, {"request_id": told.request_id, "after": 0}, "not_resumable"),
                    (socket, {"request_id": "req_nobody"}, "not_resumable"),
                    (socket, {}, "not_resumable"),
                    (socket, {"request_id": 7}, "not_resumable"),
                    (socket, {"request_id": told.request_id, "after": 99}, "invalid_request"),
                    (socket, {"request_id": told.request_id, "after": -1}, "invalid_request"),
                    (socket, {"request_id": told.request_id, "after": "1"}, "invalid_request")):
                assert ask(each, {"type": "resume", "id": "y", **frame}).error["code"] == code


def test_who_does_not_come_back_has_lost_it(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url, extra="resume_seconds: 1\n")) as relay:
        with open_socket(relay, relay.key) as socket:
            slow.say(3)
            told = begin(socket, frames=4)
            cut(socket)
        assert wait_for(lambda: slow.provider.visits, what="the ask")
        wait_for(lambda: relay.usage_over_http() == 1, 10, "the end")
        with open_socket(relay, relay.key) as socket:
            refused = ask(socket, {"type": "resume", "id": "y", "after": 0,
                                   "request_id": told.frames[0]["request_id"]})
            assert refused.error["code"] == "not_resumable"
        (row,) = relay.stop() or relay.usage()
    assert row["status"] == 499 and row["cost"] > 0


def test_without_resume_seconds_a_lost_answer_ends(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url, extra="resume_seconds: 0\n")) as relay:
        with open_socket(relay, relay.key) as socket:
            slow.say(3)
            begin(socket, frames=4)
            cut(socket)
        wait_for(lambda: relay.usage_over_http() == 1, 10, "the end")


def test_a_long_answer_runs_on_but_cannot_be_resumed(tmp_path):
    slow = Slow(["x" * 50000] * 40)
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        with open_socket(relay, relay.key) as socket, open_socket(relay, relay.key) as other:
            slow.say(10)
            told = begin(socket, frames=11)
            send(other, {"type": "resume", "request_id": told.frames[0]["request_id"],
                         "after": 11, "id": "y"})
            assert receive(socket) == {"id": "x", "moved": True}
            slow.say()
            while not told.is_done:  # beyond the megabyte its follower gets all
                told.take(receive(other))
            assert len(told.text) == 2000000
            refused = ask(other, {"type": "resume", "id": "z", "after": 0,
                                  "request_id": told.request_id})
            assert refused.error["code"] == "not_resumable"
            told = begin(socket, frames=30)
            cut(socket)
        wait_for(lambda: relay.usage_over_http() == 2, 10, "the end")
    slow.provider.close()


def test_a_conversation_goes_on_with_a_resumed_answer(gateway):
    with open_socket(gateway) as socket:
        send(socket, {**HELLO, "session": "lost", "id": "x"})
        told = Told()
        told.take(receive(socket))
        cut(socket)
    with open_socket(gateway) as socket:
        resume(socket, told)
        follow = ask(socket, {**HELLO, "session": "lost", "id": "z"})
    assert follow.last["usage"]["prompt_tokens"] > told.last["usage"]["prompt_tokens"]
    with Client(gateway) as client:
        assert client.receipt(told.request_id)["status"] == 200


def test_a_drain_waits_for_who_resumed(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url)) as relay, contextlib.ExitStack() as stack:
        with open_socket(relay, relay.key) as socket:
            slow.say(3)
            told = begin(socket, frames=4)
            cut(socket)
        # Of both workers, likely.
        sockets = [stack.enter_context(open_socket(relay, relay.key)) for _ in range(4)]
        for number, socket in enumerate(sockets):
            send(socket, {"type": "resume", "request_id": told.frames[0]["request_id"],
                          "after": 4, "id": str(number)})
            send(socket, {"type": "ping"})
            receive(socket)
        relay.process.terminate()
        wait_for(lambda: "gateway.draining" in relay.log(), what="the drain")
        slow.say()
        while not told.is_done:
            told.take(receive(sockets[-1]))
        assert told.text == "".join(WORDS)
        with pytest.raises(ConnectionClosed) as closed:
            receive(sockets[-1])
        assert closed.value.rcvd.code == 1012
        assert relay.process.wait(20) == 0, relay.log()


def test_resumed_answers_count_as_requests_in_flight(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url, limits="ws_requests: 2")) as relay:
        with open_socket(relay, relay.key) as first, open_socket(relay, relay.key) as second:
            lost = [begin(first, name) for name in "ab"]
            for told, name in zip(lost, "yz"):
                send(second, {"type": "resume", "request_id": told.frames[0]["request_id"],
                              "after": 1, "id": name})
            assert ask(second, {**ASK, "id": "c"}).error["code"] == "rate_limit_exceeded"
            again = {"type": "resume", "request_id": lost[0].frames[0]["request_id"], "id": "d"}
            assert ask(second, again).error["code"] == "rate_limit_exceeded"
            slow.say()
            assert len(gather_all(second, 2)) == 2
            assert ask(second, {**ASK, "id": "c"}).text == "".join(WORDS)


def gather_all(socket, count):
    """The last frames of so many answers."""
    last = {}
    while len(last) < count:
        frame = receive(socket)
        if frame.get("done"):
            last[frame["id"]] = frame
    return last


class Drip(Flood):
    """An event at a time, so that each is passed on by itself."""

    def serve(self, visit):
        while visit.ask() is not None:
            visit.begin_stream()
            for number in range(EVENT_COUNT):
                visit.send_event({"content": f"{number:06}" + "x" * EVENT_BYTES})
                time.sleep(0.001)  # the pace of a model
            visit.end_stream()


def test_a_resumed_answer_waits_for_a_slow_reader(tmp_path):
    drip = Drip()
    limits = "ws_requests: 1, ws_send_bytes: 64KiB, event_bytes: 64KiB"
    try:
        with running(Relay(tmp_path, drip.url, limits=limits)) as relay, \
                open_socket(relay, relay.key) as first:
            told = begin(first)
            plain = small_socket(relay)
            with open_socket(relay, relay.key, sock=plain, max_queue=1) as second:
                send(second, {"type": "resume", "request_id": told.frames[0]["request_id"],
                              "after": 1, "id": "y"})
                wait_until_stuck(drip, 1)
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                while not told.is_done:
                    told.take(receive(second))
        assert told.text == "".join(f"{n:06}" + "x" * EVENT_BYTES for n in range(EVENT_COUNT))
    finally:
        drip.close()


class Chips(Flood):
    """Many small events in each write."""

    COUNT = 60000

    def serve(self, visit):
        while visit.ask() is not None:
            visit.begin_stream()
            for _ in range(self.COUNT // 1000):
                visit.send_chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' * 1000)
            visit.end_stream()


def test_frames_that_came_at_once_wait_for_a_slow_reader_under_a_long_id(tmp_path):
    chips = Chips()
    name = "\U0001f600" * 64
    limits = "ws_requests: 1, ws_send_bytes: 64KiB, event_bytes: 64KiB"
    try:
        with running(Relay(tmp_path, chips.url, limits=limits)) as relay, \
                open_socket(relay, relay.key, sock=small_socket(relay), max_queue=1) as first:
            told = begin(first)
            plain = small_socket(relay)
            with open_socket(relay, relay.key, sock=plain, max_queue=1) as second:
                send(second, {"type": "resume", "request_id": told.frames[0]["request_id"],
                              "after": 1, "id": name})
                wait_until_stuck(chips, 1)
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                while not told.is_done:
                    told.take(receive(second))
        assert told.text == "a" * Chips.COUNT
    finally:
        chips.close()


@pytest.mark.threads
def test_a_drain_does_not_wait_for_who_resumed_and_does_not_read(tmp_path):
    drip = Drip()
    try:
        with running(Relay(tmp_path, drip.url, drain_seconds=1, timeouts="between_bytes: 60s",
                           limits="ws_send_bytes: 64KiB, event_bytes: 64KiB")) as relay, \
                open_socket(relay, relay.key) as first:
            told = begin(first)
            plain = small_socket(relay)
            with contextlib.suppress(ConnectionClosed, ConnectionResetError), \
                    open_socket(relay, relay.key, sock=plain, max_queue=1) as second:
                send(second, {"type": "resume", "request_id": told.frames[0]["request_id"],
                              "after": 1, "id": "y"})
                wait_until_stuck(drip, 1)
                relay.process.terminate()
                # The second, and the time that a peer has for its half of the closing handshake.
                assert relay.process.wait(10) == 0, relay.log()
    finally:
        drip.close()


def small_socket(relay):
    """A connection that holds few bytes under way."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    plain.connect(("127.0.0.1", relay.port))
    return plain
