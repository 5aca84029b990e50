"""A client of the WebSocket chat that keeps every frame, by id."""

import collections
import json

from websockets.sync.client import connect

KEY = "sk-drover-demo"
# Its answer is cut, so that tests are fast.
HELLO = {"model": "gpt-4.1", "max_tokens": 6,
         "messages": [{"role": "user", "content": "Xin chào, bạn khỏe không?"}]}


def open_socket(gateway, key=KEY, **options):
    headers = {"Authorization": "Bearer " + key} if key else {}
    headers.update(options.pop("headers", {}))
    return connect(f"ws://127.0.0.1:{gateway.port}/v1/ws/chat", additional_headers=headers,
                   compression=None, max_size=None, **options)


def receive(socket, timeout=20):
    return json.loads(socket.recv(timeout=timeout))


def send(socket, frame):
    socket.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))


class Told:
    """What the frames of one answer say."""

    def __init__(self):
        self.frames = []

    def take(self, frame):
        assert frame["seq"] == len(self.frames) + 1, (frame, self.frames)
        assert not self.is_done, (frame, self.frames)
        self.frames.append(frame)

    @property
    def is_done(self):
        return bool(self.frames) and bool(self.frames[-1].get("done"))

    @property
    def last(self):
        return self.frames[-1]

    @property
    def error(self):
        return self.last.get("error")

    @property
    def request_id(self):
        return self.last["request_id"]

    def joined(self, name):
        return "".join(frame[name] for frame in self.frames if name in frame)

    @property
    def text(self):
        return self.joined("content")

    @property
    def calls(self):
        calls = {}
        for frame in self.frames:
            for delta in frame.get("tool_calls", []):
                call = calls.setdefault(delta["index"], {"id": "", "name": "", "arguments": ""})
                call["id"] += delta.get("id", "")
                call["name"] += delta["function"].get("name", "")
                call["arguments"] += delta["function"].get("arguments", "")
        return [calls[index] for index in sorted(calls)]


def gather(socket, count=1, timeout=20):
    """Frames until `count` answers are done: {id: Told}."""
    told = collections.defaultdict(Told)
    while sum(each.is_done for each in told.values()) < count:
        frame = receive(socket, timeout)
        told[frame["id"]].take(frame)
    return told


def ask(socket, frame, timeout=20):
    """One answer."""
    send(socket, frame)
    (told,) = gather(socket, timeout=timeout).values()
    return told
