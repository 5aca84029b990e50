"""What no decent client sends to the WebSocket chat: each gets the error frame or close code that fits,
and a witness on another connection notices nothing."""

import contextlib
import json
import socket
import struct
import threading
import time

import pytest

from websockets.exceptions import ConnectionClosed

from rig import ASK, Paced, Provider, Relay, Wire, answer_always, running, wait_for
from socket_chat import ask, open_socket, receive, send

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
REQUESTS = 10000


def frame(opcode, payload=b"", is_final=True, reserved=0, mask=b"\x11\x22\x33\x44", length=None):
    """A client's frame, right or wrong; `length` is what its head says of it."""
    length = len(payload) if length is None else length
    first = (0x80 if is_final else 0) | reserved | opcode
    bit = 0x80 if mask else 0
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    if not mask:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Raw(Wire):
    """A WebSocket by hand, its handshake done."""

    def __init__(self, relay, takes_little=False, has_key=True):
        self.socket = socket.socket()
        self.socket.settimeout(15)
        if takes_little:
            # As on a real network: loopback's huge segments need huge windows.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.socket.connect(("127.0.0.1", relay.port))
        self.kept = b""
        self.has_ended = False
        self.send(handshake(relay) if has_key else handshake(relay).replace(b"Authorization", b"x"))
        status, fields = self.head()
        assert status == 101 and dict(fields)["upgrade"] == "websocket"

    def frame(self):
        """(opcode, payload); None when the connection has ended."""
        head = self.take(2)
        if len(head) < 2:
            return None
        length = head[1]
        assert length < 128, "a server's frames have no mask"
        if length > 125:
            length = int.from_bytes(self.take(2 if length == 126 else 8), "big")
        payload = self.take(length)
        assert len(payload) == length
        return head[0] & 15, payload

    def ending(self):
        """The messages until the close frame, and its code; nothing comes behind it."""
        messages = []
        while (came := self.frame()) and came[0] != CLOSE:
            messages.append(came[1])
        code = int.from_bytes(came[1][:2], "big") if came else None
        self.reason = came[1][2:].decode() if came else None
        assert self.frame() is None
        return messages, code


def handshake(relay):
    return (f"GET /v1/ws/chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Authorization: Bearer {relay.key}\r\n\r\n").encode()


def json_frame(value):
    return frame(TEXT, json.dumps(value).encode())


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    provider = Provider(answer_always)
    with running(Relay(tmp_path_factory.mktemp("abuse"), provider.url,
                       limits="ws_message_bytes: 1MiB", timeouts="request_head: 1s, idle: 1s")) as started:
        yield started
    provider.close()


class Mute(threading.Thread):
    """A peer that says nothing, not even a pong."""

    def __init__(self, relay):
        super().__init__()
        self.raw = Raw(relay)
        self.raw.socket.settimeout(40)
        self.start()

    def run(self):
        began = time.monotonic()
        self.frame = self.raw.frame()
        self.seconds = time.monotonic() - began


@pytest.fixture(scope="module", autouse=True)
def mute(relay):
    """Its time passes beside the other tests."""
    thread = Mute(relay)
    yield thread
    thread.join()
    thread.raw.socket.close()


@pytest.fixture
def witness(relay):
    """Asks before and after."""
    with open_socket(relay, relay.key) as opened:
        assert ask(opened, {**ASK, "id": "before"}).text == "Hello"
        yield opened
        assert ask(opened, {**ASK, "id": "after"}).text == "Hello"


BYTES = {
    "a binary message": (frame(BINARY, b"{}"), 1003),
    "no mask": (frame(TEXT, b"{}", mask=None), 1002),
    "a reserved bit": (frame(TEXT, b"{}", reserved=0x40), 1002),
    "an unknown opcode": (frame(3, b"{}"), 1002),
    "an unknown control opcode": (frame(11), 1002),
    "a continuation of nothing": (frame(0, b"{}"), 1002),
    "a message within a message": (frame(TEXT, b"{", is_final=False) + frame(TEXT, b"}"), 1002),
    "a ping in fragments": (frame(PING, is_final=False), 1002),
    "a ping too long": (frame(PING, b"x" * 126), 1002),
    "half a close code": (frame(CLOSE, b"\x03"), 1002),
    "a close code that is none": (frame(CLOSE, struct.pack("!H", 1005)), 1002),
    "bad UTF-8": (frame(TEXT, b'{"id":"\xff"}'), 1007),
    "bad UTF-8, its end awaited": (frame(TEXT, b"\xce", is_final=False)
                                   + frame(0, b"\xff", is_final=False), 1007),
    "a message too large": (frame(TEXT, b" ", length=(1 << 20) + 1), 1009),
    "the head of a message too large": (frame(TEXT, length=(1 << 20) + 1), 1009),
    "a message beyond reason": (frame(TEXT, b" ", length=1 << 40), 1009),
    "fragments too large": (frame(TEXT, b" ", is_final=False) + b"".join(
        frame(0, b" " * 65536, is_final=False) for _ in range(16)), 1009),
    "a close": (frame(CLOSE, struct.pack("!H", 1000)), 1000),
}


@pytest.mark.parametrize("name", BYTES)
def test_what_is_no_websocket_text_closes_this_connection_with_its_code(relay, witness, name):
    sent, code = BYTES[name]
    with Raw(relay) as raw:
        raw.send(sent)
        assert raw.ending() == ([], code)


def test_frames_behind_a_close_are_not_read(relay, witness):
    before = relay.usage_over_http()
    with Raw(relay) as raw:
        raw.send(frame(CLOSE, struct.pack("!H", 1000)) + json_frame({**ASK, "id": "late"}) * 3
                 + frame(PING, b"late"))
        assert raw.ending() == ([], 1000)
    assert ask(witness, {**ASK, "id": "x"}).text == "Hello"
    wait_for(lambda: relay.usage_over_http() == before + 1, what="the witness's answer")


HANDSHAKES = {
    "another version": (b"Version: 13", b"Version: 12", 426),
    "no version": (b"Sec-WebSocket-Version: 13\r\n", b"", 426),
    "no key": (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"", 400),
    "a key that is none": (b"dGhlIHNhbXBsZSBub25jZQ==", b"short", 400),
    "no upgrade": (b"Upgrade: websocket\r\n", b"", 426),
    "another upgrade": (b"Upgrade: websocket", b"Upgrade: h2c", 426),
    "another method": (b"GET ", b"POST ", 405),
}


@pytest.mark.parametrize("name", HANDSHAKES)
def test_a_handshake_that_is_none_is_refused(relay, witness, name):
    right, wrong, status = HANDSHAKES[name]
    request = handshake(relay).replace(right, wrong)
    assert request != handshake(relay)
    with Wire(relay.port) as wire:
        wire.send(request)
        answer = wire.answer()
        assert answer.status == status and answer.error["message"]
        if status == 426:
            assert answer.field("sec-websocket-version") == "13"


def test_half_a_handshake_is_given_up(relay, witness):
    with Wire(relay.port) as wire, Wire(relay.port) as silent:
        wire.send(handshake(relay)[:60])
        answer = wire.answer()
        assert answer.status == 408 and answer.error["code"] == "request_timeout"
        assert not wire.more() and not silent.more() and not silent.kept


def test_a_frame_that_never_ends_holds_nobody_up(relay, witness):
    with Raw(relay) as raw:
        for size in (1, 5, 100):
            raw.send(json_frame(ASK)[:size])
            assert ask(witness, {**ASK, "id": f"beside {size}"}).text == "Hello"
        raw.reset()


def test_a_message_must_come_whole_in_time(tmp_path):
    provider = Provider(answer_always)
    with running(Relay(tmp_path, provider.url, timeouts="request_body: 2s")) as relay:
        with Raw(relay) as raw, open_socket(relay, relay.key) as witness:
            began = time.monotonic()
            raw.send(frame(TEXT, b"[", is_final=False))
            while time.monotonic() < began + 1.5:
                raw.send(frame(0, b" ", is_final=False) + frame(PING))
                time.sleep(0.1)
            _, code = raw.ending()
            assert code == 1008 and "whole" in raw.reason
            assert 1.5 < time.monotonic() - began < 10
            assert ask(witness, {**ASK, "id": "x"}).text == "Hello"
    provider.close()


# --- strangers


def test_strangers_share_what_they_may_say_before_a_key(relay, witness):
    """Each of two workers takes two of the largest messages from all of them together."""
    part = b'{"padding":"' + b"x" * 900000
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(Raw(relay, has_key=False)) for _ in range(12)]
        for each in strangers:
            each.send(frame(TEXT, part, is_final=False))
            each.socket.settimeout(0.2)
        refused = set()

        def eight_are_refused():
            for each in set(strangers) - refused:
                with contextlib.suppress(TimeoutError):
                    assert each.ending() == ([], 1009) and "key" in each.reason
                    refused.add(each)
            return len(refused) >= 12 - 2 * 2
        wait_for(eight_are_refused, 8, "the refusals")
        assert len(refused) < 12
        # A key, and a question of a usual size, always come through.
        with open_socket(relay, None) as opened:
            send(opened, {"type": "auth", "api_key": relay.key})
            assert ask(opened, {**ASK, "id": "x"}).text == "Hello"
            assert ask(opened, {**ASK, "id": "y", "user": "u" * 900000}).text == "Hello"
        with open_socket(relay, None) as opened:
            assert ask(opened, {**ASK, "id": "x", "api_key": relay.key, "user": "u" * 10000}).text == "Hello"
    # They have gone, and left their places.
    def first_with_much():
        with open_socket(relay, None) as opened:
            with contextlib.suppress(ConnectionClosed):
                return ask(opened, {**ASK, "api_key": relay.key, "user": "u" * 900000}).text
    wait_for(lambda: first_with_much() == "Hello", what="room")


def test_what_waits_for_a_session_is_bounded(tmp_path):
    provider = Paced()
    much = {**ASK, "session": "s", "user": "u" * 700000}
    with running(Relay(tmp_path, provider.url, limits="ws_message_bytes: 1MiB")) as relay:
        with open_socket(relay, relay.key) as socket:
            send(socket, {**ASK, "id": "first", "session": "s"})
            while "content" not in receive(socket):
                pass
            for name in ("large", "too much", "small", "later"):
                if name == "later":  # what was cancelled waits no more
                    send(socket, {"type": "cancel", "id": "large"})
                    assert receive(socket)["finish_reason"] == "cancelled"
                send(socket, {**(ASK if name == "small" else much), "id": name, "session": "s"})
                if name == "too much":
                    refused = receive(socket)
                    assert refused["id"] == name and refused["error"]["retry_after"] >= 1
                    assert refused["error"]["code"] == "rate_limit_exceeded"
            provider.go.set()
            ended = []
            while len(ended) < 3:
                told = receive(socket)
                if told.get("done"):
                    assert told["finish_reason"] == "stop"
                    ended.append(told["id"])
            assert ended == ["first", "small", "later"]
            assert ask(socket, {**much, "id": "alone"}).last["finish_reason"] == "stop"
    provider.close()


def test_ten_thousand_requests_at_once_are_all_answered(relay, witness):
    """Of which only so many run; the others are told to wait."""
    with open_socket(relay, relay.key) as opened:
        def send_all():
            for number in range(REQUESTS):
                send(opened, {**ASK, "id": str(number)})
        sender = threading.Thread(target=send_all)
        sender.start()
        ended = {}
        while len(ended) < REQUESTS:
            told = receive(opened)
            if not told.get("done"):
                continue
            assert told["id"] not in ended
            ended[told["id"]] = told.get("finish_reason") or told["error"]["code"]
            if len(ended) == REQUESTS // 2:
                assert ask(witness, {**ASK, "id": "between"}).text == "Hello"
        sender.join()
        assert set(ended.values()) <= {"stop", "rate_limit_exceeded"}
        assert sum(how == "stop" for how in ended.values()) >= 64
        assert ask(opened, {**ASK, "id": "last"}).text == "Hello"


def test_who_asks_for_more_than_he_reads_is_closed(relay, witness):
    """Errors are not held back by anything but the bound on what waits."""
    with Raw(relay, takes_little=True) as raw:
        piece = json_frame([]) * 1000
        raw.socket.settimeout(2)
        with contextlib.suppress(OSError):
            for _ in range(200):
                raw.socket.sendall(piece)
        raw.socket.settimeout(15)
        messages, code = raw.ending()
        assert code == 1008 and messages


# --- a reader that never reads


def test_a_peer_that_never_reads_pauses_its_provider_and_is_closed_with_1008(tmp_path):
    def serve(visit):
        while visit.ask() is not None:
            visit.begin_stream()
            while visit.sent < 64 * 1024 * 1024:
                visit.send_event({"content": "x" * 4000})
            visit.end_stream()

    provider = Provider(serve)
    with running(Relay(tmp_path, provider.url, timeouts="between_bytes: 1s")) as relay:
        with Raw(relay, takes_little=True) as raw:
            raw.send(json_frame({**ASK, "id": "slow"}))
            wait_for(lambda: provider.visits and provider.visits[0].sent > 100000, what="the stream")
            with open_socket(relay, relay.key) as other:
                send(other, {"type": "ping"})
                assert receive(other) == {"type": "pong"}
            wait_for(lambda: relay.usage_over_http() == 1, 30, "the end")
            assert provider.visits[0].sent < 24 * 1024 * 1024
            messages, code = raw.ending()
            assert code == 1008 and json.loads(messages[0])["accepted"] is True
            assert "finish_reason" not in json.loads(messages[-1])
    provider.close()


# --- a peer that is silent


def test_who_is_silent_is_pinged_after_25_seconds(mute):
    mute.join(40)
    assert mute.frame == (PING, b"") and 24 < mute.seconds < 28
