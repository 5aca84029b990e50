"""Event streams that survive their connections, for clients that ask with `x-drover-resumable`."""

import http.client
import json
import random

import pytest

from rig import ASK, Provider, Relay, running, wait_for
from socket_chat import ask, open_socket
from test_resume import WORDS, Slow


@pytest.fixture
def slow():
    made = Slow()
    yield made
    made.say()
    made.provider.close()


class Stream:
    """An event stream read event by event."""

    def __init__(self, relay, method, path, body=None, headers=(), key=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=20)
        self.connection.request(method, path, json.dumps(body) if body else None,
                                {"Authorization": "Bearer " + (key or relay.key),
                                 "Content-Type": "application/json", **dict(headers)})
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.request_id = self.response.headers["x-request-id"]

    def event(self):
        """(comments, id, data) of the next event or comment; None at the end."""
        comments, number, data = [], None, []
        while line := self.response.readline().decode():
            line = line.rstrip("\n")
            if not line:
                return comments, number, "\n".join(data)
            name, _, value = line.partition(": ")
            if not name:
                comments.append(value)
            elif name == "id":
                number = int(value)
            elif name == "data":
                data.append(value)
        assert not data
        return None

    def cut(self):
        self.socket.close()
        self.response.close()
        self.connection.close()


class Heard:
    """What came of one answer, over however many connections."""

    def __init__(self):
        self.last = 0
        self.data = []

    def take(self, event):
        _, number, data = event
        if number is None:
            return
        assert number == self.last + 1
        self.last = number
        self.data.append(data)

    def listen(self, stream, count=None):
        """Until the end, or until `count` events have been heard in all."""
        while count is None or self.last < count:
            event = stream.event()
            if event is None:
                return self
            self.take(event)
        return self

    @property
    def text(self):
        chunks = [json.loads(data) for data in self.data if data != "[DONE]"]
        return "".join(choice["delta"].get("content") or "" for chunk in chunks
                       for choice in chunk.get("choices", []))


def begin(relay, **wishes):
    return Stream(relay, "POST", "/v1/chat/completions", {**ASK, "stream": True, **wishes},
                  {"x-drover-resumable": "true"})


def events(relay, request_id, last, key=None):
    headers = {"Last-Event-ID": str(last)} if last is not None else {}
    return Stream(relay, "GET", f"/v1/chat/completions/{request_id}/events", None, headers, key)


@pytest.mark.threads
def test_a_stream_is_resumed_at_any_moment(tmp_path, slow):
    seeded = random.Random(11)
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        for number in range(10):
            first = begin(relay, stream_options={"include_usage": True})
            assert first.status == 200
            heard = Heard()
            before = seeded.choice([0, 1, 2, 20, 40])
            slow.say(before)
            heard.listen(first, before)
            first.cut()
            if before < 30 and number % 2:
                second = events(relay, first.request_id, heard.last)
                slow.say(3)
                heard.listen(second, before + 3)
                second.cut()
            slow.say(len(WORDS) - heard.last)
            last = events(relay, first.request_id, heard.last if number % 3 else heard.last or None)
            assert last.response.headers["content-type"].startswith("text/event-stream")
            heard.listen(last)
            assert heard.text == "".join(WORDS) and heard.data[-1] == "[DONE]"
            assert json.loads(heard.data[-2])["usage"]["total_tokens"] == 15
            again = Heard()
            assert again.listen(events(relay, first.request_id, 0)).data == heard.data
        rows = relay.stop() or relay.usage()
    assert slow.asks == len(rows) == 10
    assert {(row["status"], row["transport"]) for row in rows} == {(200, "sse")}


def test_the_head_goes_out_at_once(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        stream = begin(relay)
        assert stream.event()[0] == ["resumable"]
        stream.cut()
        heard = Heard()
        resumed = events(relay, stream.request_id, None)
        slow.say()
        assert heard.listen(resumed).text == "".join(WORDS)


def test_the_newer_stream_wins(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        first = begin(relay)
        slow.say(2)
        heard = Heard().listen(first, 2)
        second = events(relay, first.request_id, 2)
        assert first.event()[0] == ["moved"] and first.event() is None
        third = events(relay, first.request_id, 2)
        assert second.event()[0] == ["resumed"]
        assert second.event()[0] == ["moved"] and second.event() is None
        slow.say()
        assert heard.listen(third).text == "".join(WORDS)


def test_what_cannot_be_resumed_says_so(tmp_path, slow):
    relay = Relay(tmp_path, slow.provider.url)
    relay.create_key()
    stranger = relay.key
    relay.create_key()
    slow.say()
    with running(relay):
        stream = begin(relay)
        Heard().listen(stream)
        plain = Stream(relay, "POST", "/v1/chat/completions", {**ASK, "stream": True})
        slow.say()
        assert plain.event()[1] is None  # untouched
        with open_socket(relay, relay.key) as socket:
            slow.say()
            chat = ask(socket, ASK)
            refused = ask(socket, {"type": "resume", "request_id": stream.request_id})
            assert refused.error["code"] == "not_resumable"
        for request_id, last, key, status in (
                (stream.request_id, 0, stranger, 404), (plain.request_id, 0, None, 404),
                (chat.request_id, 0, None, 404), ("nobody", 0, None, 404),
                ("n" * 1000, 0, None, 404), (stream.request_id, 999, None, 400),
                (stream.request_id, "x", None, 400), (stream.request_id, 0, "sk-nope", 401)):
            answer = events(relay, request_id, last, key)
            assert answer.status == status, (request_id, last)
            assert set(json.loads(answer.response.read())["error"]) == {
                "message", "type", "param", "code"}


def test_an_error_is_the_last_event_and_nobody_pays_twice(tmp_path, slow):
    with running(Relay(tmp_path, "http://127.0.0.1:9/v1")) as relay:
        stream = begin(relay)
        heard = Heard().listen(stream)
        assert json.loads(heard.data[0])["error"]["code"] == "upstream_error"
        assert Heard().listen(events(relay, stream.request_id, 0)).data == heard.data
        refused = Stream(relay, "POST", "/v1/chat/completions",
                         {**ASK, "stream": True, "model": "nobody"}, {"x-drover-resumable": "true"})
        assert refused.status == 404


def test_who_does_not_come_back_has_lost_it(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url, extra="resume_seconds: 1\n")) as relay:
        stream = begin(relay)
        slow.say(3)
        Heard().listen(stream, 3)
        stream.cut()
        wait_for(lambda: relay.usage_over_http() == 1, 10, "the end")
        assert events(relay, stream.request_id, 0).status == 404
        (row,) = relay.stop() or relay.usage()
    assert row["status"] == 499 and row["cost"] > 0


def test_a_socket_resumes_no_event_stream(tmp_path, slow):
    with running(Relay(tmp_path, slow.provider.url)) as relay:
        stream = begin(relay)
        slow.say(2)
        heard = Heard().listen(stream, 2)
        for _ in range(8):  # so that some are the same worker's as the stream
            with open_socket(relay, relay.key) as socket:
                for name in (stream.request_id, "sse:" + stream.request_id):
                    refused = ask(socket, {"type": "resume", "request_id": name, "id": "x"})
                    assert refused.error["code"] == "not_resumable"
        slow.say()
        assert heard.listen(stream).text == "".join(WORDS)


NUMBERS = ("id: evt-{0}\ndata: {1}\n\n", "data: {1}\r\nid: 7\r\n\r\n", "id: 7\rdata: {1}\rid\r\r",
           "idle: 1\ndata: {1}\nid:{0}\n\n")


@pytest.mark.parametrize("shape", NUMBERS)
def test_a_provider_that_numbers_its_events_loses_none(tmp_path, shape):
    def serve(visit):
        while visit.ask() is not None:
            visit.begin_stream()
            for number, word in enumerate(WORDS):
                event = json.dumps({"choices": [{"index": 0, "delta": {"content": word}}]})
                visit.send_chunk(shape.format(number, event).encode())
            visit.end_stream()

    provider = Provider(serve)
    with running(Relay(tmp_path, provider.url)) as relay:
        stream = begin(relay)
        whole = stream.response.read().decode().replace("\r\n", "\n").replace("\r", "\n")
        ids = [line[4:] for line in whole.split("\n") if line.startswith("id")
               and not line.startswith("idle")]
        assert ids == [str(number + 1) for number in range(len(WORDS) + 2)]
        rest = events(relay, stream.request_id, 3).response.read().decode()
        assert rest.count("data: {") == len(WORDS) - 3 + 1
    provider.close()
