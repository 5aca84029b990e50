"""Recorded answers of providers: the same prompt gives the same over JSON, SSE and WebSocket. The provider
here plays a recording in the form that it was recorded in, and in the other one as a second witness
(test/golden/make.py) reads it."""

import http.client
import json

import pytest

from configured import ConfiguredGateway
from rig import Provider
from socket_chat import ask, open_socket
from test_recordings import RECORDINGS, make

PLAYED = [each for each in RECORDINGS if each.status == 200]
OTHER_FORM_PIECE = 7  # characters of a delta


# --- the provider


def read(recording):
    """What it says, as the second witness understands it."""
    answer = make.Answer()
    if recording.is_stream:
        for payload in make.payloads(recording.body):
            if payload.strip() and payload.strip() != "[DONE]":
                answer.add(json.loads(payload))
    else:
        answer.add(json.loads(recording.body))
    return answer


def join_halves(text):
    """Characters whose surrogates came apart."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def usage_json(answer):
    if answer.usage is None:
        return None
    prompt, completion, total, cached, reasoning = answer.usage
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning}}


def calls_json(calls):
    return [{"index": place, "id": identity, "type": "function",
             "function": {"name": name, "arguments": arguments}}
            for place, (identity, name, arguments) in enumerate(calls)]


def said_json(choice):
    said = {"role": "assistant", "content": join_halves(choice.text) or None}
    if choice.reasoning:
        said["reasoning_content"] = choice.reasoning
    if choice.refusal:
        said["refusal"] = choice.refusal
    return said


def whole_of(answer):
    """One body that says what the stream did."""
    choices = []
    for number, choice in sorted(answer.choices.items()):
        message = said_json(choice)
        if choice.calls:
            message["tool_calls"] = calls_json(choice.calls)
        choices.append({"index": number, "message": message,
                        "finish_reason": (choice.finishes or [None])[-1]})
    body = {"id": answer.id, "object": "chat.completion", "model": answer.model, "choices": choices}
    if answer.usage:
        body["usage"] = usage_json(answer)
    return json.dumps(body).encode()


def deltas_of(choice):
    for name, text in said_json(choice).items():
        for at in range(0, len(text or ""), OTHER_FORM_PIECE):
            yield {name: text[at:at + OTHER_FORM_PIECE]}
    for call in calls_json(choice.calls):
        arguments = call["function"]["arguments"]
        yield {"tool_calls": [{**call, "function": {**call["function"], "arguments": ""}}]}
        for at in range(0, len(arguments), OTHER_FORM_PIECE):
            yield {"tool_calls": [{"index": call["index"], "function": {
                "arguments": arguments[at:at + OTHER_FORM_PIECE]}}]}


def stream_of(answer):
    """A stream that says what the body did."""
    head = {"id": answer.id, "object": "chat.completion.chunk", "model": answer.model}
    chunks = []
    for number, choice in sorted(answer.choices.items()):
        chunks += [{"index": number, "delta": delta} for delta in deltas_of(choice)]
        chunks.append({"index": number, "delta": {},
                       "finish_reason": (choice.finishes or [None])[-1]})
    events = [{**head, "choices": [chunk]} for chunk in chunks]
    if answer.usage:
        events.append({**head, "choices": [], "usage": usage_json(answer)})
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + (
        b"data: [DONE]\n\n")


def play(visit):
    while (body := visit.ask()) is not None:
        recording = RECORDINGS[int(body["model"].removeprefix("r:"))]
        is_stream = bool(body.get("stream"))
        if is_stream == recording.is_stream:
            played = recording.body
        else:
            played = stream_of(read(recording)) if is_stream else whole_of(read(recording))
        kind = b"text/event-stream" if is_stream else b"application/json"
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
            kind, len(played), played))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    provider = Provider(play)
    running = ConfiguredGateway(tmp_path_factory.mktemp("recordings"), f"""
providers:
  own: {{base_url: "{provider.url}", api_keys: [sk-recorded]}}
models:
  "r:*":
    price: {{input: 3.00, output: 8.00, cached_input: 1.00}}
    targets: [{{name: own, provider: own, model: "*"}}]
""").start()
    yield running
    assert running.stop() == 0, running.log()
    provider.close()


@pytest.fixture(scope="module")
def socket(gateway):
    with open_socket(gateway, gateway.key) as opened:
        yield opened


# --- what the clients get


class Said:
    """What one transport told: of each choice its texts and calls, of the first how it ended."""

    def __init__(self):
        self.choices = {}
        self.finish = self.usage = self.error = None

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return repr(vars(self))


def said_over_http(gateway, model, is_stream):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    wishes = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}
    connection.request("POST", "/v1/chat/completions", json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "again"}], **wishes}),
        {"Authorization": f"Bearer {gateway.key}", "Content-Type": "application/json"})
    body = connection.getresponse().read()
    connection.close()
    answer = make.Answer()
    if body.lstrip().startswith(b"{"):
        answer.add(json.loads(body))
    else:
        for payload in make.payloads(body):
            if payload.strip() and payload.strip() != "[DONE]":
                answer.add(json.loads(payload))
    said = Said()
    for number, choice in answer.choices.items():
        said.choices[number] = [join_halves(choice.text), choice.reasoning, choice.refusal,
                                [call[1:] for call in choice.calls]]
    said.finish = (answer.choices[0].finishes or [None])[-1] if 0 in answer.choices else None
    said.usage, said.error = answer.usage, answer.error
    return said


def said_over_socket(socket, model):
    told = ask(socket, {"model": model, "messages": [{"role": "user", "content": "again"}]})
    choices = {}
    for frame in told.frames:
        if {"content", "reasoning_content", "refusal", "tool_calls"} & set(frame):
            choices.setdefault(frame.get("index", 0), make.Choice()).add(frame)
    said = Said()
    for number, choice in choices.items():
        said.choices[number] = [choice.text, choice.reasoning, choice.refusal,
                                [call[1:] for call in choice.calls]]
    said.finish = told.last.get("finish_reason")
    said.usage = make.usage_of(told.last.get("usage"))
    said.error = told.error and make.words_of(told.error)
    return said


def spoken(said):
    """Without choices that said nothing, which a WebSocket has no frame for."""
    said.choices = {number: parts for number, parts in said.choices.items() if any(parts)}
    return said


@pytest.mark.parametrize("recording", PLAYED, ids=lambda each: each.name)
def test_a_recording_says_the_same_over_json_sse_and_websocket(gateway, socket, recording):
    model = f"r:{recording.number}"
    over_socket = spoken(said_over_socket(socket, model))
    over_sse = spoken(said_over_http(gateway, model, True))
    if recording.is_failing:
        assert over_socket.error
        over_sse.finish = over_socket.finish  # told before it failed, or with the error not at all
        assert over_socket == over_sse
        return
    assert over_socket == over_sse
    assert over_socket == spoken(said_over_http(gateway, model, False))
    assert over_socket.error is None and over_socket.usage
