"""What providers send that is odd: what may pass, what is an error, and that both leave the client with a
stream that can be read."""

import json

import pytest

from rig import ASK, Provider, Relay, call, get, running, wait_for

JSON = "Content-Type: application/json"
STREAM = "Content-Type: text/event-stream"
CHUNKED = "Transfer-Encoding: chunked"


def chunk(delta, finish=None, **more):
    whole = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "own",
             "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
WORD = chunk({"role": "assistant", "content": "hi"})
FINISH = chunk({}, "stop")
COUNT = chunk({}, usage=USAGE, choices=[])
DONE = b"data: [DONE]\n\n"


def head(*fields, status="200 OK"):
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


def streamed(data):
    return head(STREAM, CHUNKED) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


def refusal(status, message, **more):
    body = json.dumps({"error": {"message": message, **more}}).encode()
    return head(JSON, f"Content-Length: {len(body)}", status=f"{status} X") + body


class Script:
    """A provider that answers with the bytes it was told, and then closes or not."""

    def __init__(self):
        self.bytes = b""
        self.closes = False
        self.provider = Provider(self.serve)

    def serve(self, visit):
        while visit.ask() is not None:
            visit.send(self.bytes)
            if self.closes:
                return


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    script = Script()
    relay = Relay(tmp_path_factory.mktemp("shapes"), script.provider.url,
                  timeouts="first_byte: 5s, between_bytes: 5s")
    with running(relay):
        relay.script = script
        yield relay
    assert "sk-upstream" not in relay.log()


def ask(relay, data, closes=False, stream=True):
    relay.script.bytes = data
    relay.script.closes = closes
    return call(relay.port, relay.post({**ASK, "stream": stream}))


def read_events(answer):
    """As strictly as the standard: an event without its blank line is none."""
    assert answer.status == 200 and answer.is_whole, answer
    blocks = answer.body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    assert blocks.pop() == b"", answer.body
    events = []
    for block in blocks:
        lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
        assert len(lines) <= 1, block
        events += [line.removeprefix(b"data:").strip() for line in lines]
    return [event if event == b"[DONE]" else json.loads(event) for event in events]


UNENDED = {
    "a finish without its blank line": WORD + FINISH[:-1],
    "a finish without its line's end": WORD + FINISH[:-2],
    "a finish in CR without its blank line": (WORD + FINISH[:-1]).replace(b"\n", b"\r"),
    "a finish in CRLF without its blank line": (WORD + FINISH[:-1]).replace(b"\n", b"\r\n"),
    "a count without its blank line": WORD + FINISH + COUNT[:-1],
    "a count without its line's end": WORD + FINISH + COUNT[:-2],
    "an end without its blank line": WORD + FINISH + DONE[:-1],
    "an end without its line's end": WORD + FINISH + DONE[:-2],
    "a comment without its line's end": WORD + FINISH + b": x",
}


@pytest.mark.parametrize("name", UNENDED)
@pytest.mark.parametrize("closes", [False, True], ids=["chunked", "closed"])
def test_a_last_event_that_is_not_ended_swallows_nothing(world, name, closes):
    data = UNENDED[name]
    answer = ask(world, head(STREAM) + data if closes else streamed(data), closes)
    events = read_events(answer)
    assert events[-1] == b"[DONE]" and events.count(b"[DONE]") == 1
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("cut", [1, 2])
def test_an_error_behind_an_event_that_is_not_ended_can_be_read(world, cut):
    events = read_events(ask(world, streamed(WORD + WORD[:-cut])))
    assert [event["choices"][0]["delta"]["content"] for event in events[:-1]] == ["hi", "hi"]
    assert events[-1]["error"]["code"] == "upstream_error"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("data,status", [
    (refusal(400, "Incorrect API key provided: sk-upstream."), 400),
    (refusal(404, "nothing for you", param="sk-upstream"), 404),
    (refusal(422, "no", code="sk-upstream_unknown"), 422),
    (refusal(429, "sk-upstream has used up its quota"), 429),
    (refusal(500, "no such key: sk-upstream"), 502),
    (head(JSON, "Content-Length: 40") + b'{"error":{"message":"sk-upstream is X"}}', 502),
], ids=["400", "param", "code", "429", "500", "200"])
def test_our_key_is_not_shown_when_a_provider_quotes_it(world, data, status, stream):
    """Not in the log either: the module looks at its end."""
    answer = ask(world, data, stream=stream)
    assert answer.status == status
    assert b"sk-upstream" not in answer.body and answer.error["message"]


def test_our_key_is_not_shown_in_the_middle_of_a_stream(world):
    said = b'data: {"error":{"message":"sk-upstream ran out"}}\n\n'
    answer = ask(world, streamed(WORD + said))
    assert read_events(answer)[-1]["error"]["code"] == "upstream_error"
    assert b"sk-upstream" not in answer.body


@pytest.mark.parametrize("stream", [False, True])
def test_the_receipt_of_an_error_within_an_answer_tells_its_status(world, stream):
    """And says that the tokens, none, were counted here."""
    said = b'{"error":{"message":"out of luck"}}'
    data = streamed(b"data: " + said + b"\n\n") if stream else (
        head(JSON, f"Content-Length: {len(said)}") + said)
    answer = ask(world, data, stream=stream)
    assert answer.status == 502
    address = get("/v1/receipts/" + answer.field("x-request-id"), key=world.key)
    receipt = wait_for(lambda: (found := call(world.port, address)).status == 200 and found.json)
    assert [attempt["status"] for attempt in receipt["attempts"]] == [200]
    assert (receipt["usage_source"], receipt["cost"]) == ("estimated", 0)
