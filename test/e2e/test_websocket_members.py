"""What an answer says beside words: as over SSE in frames, and in what a session keeps of it."""

import json

import pytest

from rig import Provider, Relay, running
from socket_chat import ask, open_socket, receive, send
from test_protocol import names_of
from test_sessions import Echo, frame, said

WEATHER = {"name": "w", "arguments": "{}"}
SEAL = {"google": {"thought_signature": "SEAL"}}
LOGPROBS = {"content": [{"token": "Hi", "logprob": -0.125, "bytes": [72, 105], "top_logprobs": []}],
            "refusal": None}
SOURCE = {"type": "url_citation",
          "url_citation": {"url": "https://x", "title": "t", "start_index": 0, "end_index": 3}}
USAGE = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17,
         "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2, "audio_tokens": 3},
         "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 2,
                                       "accepted_prediction_tokens": 3,
                                       "rejected_prediction_tokens": 4}}


def chunk(delta, finish=None, index=0, **beside):
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "own",
            "choices": [{"index": index, "delta": delta, "finish_reason": finish, **beside}]}


def call(index=0, **members):
    return {"index": index, "id": f"c{index + 1}", "type": "function", "function": WEATHER, **members}


def thought(**members):
    return {"type": "reasoning.text", **members, "format": "anthropic-claude-v1", "index": 0}


ANSWERS = {
    "words": [chunk({"content": "fine"}), chunk({}, "stop")],
    "reasoning and a call": [
        chunk({"role": "assistant", "content": None, "reasoning_content": "I must "}),
        chunk({"reasoning_content": "think"}), chunk({"tool_calls": [call()]}),
        chunk({}, "tool_calls")],
    "sealed details": [
        chunk({"content": "", "reasoning": "h", "reasoning_details": [thought(text="h")]}),
        chunk({"reasoning": "m", "reasoning_details": [thought(text="m")]}),
        chunk({"reasoning_details": [thought(text="", signature="SEAL")]}),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "D", "index": 1}]}),
        chunk({"tool_calls": [call()]}), chunk({}, "tool_calls")],
    "a sealed call": [chunk({"tool_calls": [call(extra_content=SEAL)], "extra_content": SEAL}),
                      chunk({}, "tool_calls")],
    "a custom call": [
        chunk({"tool_calls": [{"index": 0, "id": "c1", "type": "custom",
                               "custom": {"name": "py", "input": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "print(1)"}}]}),
        chunk({}, "tool_calls")],
    "a function call": [
        chunk({"content": None, "function_call": {"name": "w", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}), chunk({}, "function_call")],
    "logprobs": [chunk({"content": "Hi"}, logprobs=LOGPROBS), chunk({}, "stop")],
    "annotations": [chunk({"content": "See"}), chunk({"annotations": [SOURCE]}), chunk({}, "stop")],
    "choices": [chunk({"content": "a"}), chunk({"content": "b"}, index=1),
                chunk({}, "stop"), chunk({}, "length", index=1)],
    "images": [chunk({"content": "x", "images": [{"a": 1}], "channel": "final"}),
               chunk({"content": "y", "channel": "final"}),
               chunk({"content": "z", "channel": "final"}), chunk({}, "stop")],
    "nothing": [chunk({"role": "assistant", "content": ""}), chunk({}, "length")],
    "reasoning alone": [chunk({"reasoning_content": "hm"}), chunk({}, "stop")],
    "many calls": [chunk({"tool_calls": [call(i) for i in range(700)]}), chunk({}, "tool_calls")],
    "too many calls": [chunk({"tool_calls": [call(i) for i in range(1025)]}),
                       chunk({}, "tool_calls")],
}


class Saying:
    """A provider that says what its ask names."""

    def __init__(self):
        self.asks = []
        self.provider = Provider(self.serve)

    def serve(self, visit):
        while (body := visit.ask()) is not None:
            self.asks.append(body)
            visit.begin_stream()
            for event in ANSWERS.get(body["messages"][-1]["content"], ANSWERS["words"]):
                visit.send_chunk(b"data: %s\n\n" % json.dumps(event).encode())
            visit.send_chunk(b"data: %s\n\n" % json.dumps(
                {"id": "c", "model": "own", "choices": [], "usage": USAGE}).encode())
            visit.send_chunk(b"data: [DONE]\n\n")
            visit.send(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def saying():
    made = Saying()
    yield made
    made.provider.close()


@pytest.fixture(scope="module")
def relay(tmp_path_factory, saying):
    with running(Relay(tmp_path_factory.mktemp("members"), saying.provider.url)) as started:
        yield started


@pytest.fixture
def socket(relay):
    with open_socket(relay, relay.key) as opened:
        yield opened


def frames_of(told):
    """Without what every frame has."""
    return [{name: value for name, value in each.items() if name not in ("id", "seq")}
            for each in told.frames[1:-1]]


FRAMES = [
    ("reasoning and a call", [{"reasoning_content": "I must "}, {"reasoning_content": "think"},
                              {"tool_calls": [call()]}]),
    ("sealed details", [
        {"reasoning_content": "h", "reasoning_details": [thought(text="h")]},
        {"reasoning_content": "m", "reasoning_details": [thought(text="m")]},
        {"reasoning_details": [thought(text="", signature="SEAL")]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "D", "index": 1}]},
        {"tool_calls": [call()]}]),
    ("a sealed call", [{"extra_content": SEAL}, {"tool_calls": [call(extra_content=SEAL)]}]),
    ("a custom call", [event["choices"][0]["delta"] for event in ANSWERS["a custom call"][:2]]),
    ("a function call", [{"function_call": {"name": "w", "arguments": ""}},
                         {"function_call": {"arguments": "{}"}}]),
    ("logprobs", [{"content": "Hi", "logprobs": LOGPROBS}]),
    ("annotations", [{"content": "See"}, {"annotations": [SOURCE]}]),
    ("choices", [{"content": "a"}, {"index": 1, "content": "b"}]),
    ("images", [{"content": "x"}, {"content": "y"}, {"content": "z"}]),
]


@pytest.mark.parametrize("wish, expected", FRAMES, ids=[wish for wish, _ in FRAMES])
def test_frames_say_what_the_deltas_do(socket, wish, expected):
    told = ask(socket, frame(wish, None))
    assert frames_of(told) == expected
    kinds = [names_of(each, "sendFrame") for each in told.frames]
    assert kinds == [["accepted"], *[["delta"]] * len(expected), ["done"]]
    last = ANSWERS[wish][-2 if wish == "choices" else -1]["choices"][0]["finish_reason"]
    assert told.last["finish_reason"] == last
    assert told.last["usage"] == USAGE
    assert told.last.get("finish_reasons") == (["stop", "length"] if wish == "choices" else None)
    assert told.last.get("dropped") == (["images", "channel"] if wish == "images" else None)


def test_every_choice_that_was_asked_for_has_its_end(socket):
    assert ask(socket, frame("words", None, n=3)).last["finish_reasons"] == ["stop", None, None]


def test_audio_is_refused(socket, saying):
    before = len(saying.asks)
    refused = ask(socket, frame("words", None, modalities=["text", "audio"])).error
    assert (refused["status"], refused["code"], refused["param"]) == (
        400, "invalid_request", "modalities")
    assert "HTTP" in refused["message"] and len(saying.asks) == before
    assert not ask(socket, frame("words", None, modalities=["text"])).error


KEPT = [
    ("reasoning and a call", {"content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": WEATHER}],
        "reasoning_content": "I must think"}),
    ("sealed details", {"content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": WEATHER}], "reasoning_content": "hm",
        "reasoning_details": [thought(text="hm", signature="SEAL"),
                              {"type": "reasoning.encrypted", "data": "D", "index": 1}]}),
    # A call's seal is kept too, but goes to nobody but Google (openai_seals).
    ("a sealed call", {"content": None, "extra_content": SEAL, "tool_calls": [
        {"id": "c1", "type": "function", "function": WEATHER}]}),
    ("a custom call", {"content": None, "tool_calls": [
        {"id": "c1", "type": "custom", "custom": {"name": "py", "input": "print(1)"}}]}),
    ("a function call", {"content": None, "function_call": WEATHER}),
    ("nothing", {"content": ""}),
    ("reasoning alone", {"content": ""}),
    ("many calls", {"content": None, "tool_calls": [
        {"id": f"c{i + 1}", "type": "function", "function": WEATHER} for i in range(700)]}),
]

@pytest.mark.parametrize("wish, expected", KEPT, ids=[wish for wish, _ in KEPT])
def test_a_session_keeps_what_a_client_would_send_back(socket, saying, wish, expected):
    session = f"kept {wish}"
    assert not ask(socket, frame(wish, session)).error
    assert not ask(socket, frame("words", session)).error
    assert saying.asks[-1]["messages"] == [said(wish), {"role": "assistant", **expected},
                                           said("words")]


def test_a_turn_of_more_calls_than_are_kept_ends_the_session(socket, saying):
    told = ask(socket, frame("too many calls", "much"))
    assert len(told.frames[1]["tool_calls"]) == 1025
    before = len(saying.asks)
    assert ask(socket, frame("words", "much")).error["status"] == 413
    assert len(saying.asks) == before


def test_the_bill_of_an_ask_that_waited_names_its_model(tmp_path):
    echo = Echo()
    with running(Relay(tmp_path, echo.provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            send(socket, frame("wait", id="a"))
            assert receive(socket)["accepted"]
            send(socket, frame("b", id="b"))
            send(socket, {"type": "cancel", "id": "b"})
            while (last := receive(socket))["id"] != "b":
                pass
            assert (last["finish_reason"], last["model"]) == ("cancelled", "gpt-4.1")
            echo.go.set()
            while not receive(socket).get("done"):
                pass
        relay.stop()
        assert {row["model"] for row in relay.usage()} == {"gpt-4.1"}
    echo.provider.close()


# --- translated answers


def anthropic_events(block, *deltas, stop="end_turn"):
    yield "message_start", {"message": {"id": "m", "model": "claude", "usage": {"input_tokens": 5}}}
    yield "content_block_start", {"index": 0, "content_block": block}
    for delta in deltas:
        yield "content_block_delta", {"index": 0, "delta": delta}
    yield "content_block_stop", {"index": 0}
    yield "message_delta", {"delta": {"stop_reason": stop}, "usage": {"output_tokens": 7}}
    yield "message_stop", {}


CLAUDE = {
    "call": list(anthropic_events(
        {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {}},
        {"type": "input_json_delta", "partial_json": "{\"a\":"},
        {"type": "input_json_delta", "partial_json": "1}"}, stop="tool_use")),
    "cite": list(anthropic_events(
        {"type": "text", "text": ""}, {"type": "text_delta", "text": "Gà "},
        {"type": "citations_delta", "citation": {"type": "web_search_result_location",
                                                 "url": "https://x", "title": "t"}},
        {"type": "text_delta", "text": "xé"})),
}


def speak_claude(visit):
    while (body := visit.ask()) is not None:
        content = body["messages"][-1]["content"]
        wish = content if isinstance(content, str) else content[-1].get("text")
        visit.begin_stream()
        for name, event in CLAUDE.get(wish, CLAUDE["cite"]):
            visit.send_chunk(b"event: %s\ndata: %s\n\n" % (
                name.encode(), json.dumps({"type": name, **event}).encode()))
        visit.send(b"0\r\n\r\n")


def test_the_older_interface_and_sources_are_translated_as_over_sse(tmp_path):
    provider = Provider(speak_claude)
    functions = [{"name": "w", "parameters": {"type": "object", "properties": {}}}]
    with running(Relay(tmp_path, provider.url, dialect="anthropic")) as relay:
        with open_socket(relay, relay.key) as socket:
            told = ask(socket, frame("call", "s", functions=functions, max_tokens=99))
            assert frames_of(told) == [{"function_call": {"name": "w", "arguments": ""}},
                                       {"function_call": {"arguments": "{\"a\":"}},
                                       {"function_call": {"arguments": "1}"}}]
            assert told.last["finish_reason"] == "function_call"
            result = {"role": "function", "name": "w", "content": "42"}
            assert not ask(socket, {**frame("x", "s"), "messages": [result]}).error
            told = ask(socket, frame("cite", None, max_tokens=99))
            assert frames_of(told) == [
                {"content": "Gà "},
                {"annotations": [{"type": "url_citation", "url_citation": {
                    "url": "https://x", "title": "t", "start_index": 3, "end_index": 3}}]},
                {"content": "xé"}]
    provider.close()
