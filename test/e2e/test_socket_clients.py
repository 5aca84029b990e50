"""The WebSocket chat with the clients that people use: websockets and aiohttp here, ws, undici and a page
in Chromium by socket_scenarios.mjs. Each does the same."""

import asyncio
import collections
import concurrent.futures
import contextlib
import functools
import http.server
import json
import os
import pathlib
import queue
import random
import re
import shutil
import subprocess
import tempfile
import threading
import urllib.parse

import aiohttp
import pytest
import websockets

from configured import Client
from conftest import Gateway
from rig import wait_for
from socket_chat import HELLO, KEY, Told

HERE = pathlib.Path(__file__).resolve().parent
CUTS = 100
ANSWER_BYTES = 2400  # of the answer that is cut, about
PATIENCE = 30


# --- a network that cuts


class Cutter:
    """A proxy before the gateway: cuts each connection after a random number of bytes. Every other time
    the gateway is not told, as when a telephone leaves its network."""

    def __init__(self, port, seed):
        self.port = port
        self.random = random.Random(seed)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.server = self.run(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1/ws/chat"

    def run(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(10)

    async def serve(self, reader, writer):
        left = self.random.randrange(ANSWER_BYTES)
        tells_gateway = self.random.random() < 0.5
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            answers, asks = await asyncio.open_connection("127.0.0.1", self.port)
            pump = asyncio.ensure_future(self.pass_on(reader, asks))
            writer.write(await answers.readuntil(b"\r\n\r\n"))
            while left > 0 and (piece := await answers.read(left)):
                writer.write(piece)
                left -= len(piece)
            writer.transport.abort()
            if not tells_gateway:
                while await answers.read(65536):
                    pass
            pump.cancel()
            asks.transport.abort()

    async def pass_on(self, reader, writer):
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)
            writer.write_eof()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    running = Gateway(tmp_path_factory.mktemp("clients")).start()
    yield running
    assert running.stop() == 0, running.log()


# --- the clients of Python


class Lost(Exception):
    """The connection is closed."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Refused(Exception):
    """The handshake was."""


class Websockets:
    @contextlib.asynccontextmanager
    async def open(self, url, headers, protocols):
        try:
            self.socket = await websockets.connect(
                url, additional_headers=headers, subprotocols=protocols or None)
        except websockets.exceptions.InvalidStatus as refused:
            raise Refused(refused.response.status_code) from None
        self.protocol = self.socket.subprotocol
        async with self.socket:
            yield self

    async def send(self, frame):
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            await self.socket.send(json.dumps(frame))

    async def receive(self):
        try:
            return json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))
        except websockets.exceptions.ConnectionClosed as closed:
            raise Lost(closed.rcvd and closed.rcvd.code) from None


class Aiohttp:
    @contextlib.asynccontextmanager
    async def open(self, url, headers, protocols):
        async with aiohttp.ClientSession() as session:
            try:
                self.socket = await session.ws_connect(url, headers=headers, protocols=protocols)
            except aiohttp.WSServerHandshakeError as refused:
                raise Refused(refused.status) from None
            self.protocol = self.socket.protocol
            async with self.socket:
                yield self

    async def send(self, frame):
        with contextlib.suppress(ConnectionError):
            await self.socket.send_json(frame)

    async def receive(self):
        message = await self.socket.receive(PATIENCE)
        if message.type == aiohttp.WSMsgType.TEXT:
            return json.loads(message.data)
        raise Lost(self.socket.close_code)


def connect(kind, gateway, key=KEY, url=None, protocols=()):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return kind().open(url or f"ws://127.0.0.1:{gateway.port}/v1/ws/chat", headers, protocols)


async def gather(chat, count=1):
    told = collections.defaultdict(Told)
    while sum(each.is_done for each in told.values()) < count:
        frame = await chat.receive()
        told[frame["id"]].take(frame)
    return told


async def ask(chat, frame):
    await chat.send(frame)
    (told,) = (await gather(chat)).values()
    assert told.error is None, told.error
    return told


def counts(usage):
    """What a WebSocket tells of usage; over HTTP the provider's own members pass too."""
    return [usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"],
            usage["prompt_tokens_details"]["cached_tokens"],
            usage["completion_tokens_details"]["reasoning_tokens"]]


def whole(gateway, **wishes):
    with Client(gateway) as client:
        answer = client.chat(**{**HELLO, **wishes})
    assert answer.status == 200, answer.body
    return answer


async def two_requests_at_once_are_told_apart_by_their_ids(kind, gateway):
    async with connect(kind, gateway) as chat:
        for name in ("first", "second"):
            await chat.send({**HELLO, "id": name, "max_tokens": 30,
                             "messages": [{"role": "user", "content": name}]})
        told = await gather(chat, 2)
    assert set(told) == {"first", "second"} and told["first"].text != told["second"].text


async def twelve_at_once_are_as_one_alone(kind, gateway):
    asks = {f"n{i}": [{"role": "user", "content": f"number {i}"}] for i in range(12)}
    async with connect(kind, gateway) as chat:
        for name, messages in asks.items():
            await chat.send({**HELLO, "id": name, "messages": messages})
        told = await gather(chat, 12)
    for name, messages in asks.items():
        assert told[name].text == whole(gateway, messages=messages).text


async def a_cancelled_answer_ends_and_what_was_used_is_billed(kind, gateway):
    async with connect(kind, gateway) as chat:
        await chat.send({**HELLO, "id": "x", "model": "sim:stall_mid", "max_tokens": 200})
        told = Told()
        while not told.text:
            told.take(await chat.receive())
        await chat.send({"type": "cancel", "id": "x"})
        while not told.is_done:
            told.take(await chat.receive())
        assert told.last["finish_reason"] == "cancelled"
        assert told.last["usage"]["completion_tokens"] > 0 and told.last["cost"] > 0
        await ask(chat, {**HELLO, "id": "x"})


async def a_session_lives_over_two_turns_and_two_connections(kind, gateway):
    history = []
    for turns in (["one", "two"], ["three"]):
        async with connect(kind, gateway) as chat:
            for content in turns:
                history.append({"role": "user", "content": content})
                told = await ask(chat, {**HELLO, "session": kind.__name__, "messages": history[-1:]})
                alone = whole(gateway, messages=history)
                assert told.text == alone.text
                assert counts(told.last["usage"]) == counts(alone.usage)
                history.append({"role": "assistant", "content": told.text})


async def an_answer_is_whole_after_a_hundred_cuts(kind, gateway):
    cutter = Cutter(gateway.port, kind.__name__)
    cuts = 0

    async def ask_through_cuts(messages):
        nonlocal cuts
        told = Told()
        while not told.is_done:
            async with connect(kind, gateway, url=cutter.url) as chat:
                await chat.send({
                    "type": "resume", "id": "again", "after": len(told.frames),
                    "request_id": told.frames[0]["request_id"]} if told.frames else {
                    **HELLO, "model": "sim:slow=60000", "max_tokens": 40, "messages": messages})
                try:
                    while not told.is_done:
                        told.take(await chat.receive())
                except Lost:
                    cuts += bool(told.frames)
        assert told.error is None and told.request_id == told.frames[0]["request_id"]
        return told

    async def lane(number):
        messages = [{"role": "user", "content": f"lane {number}"}]
        alone = whole(gateway, messages=messages, max_tokens=40)
        while cuts < CUTS:
            told = await ask_through_cuts(messages)
            assert told.text == alone.text
            assert counts(told.last["usage"]) == counts(alone.usage)

    await asyncio.gather(*map(lane, range(8)))


async def every_way_to_authenticate(kind, gateway):
    for options, first, spoken in (
            ({}, None, None),
            ({"key": None, "protocols": ("drover.v1", f"drover.key.{KEY}")}, None, "drover.v1"),
            ({"key": None, "protocols": (f"openai-insecure-api-key.{KEY}", "drover.v1")}, None,
             "drover.v1"),
            ({"key": None}, {"type": "auth", "api_key": KEY}, None),
            ({"key": None}, {**HELLO, "api_key": KEY}, None)):
        async with connect(kind, gateway, **options) as chat:
            assert chat.protocol == spoken
            if first:
                await chat.send(first)
            if first and "model" in first:
                await gather(chat)
            assert (await ask(chat, HELLO)).last["finish_reason"] == "length"


async def a_wrong_key_gets_one_error_frame_and_4401(kind, gateway):
    for protocols, first, code in (
            (("drover.v1", "drover.key.sk-nope"), None, "malformed_api_key"),
            (("openai-insecure-api-key.sk-nope", "drover.v1"), None, "malformed_api_key"),
            ((), {"type": "auth", "api_key": "sk-nope"}, "malformed_api_key"),
            ((), {**HELLO, "api_key": "sk-nope"}, "malformed_api_key"),
            ((), {"type": "ping"}, "missing_api_key")):
        async with connect(kind, gateway, key=None, protocols=protocols) as chat:
            if first:
                await chat.send(first)
            frame = await chat.receive()
            assert frame["error"]["code"] == code and frame["error"]["status"] == 401
            with pytest.raises(Lost) as lost:
                await chat.receive()
            assert lost.value.code == 4401
    with pytest.raises(Refused, match="401"):
        async with connect(kind, gateway, key="sk-nope"):
            pass


SCENARIOS = [two_requests_at_once_are_told_apart_by_their_ids, twelve_at_once_are_as_one_alone,
             a_cancelled_answer_ends_and_what_was_used_is_billed,
             a_session_lives_over_two_turns_and_two_connections,
             an_answer_is_whole_after_a_hundred_cuts, every_way_to_authenticate,
             a_wrong_key_gets_one_error_frame_and_4401]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("kind", [Websockets, Aiohttp])
def test_a_client_of_python(house, kind, scenario):
    asyncio.run(scenario(kind, house))


# --- the clients of JavaScript


def place_of(gateway, seed):
    return {"url": f"ws://127.0.0.1:{gateway.port}/v1/ws/chat", "http": gateway.url, "key": KEY,
            "cuts": CUTS, "cutter": Cutter(gateway.port, seed).url}


def run_node(name, place):
    ran = subprocess.run(["node", "socket_node.mjs", name, json.dumps(place)], cwd=HERE,
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


class Pages(http.server.SimpleHTTPRequestHandler):
    """Serves this folder, and takes what the page has to say."""

    outcomes = queue.Queue()

    def do_POST(self):
        self.outcomes.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def run_chromium(_, place):
    Pages.extensions_map = {**Pages.extensions_map, ".mjs": "text/javascript"}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                             functools.partial(Pages, directory=HERE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = (f"http://127.0.0.1:{server.server_port}/socket_page.html#"
            + urllib.parse.quote(json.dumps(place)))
    folder = tempfile.mkdtemp(prefix="drover-chromium-")
    with open(os.path.join(folder, "log"), "w+") as log:
        process = subprocess.Popen(
            [shutil.which("chromium"), "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={folder}/profile", page],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            return wait_for(lambda: process.poll() is None and not Pages.outcomes.empty()
                            and Pages.outcomes.get(), 120, "the page's outcome")
        except AssertionError as late:
            log.seek(0)
            raise AssertionError(f"{late}\n{log.read()}") from None
        finally:
            process.terminate()
            process.wait(20)
            server.shutdown()
            server.server_close()
            shutil.rmtree(folder, ignore_errors=True)


NAMES = re.findall(r"^scenarios\['(.+?)'\]", (HERE / "socket_scenarios.mjs").read_text(), re.MULTILINE)
RUNNERS = {"ws": run_node, "undici": run_node, "chromium": run_chromium}


@pytest.fixture(scope="module")
def outcomes(house):
    """They run beside each other: most of their time is waiting for cuts."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = {name: pool.submit(run, name, place_of(house, name))
                   for name, run in RUNNERS.items()}
        yield running


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("client", RUNNERS)
def test_a_client_of_javascript(outcomes, client, name):
    outcome = outcomes[client].result()
    assert outcome[name] is None, outcome[name]


def test_all_scenarios_are_tests():
    assert len(NAMES) == len(SCENARIOS) == 7
