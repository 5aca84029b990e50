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


class Beside:
    """What stands beside the words of one choice, put together from its deltas."""

    LISTS = ("annotations", "reasoning_details")

    def __init__(self):
        self.members = {}
        self.logprobs = {}
        self.call_members = []

    def add(self, delta, logprobs):
        for name in self.LISTS:
            if delta.get(name):
                self.members[name] = self.members.get(name, []) + delta[name]
        if delta.get("extra_content"):
            self.members["extra_content"] = delta["extra_content"]
        for name, text in (delta.get("function_call") or {}).items():
            called = self.members.setdefault("function_call", {"name": "", "arguments": ""})
            called[name] += text
        for name, value in (logprobs or {}).items():
            if value:
                self.logprobs[name] = self.logprobs.get(name, []) + value
        for call in delta.get("tool_calls") or []:
            self.call_members += [(name, call[name]) for name in ("extra_content", "custom")
                                  if call.get(name)]

    def said(self):
        return [self.members, self.logprobs, self.call_members]


def chunks_of(body):
    """A whole answer, or the events of a stream."""
    if body.lstrip().startswith(b"{"):
        return [json.loads(body)]
    return [json.loads(payload) for payload in make.payloads(body)
            if payload.strip() and payload.strip() != "[DONE]"]


def read(body):
    """What it says, as the second witness understands it, and what stands beside."""
    answer = make.Answer()
    answer.beside = {}
    answer.details = {}
    for chunk in chunks_of(body):
        answer.add(chunk)
        for place, sent in enumerate(chunk.get("choices") or []):
            beside = answer.beside.setdefault(sent.get("index", place), Beside())
            beside.add(sent.get("delta") or sent.get("message") or {}, sent.get("logprobs"))
        for usage in (chunk.get("usage"), (chunk.get("x_groq") or {}).get("usage")):
            if make.usage_of(usage):
                answer.details = details_of(usage)
    return answer


def join_halves(text):
    """Characters whose surrogates came apart."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


GROUPS = {"prompt_tokens_details": "cached_tokens", "completion_tokens_details": "reasoning_tokens"}


def details_of(usage):
    """Every count of tokens in it beside make.usage_of's, but for those that are none."""
    return {(group, name): count for group, known in GROUPS.items()
            for name, count in ((usage or {}).get(group) or {}).items() if count and name != known}


def usage_json(answer):
    if answer.usage is None:
        return None
    prompt, completion, total, cached, reasoning = answer.usage
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
             "prompt_tokens_details": {"cached_tokens": cached},
             "completion_tokens_details": {"reasoning_tokens": reasoning}}
    for (group, name), count in answer.details.items():
        usage[group][name] = count
    return usage


def calls_json(calls):
    return [{"index": place, "id": identity, "type": "function",
             "function": {"name": name, "arguments": arguments}}
            for place, (identity, name, arguments) in enumerate(calls)]


def said_json(choice, beside):
    said = {"role": "assistant", "content": join_halves(choice.text) or None, **beside.members}
    if choice.reasoning:
        said["reasoning_content"] = choice.reasoning
    if choice.refusal:
        said["refusal"] = choice.refusal
    return said


def whole_of(answer):
    """One body that says what the stream did."""
    choices = []
    for number, choice in sorted(answer.choices.items()):
        message = said_json(choice, answer.beside[number])
        if choice.calls and "function_call" not in message:
            message["tool_calls"] = calls_json(choice.calls)
        choices.append({"index": number, "message": message,
                        "logprobs": answer.beside[number].logprobs or None,
                        "finish_reason": (choice.finishes or [None])[-1]})
    body = {"id": answer.id, "object": "chat.completion", "model": answer.model, "choices": choices}
    if answer.usage:
        body["usage"] = usage_json(answer)
    return json.dumps(body).encode()


def deltas_of(choice, beside):
    said = said_json(choice, beside)
    details = said.pop("reasoning_details", None)
    if details:  # their words stand in the same delta, so that they are not said twice
        yield {"reasoning_details": details, "reasoning_content": said.pop("reasoning_content", "")}
    for name, value in said.items():
        if not isinstance(value, str):
            yield {name: value}
            continue
        for at in range(0, len(value), OTHER_FORM_PIECE):
            yield {name: value[at:at + OTHER_FORM_PIECE]}
    for call in calls_json(choice.calls if "function_call" not in beside.members else []):
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
        beside = answer.beside[number]
        chunks += [{"index": number, "delta": delta} for delta in deltas_of(choice, beside)]
        chunks.append({"index": number, "delta": {}, "logprobs": beside.logprobs or None,
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
            answer = read(recording.body)
            played = stream_of(answer) if is_stream else whole_of(answer)
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
    """What one transport told: of each choice its texts, calls and what stands beside them, and how
    it ended."""

    def __init__(self, answer):
        self.choices = {
            number: [join_halves(choice.text), choice.reasoning, choice.refusal,
                     [call[1:] for call in choice.calls], *answer.beside[number].said()]
            for number, choice in answer.choices.items()}
        self.finishes = {number: choice.finishes[-1]
                         for number, choice in answer.choices.items() if choice.finishes}
        self.usage, self.details, self.error = answer.usage, answer.details, answer.error

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
    return Said(read(body))


def said_over_socket(socket, model):
    told = ask(socket, {"model": model, "messages": [{"role": "user", "content": "again"}]})
    answer = make.Answer()
    answer.beside = {}
    for frame in told.frames[1:-1]:
        number = frame.get("index", 0)
        words = {name: value for name, value in frame.items() if name != "reasoning_details"}
        answer.choices.setdefault(number, make.Choice()).add(words)
        answer.beside.setdefault(number, Beside()).add(frame, frame.get("logprobs"))
    finishes = told.last.get("finish_reasons", [told.last.get("finish_reason")])
    assert finishes[0] == told.last.get("finish_reason")
    answer.usage = make.usage_of(told.last.get("usage"))
    answer.details = details_of(told.last.get("usage"))
    answer.error = told.error and make.words_of(told.error)
    said = Said(answer)
    said.finishes = {number: word for number, word in enumerate(finishes) if word}
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
        over_sse.finishes = over_socket.finishes  # told before it failed, or with the error not at all
        assert over_socket == over_sse
        return
    assert over_socket == over_sse
    assert over_socket == spoken(said_over_http(gateway, model, False))
    assert over_socket.error is None and over_socket.usage
