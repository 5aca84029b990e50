"""Recorded streams of providers: over a WebSocket they say what they say over SSE."""

import collections
import json

import pytest

from socket_chat import ask, open_socket
from test_recordings import RECORDINGS, House

STREAMS = [each for each in RECORDINGS if each.is_stream and each.status == 200]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    running = House(tmp_path_factory.mktemp("recordings"))
    yield running
    running.stop()


class Said:
    """The first choice of an answer over SSE."""

    def __init__(self, body):
        self.texts = collections.defaultdict(str)
        self.arguments = collections.defaultdict(str)
        self.finish = self.usage = self.error = None
        for event in body.decode().replace("\r\n", "\n").split("\n\n"):
            data = "\n".join(line[5:].strip() for line in event.split("\n")
                             if line.startswith("data:"))
            if data and data != "[DONE]":
                self.take(json.loads(data))

    def take(self, chunk):
        self.error = self.error or chunk.get("error")
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices") or []:
            if choice.get("index"):
                continue
            delta = choice.get("delta") or {}
            for name in ("content", "refusal"):
                if isinstance(delta.get(name), str):
                    self.texts[name] += delta[name]
            for call in delta.get("tool_calls") or []:
                part = call.get("function") or {}
                if isinstance(part.get("arguments"), str):
                    self.arguments["all"] += part["arguments"]
            self.finish = choice.get("finish_reason") or self.finish


@pytest.mark.parametrize("recording", STREAMS, ids=lambda each: each.name)
def test_a_recording_says_the_same_over_both(house, recording):
    model = f"r:{recording.number}/chunk/0"
    status, _, body = house.chat(model, True)
    with open_socket(house.gateway, house.gateway.key) as socket:
        told = ask(socket, {"model": model, "messages": [{"role": "user", "content": "again"}]})
    if status != 200:
        assert told.error["status"] == status
        return
    said = Said(body)
    if said.error:
        assert {name: told.error[name] for name in said.error} == said.error
    choices = [frame for frame in told.frames if not frame.get("index")]
    text = "".join(frame.get("content", "") for frame in choices)
    if "\ufffd" not in text and not has_parts(recording):
        assert text == said.texts["content"]
    assert "".join(frame.get("refusal", "") for frame in choices) == said.texts["refusal"]
    assert "".join(call["function"]["arguments"] for frame in choices
                   for call in frame.get("tool_calls", [])) == said.arguments["all"]
    if not said.error:
        assert told.last["finish_reason"] == said.finish
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert told.last["usage"][name] == said.usage[name]


def has_parts(recording):
    """Content that is a list of parts, of which a WebSocket tells the text."""
    return b'"content":[' in recording.body or b'"content": [' in recording.body
