"""Chat over a WebSocket, frame by frame, with real clients: ids, keys, cancel, limits, drain, books."""

import asyncio
import contextlib
import json
import re
import threading
import time

import aiohttp
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from configured import Client
from rig import ASK, Paced, Provider, Relay, answer_always, nano, running, wait_for
from socket_chat import HELLO, KEY, Told, ask, gather, open_socket, receive, send

TOOLS = [{"type": "function", "function": {
    "name": "weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}},
                                      "required": ["place"]}}}]


MADE_UP = re.compile(r"req_[0-9A-Za-z]{31}")


def closing(socket):
    """Everything until the end, and the close frame that came."""
    frames = []
    try:
        while True:
            frames.append(receive(socket))
    except ConnectionClosed as closed:
        return frames, closed.rcvd


class Silent(threading.Thread):
    """Connects without a key and says nothing."""

    def __init__(self, gateway):
        super().__init__()
        self.gateway = gateway
        self.start()

    def run(self):
        began = time.monotonic()
        with open_socket(self.gateway, None) as socket:
            self.frames, self.close = closing(socket)
        self.seconds = time.monotonic() - began


@pytest.fixture(scope="module", autouse=True)
def silent(gateway):
    """Its ten seconds pass beside the other tests."""
    thread = Silent(gateway)
    yield thread
    thread.join()


# --- answers


@pytest.mark.threads
def test_two_requests_at_once_are_told_apart_by_their_ids(gateway):
    with open_socket(gateway) as socket:
        send(socket, {**HELLO, "id": "first", "max_tokens": 30})
        send(socket, {**HELLO, "id": "second", "max_tokens": 30, "messages": [{"role": "user", "content": "other"}]})
        told = gather(socket, 2)
    assert set(told) == {"first", "second"}
    for answer in told.values():
        accepted, last = answer.frames[0], answer.last
        assert set(accepted) == {"id", "seq", "accepted", "request_id"}
        assert accepted["accepted"] is True and accepted["request_id"] == last["request_id"]
        assert set(last) == {"id", "seq", "done", "finish_reason", "model", "usage", "cost",
                             "request_id"}
        assert last["finish_reason"] == "length" and last["model"] == "gpt-4.1"
        for frame in answer.frames[1:-1]:
            assert set(frame) == {"id", "seq", "content"}
    assert told["first"].text != told["second"].text


@pytest.mark.threads
def test_twelve_at_once_are_as_one_alone(gateway):
    asks = {f"n{i}": [{"role": "user", "content": f"number {i}"}] for i in range(12)}
    with open_socket(gateway) as socket:
        for name, messages in asks.items():
            send(socket, {**HELLO, "id": name, "messages": messages})
        told = gather(socket, 12)
    with Client(gateway) as client:
        for name, messages in asks.items():
            assert told[name].text == client.chat(messages=messages, max_tokens=6).text


CASES = [
    {"max_tokens": None}, {"max_tokens": 4}, {"tools": TOOLS, "tool_choice": "required", "max_tokens": 50},
    {"response_format": {"type": "json_object"}, "max_tokens": 50}, {"stream": False}, {"stream": None},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"messages": [{"role": "user", "content": "\"quoted\" \\ \u2028 \U0001f600 xin chào"}]},
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_text_calls_finish_and_usage_are_those_of_json_and_sse(gateway, case):
    wishes = {**HELLO, **CASES[case]}
    with open_socket(gateway) as socket:
        told = ask(socket, {**wishes, "id": "x"})
    wishes = {name: value for name, value in wishes.items()
              if name not in ("stream", "stream_options")}
    with Client(gateway) as client:
        whole = client.chat(**wishes)
        streamed = client.chat(**wishes, stream=True, stream_options={"include_usage": True})
        receipt = client.receipt(told.request_id)
    choice = whole.chunks[0]["choices"][0]
    assert told.text == whole.text == streamed.text
    assert told.last["finish_reason"] == choice["finish_reason"]
    assert [(call["name"], call["arguments"]) for call in told.calls] == [
        (call["function"]["name"], call["function"]["arguments"])
        for call in choice["message"].get("tool_calls") or []]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert told.last["usage"][name] == whole.usage[name] == streamed.usage[name]
    assert receipt["transport"] == "ws" and receipt["client_id"] == "x"
    assert receipt["cost"] == told.last["cost"] and receipt["status"] == 200


def test_members_of_the_gateway_are_not_sent_to_the_provider(tmp_path):
    asks = []

    def serve(visit):
        while (body := visit.ask()) is not None:
            asks.append(body)
            visit.begin_stream()
            visit.send_event({"role": "assistant", "content": "Hello"})
            visit.end_stream()

    provider = Provider(serve)
    with running(Relay(tmp_path, provider.url)) as relay:
        with open_socket(relay, key=None) as socket:
            send(socket, ' { "type" : null , "stream":false,"id":"\\u0061","model" : "gpt-4.1",\n'
                         '"api_key":' + json.dumps(relay.key) + ' , "messages":'
                         + json.dumps(ASK["messages"]) + ' ,"temperature" : 0.5 , "session":null}  ')
            told = gather(socket)["a"]
            assert told.text == "Hello"
            send(socket, {"messages": ASK["messages"], "model": "gpt-4.1"})
            assert next(iter(gather(socket).values())).text == "Hello"
    provider.close()
    assert asks[0].pop("stream_options") == {"include_usage": True}
    assert asks[0] == {"stream": True, "model": "own", "messages": ASK["messages"],
                       "temperature": 0.5}
    assert set(asks[1]) == {"stream", "stream_options", "model", "messages"}


def test_reasoning_calls_and_refusals_are_frames_of_their_own(tmp_path):
    def serve(visit):
        while visit.ask() is not None:
            visit.begin_stream()
            visit.send_event({"role": "assistant", "reasoning_content": "Let me"})
            visit.send_event({"reasoning": " see"})
            visit.send_event({"tool_calls": [
                {"index": 0, "id": "one", "type": "function",
                 "function": {"name": "f", "arguments": ""}},
                {"index": 1, "id": "two", "type": "function",
                 "function": {"name": "g", "arguments": "{"}}]})
            visit.send_event({"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]})
            visit.send_event({"refusal": "No."})
            visit.end_stream()

    provider = Provider(serve)
    with running(Relay(tmp_path, provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            told = ask(socket, {**ASK, "id": "x"})
    provider.close()
    assert told.joined("reasoning_content") == "Let me see"
    assert told.joined("refusal") == "No."
    assert told.calls == [{"id": "one", "name": "f", "arguments": ""},
                          {"id": "two", "name": "g", "arguments": "{}"}]
    assert [len(frame["tool_calls"]) for frame in told.frames if "tool_calls" in frame] == [2, 1]
    assert told.last["model"] == "own"


@pytest.mark.parametrize("fault, status, code", [
    ("status=429,retry_after=7", 429, "upstream_rate_limited"),
    ("status=500", 502, "upstream_error"),
    ("cut", 502, "upstream_error"),
    ("cut_mid", 502, "upstream_error"),
    ("error_event", 502, "upstream_error"),
])
def test_a_fault_of_the_handshake_holds_for_every_request(gateway, fault, status, code):
    with open_socket(gateway, headers={"x-sim-fault": fault}) as socket:
        for _ in range(2):
            told = ask(socket, {**HELLO, "id": "x"})
            assert told.error["status"] == status and told.error["code"] == code
            assert set(told.error) == {"message", "type", "param", "code", "status"} | (
                {"retry_after"} if status == 429 else set())
            assert told.last["done"] is True and told.request_id == told.frames[0]["request_id"]
            if status == 429:
                assert told.error["retry_after"] == 7


# --- keys


WAYS = {
    "header": ({"key": KEY}, None, None),
    "subprotocol": ({"key": None, "subprotocols": ["drover.v1", "drover.key." + KEY]}, None,
                    "drover.v1"),
    "openai's subprotocol": ({"key": None, "subprotocols": [
        "openai-insecure-api-key." + KEY, "drover.v1"]}, None, "drover.v1"),
    "auth frame": ({"key": None}, {"type": "auth", "api_key": KEY}, None),
    "first request": ({"key": None}, {**HELLO, "id": "first", "api_key": KEY}, None),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_authenticate(gateway, way):
    options, first, protocol = WAYS[way]
    with open_socket(gateway, **options) as socket:
        assert socket.subprotocol == protocol
        assert KEY not in str(socket.response.headers)
        if first:
            send(socket, first)
        if first and "model" in first:
            assert gather(socket)["first"].last["finish_reason"] == "length"
        assert ask(socket, {**HELLO, "id": "x"}).last["finish_reason"] == "length"


@pytest.mark.parametrize("key, code", [("sk-nope", "malformed_api_key")])
def test_a_wrong_key_in_the_header_is_refused_at_the_handshake(gateway, key, code):
    with pytest.raises(InvalidStatus) as refused:
        open_socket(gateway, key)
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["error"]["code"] == code


@pytest.mark.parametrize("options, first, code", [
    ({"subprotocols": ["drover.v1", "drover.key.sk-nope"]}, None, "malformed_api_key"),
    ({"subprotocols": ["drover.v1", "drover.key."]}, None, "missing_api_key"),
    ({}, {"type": "auth", "api_key": "sk-nope"}, "malformed_api_key"),
    ({}, {"type": "auth"}, "missing_api_key"),
    ({}, {**HELLO, "id": "x", "api_key": "sk-nope"}, "malformed_api_key"),
    ({}, HELLO, "missing_api_key"),
    ({}, {"type": "ping"}, "missing_api_key"),
    ({}, {"type": "cancel", "id": "x", "api_key": KEY}, "missing_api_key"),
    ({}, '{"type":"auth","api_key":"sk-nope","api_key":"' + KEY + '"}', "missing_api_key"),
    ({}, '{"type":"auth","type":"ping","api_key":"' + KEY + '"}', "missing_api_key"),
    ({}, "{", "missing_api_key"),
    ({}, "[]", "missing_api_key"),
])
def test_who_has_no_key_gets_one_error_frame_and_4401(gateway, options, first, code):
    with open_socket(gateway, None, **options) as socket:
        if first:
            send(socket, first)
            with contextlib.suppress(ConnectionClosed):
                send(socket, {"type": "auth", "api_key": KEY})  # too late
        frames, close = closing(socket)
    assert close.code == 4401 and len(frames) == 1
    assert frames[0]["error"]["code"] == code and frames[0]["error"]["status"] == 401
    assert frames[0]["done"] is True
    name = frames[0]["id"]
    if isinstance(first, dict) and "id" in first:
        assert name == first["id"]
    elif first in (None, "{", "[]"):
        assert name is None
    else:
        assert MADE_UP.fullmatch(name)


@pytest.mark.parametrize("origin, is_allowed", [
    ("http://localhost:3000", True), ("https://evil.example", False), (None, True)])
def test_pages_of_foreign_origins_are_refused(gateway, origin, is_allowed):
    if is_allowed:
        with open_socket(gateway, origin=origin) as socket:
            assert ask(socket, HELLO).last["finish_reason"] == "length"
        return
    with pytest.raises(InvalidStatus) as refused:
        open_socket(gateway, origin=origin)
    assert refused.value.response.status_code == 403


def test_another_key_in_a_later_frame_is_refused(gateway):
    with open_socket(gateway, None) as socket:
        assert ask(socket, {**HELLO, "id": "x", "api_key": KEY}).last["finish_reason"] == "length"
        for key in ("sk-nope", "sk-drover-demo-limited", "", 7):
            told = ask(socket, {**HELLO, "id": "x", "api_key": key})
            assert (told.error["code"], told.error["param"]) == ("invalid_request", "api_key")
        for key in (KEY, None):
            assert ask(socket, {**HELLO, "id": "x", "api_key": key}).text


def test_the_handshake_is_answered_with_a_request_id(gateway):
    with open_socket(gateway) as one, open_socket(gateway) as other:
        names = {each.response.headers["x-request-id"] for each in (one, other)}
    assert len(names) == 2 and all(map(MADE_UP.fullmatch, names))


# --- bad input


ANY = "made up"
BAD_FRAMES = [
    ("{", None, "invalid_json", None),
    ("", None, "invalid_json", None),
    ("[1]", None, "invalid_request", None),
    ('"text"', None, "invalid_request", None),
    ("null", None, "invalid_request", None),
    ("[" * 100000, None, "invalid_json", None),
    ({**HELLO, "id": "i" * 65}, ANY, "invalid_request", "id"),
    ({**HELLO, "id": 7}, ANY, "invalid_request", "id"),
    ({"type": "ping", "id": 7}, ANY, "invalid_request", "id"),
    ({"type": "dance"}, ANY, "invalid_request", "type"),
    ({"type": "dance", "id": "x"}, "x", "invalid_request", "type"),
    ({"type": "dance", "id": "beside"}, ANY, "invalid_request", "type"),
    ({"type": 5, "id": "x"}, "x", "invalid_request", "type"),
    ({"id": "x"}, "x", "invalid_request", "model"),
    ({**HELLO, "id": "x", "messages": "hello"}, "x", "invalid_request", "messages"),
    ({**HELLO, "id": "x", "model": "nobody"}, "x", "model_not_found", "model"),
    ('{"id":"x","id":"y","model":"gpt-4.1","messages":[]}', "x", "invalid_request", None),
    ('{"id":"x","stream":true,"str\\u0065am":true,"model":"m","messages":[]}', "x",
     "invalid_request", None),
    ('{"type":"ping","type":"ping"}', ANY, "invalid_request", None),
    ('{"type":"cancel","id":"x","id":"beside"}', "x", "invalid_request", None),
    ('{"type":"resume","id":"x","after":0,"after":1}', "x", "invalid_request", None),
    ('{"type":"auth","api_key":"' + KEY + '","api_key":"' + KEY + '"}', ANY, "invalid_request", None),
    ({**HELLO, "id": "x", "api_key": "sk-nope"}, "x", "invalid_request", "api_key"),
    ({"type": "resume", "id": "x", "request_id": "req_nobody"}, "x", "not_resumable", None),
    ({"type": "resume", "id": "x", "request_id": "req_nobody", "after": None}, "x", "not_resumable", None),
    ({"type": "resume", "request_id": "req_nobody"}, ANY, "not_resumable", None),
    ({"type": "resume", "id": "x", "request_id": "req_nobody", "after": -1}, "x", "invalid_request", "after"),
    ({"type": "resume", "id": "beside", "request_id": "req_nobody"}, ANY, "invalid_request", "id"),
    ({**HELLO, "id": "beside"}, ANY, "invalid_request", "id"),
    ({**HELLO, "id": "beside", "api_key": "sk-nope"}, ANY, "invalid_request", "api_key"),
]


@pytest.mark.parametrize("number", range(len(BAD_FRAMES)))
def test_a_bad_frame_is_answered_and_the_connection_lives(gateway, number):
    frame, name, code, param = BAD_FRAMES[number]
    with open_socket(gateway) as socket:
        send(socket, {**HELLO, "id": "beside"})
        send(socket, frame)
        told = gather(socket, 2)
        beside = told.pop("beside")
        (came, bad), = told.items()
        assert MADE_UP.fullmatch(came) if name == ANY else came == name
        assert bad.error["code"] == code, bad.last
        assert bad.error["param"] == param and bad.last["seq"] == 1
        assert beside.last["finish_reason"] == "length"
        send(socket, {"type": "ping", "id": "p"})
        assert receive(socket) == {"type": "pong"}
        send(socket, {"type": "cancel", "id": "unknown"})
        send(socket, {"type": "cancel"})
        assert ask(socket, {**HELLO, "id": "i" * 64}).last["finish_reason"] == "length"


@pytest.mark.parametrize("frame", [
    "not JSON", "[1]", {**HELLO, "id": "i" * 65}, {**HELLO, "id": 7}, '{"model":"a","model":"b"}',
    {"type": "dance"}, {**HELLO, "api_key": "sk-nope"}, {**HELLO, "session": ""}])
def test_what_can_not_be_read_is_in_the_books_as_over_http(gateway, frame):
    with open_socket(gateway) as socket:
        told = ask(socket, frame)
    with Client(gateway) as client:
        receipt = client.receipt(told.request_id)
    assert receipt["transport"] == "ws" and receipt["client_id"] is None
    assert receipt["status"] == told.error["status"] == 400
    assert receipt["cost"] == 0 and receipt["attempts"] == []
    if isinstance(frame, dict):
        assert receipt["model"] == frame.get("model")


def test_an_id_in_use_is_refused_and_free_again_afterwards(tmp_path):
    provider = Paced()
    with running(Relay(tmp_path, provider.url, limits="ws_requests: 2")) as relay:
        with open_socket(relay, relay.key) as socket:
            send(socket, {**ASK, "id": "x"})
            while "content" not in receive(socket):
                pass
            send(socket, {**ASK, "id": "x"})
            refused = receive(socket)
            assert MADE_UP.fullmatch(refused["id"]) and refused["id"] == refused["request_id"]
            assert refused["error"]["code"] == "invalid_request" and refused["error"]["param"] == "id"
            assert "'x'" in refused["error"]["message"]
            send(socket, {**ASK, "id": "y"})
            while receive(socket).get("content") is None:
                pass
            send(socket, {**ASK, "id": "z"})
            refused = receive(socket)
            assert refused["id"] == "z" and refused["error"]["status"] == 429
            assert refused["error"]["retry_after"] >= 1
            provider.go.set()
            done = 0
            while done < 2:
                done += receive(socket).get("finish_reason") == "stop"
            assert ask(socket, {**ASK, "id": "x"}).text == "Hello world"
        rows = relay.stop() or relay.usage()
    provider.close()
    assert sorted(row["status"] for row in rows) == [200, 200, 200, 400, 429]
    assert {row["transport"] for row in rows} == {"ws"}


def test_binary_too_large_and_bad_text_close_this_connection_alone(tmp_path):
    provider = Provider(answer_always)
    with running(Relay(tmp_path, provider.url, limits="ws_message_bytes: 4KiB")) as relay:
        with open_socket(relay, relay.key) as witness:
            for frame, code in ((b"\x00", 1003), ("x" * 4097, 1009)):
                with open_socket(relay, relay.key) as socket:
                    send(socket, frame)
                    frames, close = closing(socket)
                    assert frames == [] and close.code == code
            assert ask(witness, {**ASK, "id": "x"}).text == "Hello"
    provider.close()


# --- cancel


@pytest.mark.threads
def test_a_cancel_reaches_the_provider_within_100_ms_and_is_billed(tmp_path):
    def serve(visit):
        while visit.ask() is not None:
            visit.begin_stream()
            for _ in range(20):
                visit.send_event({"content": "word "})
            visit.wait_until_left()

    provider = Provider(serve)
    waits, lasts = [], []
    with running(Relay(tmp_path, provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            for number in range(9):
                told = Told()
                send(socket, {**ASK, "id": "x"})
                while told.joined("content").count("word") < 20:
                    told.take(receive(socket))
                sent_at = time.monotonic()
                send(socket, {"type": "cancel", "id": "x"})
                while not told.is_done:
                    told.take(receive(socket))
                assert provider.visits[number].has_left.wait(10)
                waits.append(provider.visits[number].left_at - sent_at)
                lasts.append(told.last)
                assert told.last["finish_reason"] == "cancelled"
                assert told.last["usage"]["completion_tokens"] > 0 and told.last["cost"] > 0
            send(socket, {"type": "cancel", "id": "x"})  # once more: ignored
            send(socket, {"type": "ping"})
            assert receive(socket) == {"type": "pong"}
        relay.stop()
        rows = relay.usage()
    provider.close()
    print(f"cancel to disconnect: {sorted(round(wait * 1000, 1) for wait in waits)} ms")
    assert sorted(waits)[-2] < 0.1, waits  # one may meet a machine that pauses
    assert {(row["client_id"], row["usage_source"]) for row in rows} == {("x", "estimated")}
    assert sorted(nano(row["cost"]) for row in rows) == sorted(
        round(last["cost"] * 10 ** 9) for last in lasts)


def test_a_cancel_before_the_first_token_costs_nothing(gateway):
    with open_socket(gateway, headers={"x-sim-fault": "stall"}) as socket:
        send(socket, {**HELLO, "id": "x"})
        accepted = receive(socket)
        send(socket, {"type": "cancel", "id": "x"})
        last = receive(socket)
    assert last["finish_reason"] == "cancelled" and last["cost"] == 0 and last["seq"] == 2
    assert last["model"] == "gpt-4.1" and last["usage"]["total_tokens"] == 0
    with Client(gateway) as client:
        receipt = client.receipt(accepted["request_id"])
    assert receipt["cancelled"] is True and receipt["cost"] == 0


@pytest.mark.threads
def test_what_waits_for_its_turn_is_cancelled_by_its_name(tmp_path):
    def serve(visit):
        while visit.ask() is not None:
            visit.begin_stream()
            visit.send_event({"content": "begun"})
            visit.wait_until_left()

    provider = Provider(serve)
    with running(Relay(tmp_path, provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            send(socket, {**ASK, "id": "first", "session": "s"})
            while "content" not in receive(socket):
                pass
            send(socket, {**ASK, "id": "second", "session": "s"})
            send(socket, {"type": "cancel", "id": "second"})
            last = receive(socket)
            assert last["id"] == "second" and last["finish_reason"] == "cancelled"
            assert last["model"] == ASK["model"] and last["cost"] == 0
            send(socket, {"type": "cancel", "id": "first"})
            assert receive(socket)["finish_reason"] == "cancelled"
        relay.stop()
        assert [row["model"] for row in relay.usage()] == [ASK["model"]] * 2
    provider.close()


# --- other clients, drain, death


def test_aiohttp_speaks_to_it_too(gateway):
    async def talk():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"ws://127.0.0.1:{gateway.port}/v1/ws/chat",
                                          protocols=("drover.v1", "drover.key." + KEY)) as socket:
                assert socket.protocol == "drover.v1"
                await socket.send_json({**HELLO, "id": "x"})
                told = Told()
                while not told.is_done:
                    told.take(await socket.receive_json(timeout=20))
                await socket.ping(b"are you there")
                return told
    told = asyncio.run(talk())
    with Client(gateway) as client:
        assert told.text == client.chat(max_tokens=6).text


def test_asyncio_websockets_speaks_to_it_too(gateway):
    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{gateway.port}/v1/ws/chat",
                                      additional_headers={"Authorization": "Bearer " + KEY}) as socket:
            await (await socket.ping())
            await socket.send(json.dumps({**HELLO, "id": "x"}))
            told = Told()
            while not told.is_done:
                told.take(json.loads(await asyncio.wait_for(socket.recv(), 20)))
            return told
    assert asyncio.run(talk()).last["finish_reason"] == "length"


@pytest.mark.threads
def test_a_drain_lets_answers_end_refuses_new_ones_and_says_1012(tmp_path):
    provider = Paced()
    with running(Relay(tmp_path, provider.url)) as relay:
        with open_socket(relay, relay.key) as socket, open_socket(relay, relay.key) as idle:
            told = {"x": Told()}
            send(socket, {**ASK, "id": "x"})
            while not told["x"].joined("content"):
                told["x"].take(receive(socket))
            relay.process.terminate()
            wait_for(lambda: "gateway.draining" in relay.log(), what="the drain")

            def refused():
                send(socket, {**ASK, "id": "y"})
                frame = receive(socket)
                if "error" in frame:
                    return frame
                send(socket, {"type": "cancel", "id": "y"})
                while not receive(socket).get("done"):
                    pass
                return None
            frame = wait_for(refused, what="a refusal")
            assert frame["error"]["code"] == "draining" and frame["error"]["status"] == 503
            assert frame["error"]["retry_after"] >= 1
            provider.go.set()
            while not told["x"].is_done:
                told["x"].take(receive(socket))
            assert told["x"].last["finish_reason"] == "stop"
            for each in (socket, idle):
                assert closing(each)[1].code == 1012
        assert relay.process.wait(20) == 0, relay.log()
    provider.close()


def test_who_says_nothing_has_ten_seconds(silent):
    silent.join(30)
    assert 9 < silent.seconds < 20
    assert silent.close.code == 4401 and len(silent.frames) == 1
    assert silent.frames[0]["error"]["code"] == "missing_api_key"
