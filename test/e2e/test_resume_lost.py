"""Records that are lost while a client follows: it is told so, and all others go on.

The records of all answers together have room for 256 MiB (REPLAY_BYTES_OF_ALL). When answers that
are under way have taken it all, the next frame of any of them finds none."""

import contextlib
import json
import threading

from rig import ASK, Provider, Relay, running
from socket_chat import Told, gather, open_socket, receive, send
from test_resume_sse import begin as begin_stream
from test_resume_sse import events

# More than 256 MiB. Whoever finds no room gives back what it had: the small ones take that of a
# large one, so that less than a small one's is left.
LARGE_COUNT, LARGE_BYTES = 264, 1_000_000
SMALL_COUNT, SMALL_BYTES = 100, 60_000
PIECE_BYTES = 200_000
WORD = "x" * 130_000  # finds no room even when another record has given a small one's back


class Filler:
    """A provider that says as many bytes as the prompt wants, or a word and, when it may, a long
    one; and then waits until it may end."""

    def __init__(self):
        self.may_go_on = threading.Event()
        self.may_end = threading.Event()
        self.provider = Provider(self.serve)

    def serve(self, visit):
        while (ask := visit.ask()) is not None:
            want = ask["messages"][0]["content"]
            visit.begin_stream()
            if want == "words":
                visit.send_event({"content": "first "})
                self.may_go_on.wait()
                visit.send_event({"content": WORD})
            else:
                for at in range(0, int(want), PIECE_BYTES):
                    visit.send_event({"content": "x" * min(PIECE_BYTES, int(want) - at)})
            self.may_end.wait()
            visit.end_stream()

    def close(self):
        self.may_go_on.set()
        self.may_end.set()
        self.provider.close()


def wish(want):
    return {"messages": [{"role": "user", "content": str(want)}]}


def listen(stream, count=None):
    """So many events, or all that come. One that found no room from the start has no ids."""
    heard = []
    while len(heard) != count and (event := stream.event()) is not None:
        if event[2]:
            heard.append(event[2])
    return heard


def fill(relay):
    """Answers under way, each with its client, that have taken nearly all room there is."""
    streams = []
    for size in [LARGE_BYTES] * LARGE_COUNT + [SMALL_BYTES] * SMALL_COUNT:
        stream = begin_stream(relay, **wish(size))
        heard = listen(stream, -(-size // PIECE_BYTES))
        assert sum(map(len, heard)) > size
        streams.append((stream, heard))
    return streams


def begin(socket, name):
    send(socket, {**ASK, **wish("words"), "id": name})
    told = Told()
    while len(told.frames) < 2:
        told.take(receive(socket))
    assert told.text == "first "
    return told


def says_lost(error):
    return error["code"] == "not_resumable" and error["message"].startswith("The rest of this ")


def test_who_follows_a_record_that_is_lost_is_told_and_the_others_go_on(tmp_path):
    filler = Filler()
    with running(Relay(tmp_path, filler.provider.url)) as relay, contextlib.closing(filler), \
            open_socket(relay, relay.key) as first, open_socket(relay, relay.key) as second:
        told = begin(first, "x")
        plain = begin(first, "plain")  # never resumed
        resumed = {"type": "resume", "request_id": told.frames[0]["request_id"]}
        send(second, {**resumed, "after": 1, "id": "again"})
        assert receive(second) == {**told.frames[1], "id": "again"}
        assert receive(first) == {"id": "x", "moved": True}

        stream = begin_stream(relay, **wish("words"))
        heard = listen(stream, 1)
        follower = events(relay, stream.request_id, 0)
        assert listen(follower, 1) == heard

        streams = fill(relay)
        filler.may_go_on.set()

        last = receive(second)
        assert says_lost(last.pop("error")) and last == {
            "id": "again", "seq": 3, "request_id": resumed["request_id"], "done": True}
        comments, number, data = follower.event()
        assert (comments, number) == ([], None) and says_lost(json.loads(data)["error"])
        assert follower.event() is None

        # Nothing more comes under that id, and it is free again.
        send(second, {**resumed, "after": 1, "id": "again"})
        refused = receive(second)
        assert refused["id"] == "again" and refused["error"]["code"] == "not_resumable"
        assert events(relay, stream.request_id, 0).status == 404

        # An answer whose record is lost too, but whose client has never left.
        plain.take(receive(first))
        assert plain.text == "first " + WORD
        # One that found room can be resumed still.
        stream, heard = streams[0]
        again = events(relay, stream.request_id, 0)
        assert listen(again, len(heard)) == heard
        streams[0] = again, heard
        filler.may_end.set()
        plain.take(receive(first))
        assert plain.last["finish_reason"] == "stop"
        for stream, _ in streams:
            assert listen(stream)[-1] == "[DONE]"
        rows = relay.stop() or relay.usage()
    assert len(rows) == 3 + LARGE_COUNT + SMALL_COUNT
    assert sorted(row["status"] for row in rows)[-3:] == [200, 499, 499]
