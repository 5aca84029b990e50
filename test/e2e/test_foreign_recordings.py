"""A provider that was asked for a chat and answers in an API that nobody here speaks: recordings of OpenAI's Responses
API through a running gateway, as answers of each dialect, whole and cut, over JSON, event streams and WebSockets.
The client gets one clear error or the next target's answer, the account one entry per request and no charge for
what said nothing. And that API's requests, sent to this one."""

import asyncio
import json
import re

import pytest

from socket_chat import ask, open_socket
from test_recordings import (FIRST_STREAM, PRICE, TEST, House, Recorded, Replay, check_receipt, expected_refusal,
                             fixture_of, make, split_answer)

FOLDER = TEST / "fixtures" / "openai-responses"
INDEX = json.loads((FOLDER / "INDEX.json").read_text())
REQUESTS = [entry["request"] for entry in INDEX if "request" in entry]


class Foreign(Recorded):
    def __init__(self, entry, number):
        super().__init__(FOLDER.name, entry, number)
        golden = (TEST / "golden" / "openai-responses" / (entry["name"] + ".txt")).read_text(encoding="utf-8")
        told = [line.removeprefix("chat: ") for line in golden.splitlines() if line.startswith("chat: ")]
        self.words = next((line.removeprefix("error ").split(" | ")[0] for line in told
                           if line.startswith("error ")), None)
        self.is_ended = "end" in told


RECORDINGS = [Foreign(entry, number) for number, entry in enumerate(INDEX)]
each_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=lambda each: each.name)
GOOD = len(RECORDINGS)


class ForeignReplay(Replay):
    recordings = [*RECORDINGS, FIRST_STREAM]


class ForeignHouse(House):
    replay = ForeignReplay
    config = f"""
timeouts: {{first_byte: 20s, between_bytes: 20s}}
providers:
  replay: {{dialect: openai, base_url: "http://127.0.0.1:PORT/v1", api_keys: [sk-recorded]}}
  claude: {{dialect: anthropic, base_url: "http://127.0.0.1:PORT", api_keys: [sk-recorded]}}
  google: {{dialect: gemini, base_url: "http://127.0.0.1:PORT", api_keys: [sk-recorded]}}
models:
  "r:*": {{{PRICE}, targets: [{{name: replay, provider: replay, model: "*"}}]}}
  "a:*": {{{PRICE}, targets: [{{name: claude, provider: claude, model: "*"}}]}}
  "g:*": {{{PRICE}, targets: [{{name: google, provider: google, model: "*"}}]}}
  "f:*":
    {PRICE}
    targets:
      - {{name: first, provider: replay, model: "*"}}
      - {{name: second, provider: replay, model: "r:{GOOD}/chunk/0"}}
"""

    def total(self):
        return json.loads(self.get("/v1/account/usage")[2])["total"]


house = fixture_of(ForeignHouse)


def first_code(recording):
    found = re.search(rb'"code": ?"([^"]+)"', recording.body)
    return found and found[1]


def expected_error(recording, is_stream):
    """(status, type, code, what its sentence holds)."""
    if recording.status != 200:
        status, kind, code, _ = expected_refusal(recording)
        words = make.error_of(json.loads(recording.body))[0]
        if first_code(recording) == b"insufficient_quota":
            words = "no credit left for the gateway's own account"
        return status, kind, code, "own key" if status == 502 else words[:300]
    if not is_stream:
        what = "not JSON at byte 0" if recording.is_stream else "an answer without choices"
    elif not recording.is_stream:
        what = "a stream was asked for and one whole body came"
    elif first_code(recording) == b"rate_limit_exceeded":
        return 429, "rate_limit_error", "upstream_rate_limited", recording.words[:300]
    elif first_code(recording) == b"insufficient_quota":
        what = "no credit left for the gateway's own account"
    elif recording.words:
        what = recording.words[:300]
    elif recording.is_ended:
        what = "a stream that ends without an answer"
    else:
        what = "ended the connection before the answer was complete"
    return 502, "server_error", "upstream_error", what


def check_error(error, recording, is_stream):
    status, kind, code, what = expected_error(recording, is_stream)
    assert (error["type"], error["code"]) == (kind, code), error
    assert what in error["message"], error
    return status


def check_free(receipt, status):
    assert (receipt["status"], receipt["cost"], receipt["held"]) == (status, 0, 0)
    assert [attempt["target"] for attempt in receipt["attempts"]] == ["replay"]
    assert not any(receipt["usage"].values())


@each_recording
def test_a_foreign_answer_is_one_clear_error(house, recording):
    for is_stream in (True, False):
        for how in ("length", "chunk", "close"):
            status, headers, body = house.chat(f"r:{recording.number}/{how}/0", is_stream)
            error = json.loads(body)["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert status == check_error(error, recording, is_stream)
            assert headers["content-type"] == "application/json"
            check_free(house.receipt(headers["x-request-id"]), status)


@each_recording
def test_it_stays_so_wherever_it_is_cut(house, recording):
    asks = [("bytes", 0)] + [("chunks", cut) for cut in range(1, len(recording.body), len(recording.body) // 7)]

    async def all_of_them(wire):
        return [await wire.chat(house.gateway.key, f"r:{recording.number}/{how}/{cut}", recording.is_stream)
                for how, cut in asks]

    for status, _, body in house.on_a_wire(all_of_them):
        assert status == check_error(json.loads(body)["error"], recording, recording.is_stream)


@each_recording
def test_the_next_target_answers_instead(house, recording):
    status, headers, body = house.chat(f"f:{recording.number}/chunk/0", True)
    receipt = house.receipt(headers["x-request-id"])
    targets = [attempt["target"] for attempt in receipt["attempts"]]
    if recording.status == 400:  # speaks of the client's request
        assert (status, receipt["cost"], targets) == (400, 0, ["first"])
        return
    assert (status, headers["x-drover-target"], body) == (200, "second", FIRST_STREAM.body)
    assert targets == ["first", "second"]
    check_receipt(receipt, FIRST_STREAM, 200)


@pytest.mark.parametrize("dialect", ("a", "g"))
def test_as_an_answer_of_another_dialect_it_is_an_error_too(house, dialect):
    async def all_of_them(wire):
        return [(recording, await wire.chat(house.gateway.key, f"{dialect}:{recording.number}/chunk/0", is_stream))
                for recording in RECORDINGS for is_stream in (True, False)]

    for recording, (status, headers, body) in house.on_a_wire(all_of_them):
        assert b'"error"' in body, (recording.name, recording.is_stream, status, body)
        error = json.loads(body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        expected = 502 if recording.status == 200 else expected_refusal(recording)[0]
        assert status == expected, (recording.name, error)
        assert recording.status != 200 or error["code"] == "upstream_error"
        assert headers["content-type"] == "application/json"
        receipt = house.receipt(headers["x-request-id"])
        assert (receipt["status"], receipt["cost"]) == (status, 0)
        assert [each["status"] for each in receipt["attempts"]] == [recording.status]


def test_over_a_websocket_it_is_one_last_frame(house):
    with open_socket(house.gateway, house.gateway.key) as socket:
        for recording in RECORDINGS:
            told = ask(socket, {"model": f"r:{recording.number}/chunk/0",
                                "messages": [{"role": "user", "content": "again"}]})
            assert [sorted(frame) for frame in told.frames[:-1]] == [["accepted", "id", "request_id", "seq"]]
            status = check_error(told.error, recording, True)
            assert told.error["status"] == status
            check_free(house.receipt(told.request_id), status)


def test_each_request_is_in_the_books_once(house):
    """Also when many come at once."""
    before = house.total()

    async def all_at_once():
        async def one(recording):
            wire = await house.connect()
            answer = await wire.chat(house.gateway.key, f"r:{recording.number}/chunks/9", recording.is_stream)
            wire.transport.abort()
            return answer[1]["x-request-id"]
        return await asyncio.gather(*map(one, RECORDINGS))

    ids = house.run(all_at_once())
    assert len(set(ids)) == len(RECORDINGS)
    for request_id in ids:
        house.receipt(request_id)
    after = house.total()
    assert after["requests"] == before["requests"] + len(RECORDINGS)
    assert {name: after[name] for name in after if name != "requests"} == {
        name: before[name] for name in before if name != "requests"}


@pytest.mark.parametrize("name", REQUESTS)
def test_its_request_is_refused_by_the_name_of_what_is_wrong(house, name):
    body = (FOLDER / name).read_text(encoding="utf-8")
    status, headers, answer = split_answer(house.post_body(json.dumps(json.loads(body))))
    error = json.loads(answer)["error"]
    assert (status, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_request")
    assert error["param"] == first_foreign(json.loads(body))
    assert repr(error["param"])[1:-1] in error["message"]
    receipt = house.receipt(headers["x-request-id"])
    assert (receipt["status"], receipt["cost"], receipt["attempts"]) == (400, 0, [])


def first_foreign(body):
    """The first member that a chat's request may not have in this form, or the one that is missing."""
    for name, value in body.items():
        if name == "tools":
            for at, tool in enumerate(value):
                if tool["type"] == "function":
                    return f"tools[{at}].function"
        if name == "tool_choice" and isinstance(value, dict) and value["type"] in ("function", "allowed_tools"):
            return f"tool_choice.{value['type']}"
        if name == "temperature" and value < 0:
            return name
    return "messages"
