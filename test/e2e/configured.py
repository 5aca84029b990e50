"""A gateway with a configuration of its own, stand-alone simulated providers, and a client that sees the
wire: every byte of an answer, and on which connection it came."""

import http.client
import json
import subprocess
import time

from conftest import DROVER, Gateway, free_port

CHAT = "/v1/chat/completions"


class ConfiguredGateway(Gateway):
    """`drover serve -c FILE`, with one account that has credit and one key of it."""

    def __init__(self, folder, config):
        super().__init__(folder)
        self.file = self.folder / "drover.yaml"
        self.file.write_text(config)
        self.key = None

    def start(self):
        options = ["-c", str(self.file), "--data", str(self.folder / "data")]
        if not self.key:
            account = self.ask_books("account", "create", "e2e", *options)["id"]
            self.ask_books("account", "topup", account, "1000", *options)
            self.key = self.ask_books("key", "create", "--account", account, *options)["key"]
        self.port = free_port()
        log = open(self.folder / "drover.log", "ab")
        self.process = subprocess.Popen(
            [DROVER, "serve", *options, "--listen", f"127.0.0.1:{self.port}",
             "--admin-listen", f"127.0.0.1:{free_port()}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        self.wait_until_listening()
        return self

    def ask_books(self, *arguments):
        asked = subprocess.run([DROVER, *arguments, "--json"], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=60)
        assert asked.returncode == 0, asked.stderr
        return json.loads(asked.stdout)


class Simulation:
    """`drover sim` on a port of its own."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([DROVER, "sim", "--listen", "127.0.0.1:0", *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        greeting = self.process.stdout.readline()
        assert greeting.startswith("drover sim listens on port "), greeting
        self.port = int(greeting.rsplit(" ", 1)[1])

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0


class Answer:
    """What came for one request."""

    def __init__(self, status, headers, body, seconds):
        self.status = status
        self.headers = headers
        self.body = body
        self.seconds = seconds
        self.is_stream = headers.get("content-type", "").startswith("text/event-stream")
        self.chunks = []
        self.error = None
        self.is_done = False
        if self.is_stream:
            self.read_events()
        else:
            whole = json.loads(body)
            self.error = whole.get("error")
            self.chunks = [whole]

    def read_events(self):
        """Each event is whole, nothing follows an error or [DONE]."""
        assert self.body.endswith(b"\n\n"), self.body[-200:]
        for event in self.body.decode().split("\n\n")[:-1]:
            assert not self.is_done and self.error is None, event
            lines = [line for line in event.split("\n") if not line.startswith(":")]
            if not lines:
                continue
            assert len(lines) == 1 and lines[0].startswith("data: "), event
            payload = lines[0][6:]
            if payload == "[DONE]":
                self.is_done = True
                continue
            chunk = json.loads(payload)
            self.error = chunk.get("error")
            if self.error is None:
                self.chunks.append(chunk)

    @property
    def request_id(self):
        return self.headers["x-request-id"]

    @property
    def text(self):
        said = (choice.get("delta") or choice.get("message") or {}
                for chunk in self.chunks for choice in chunk.get("choices", []))
        return "".join(part.get("content") or "" for part in said)

    @property
    def usage(self):
        reported = [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]
        return reported[-1] if reported else None


class Client:
    """One connection, kept alive; opened again only when the gateway said that it closes it."""

    def __init__(self, gateway, key="sk-drover-demo"):
        self.key = key
        self.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def request(self, method, path, body=None, headers=()):
        began = time.monotonic()
        self.connection.request(method, path, body,
                                {"Authorization": "Bearer " + self.key, **dict(headers)})
        answer = self.connection.getresponse()
        body = answer.read()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()},
                      body, time.monotonic() - began)

    def chat(self, model="gpt-4.1", stream=False, fault=None, **wishes):
        body = {"model": model, "messages": [{"role": "user", "content": "Xin chào, bạn khỏe không?"}],
                "stream": stream, **wishes}
        headers = {"Content-Type": "application/json"}
        if fault:
            headers["x-sim-fault"] = fault
        return self.request("POST", CHAT, json.dumps(body).encode(), headers)

    def receipt(self, request_id):
        """It may come a moment after the answer: settled, but on its way to the store."""
        deadline = time.monotonic() + 10
        while True:
            answer = self.request("GET", "/v1/receipts/" + request_id)
            if answer.status == 200:
                return answer.chunks[0]
            assert answer.error["code"] == "receipt_not_found" and time.monotonic() < deadline
            time.sleep(0.02)  # nobody tells when it is there
