"""Reload, drain, end, TLS, clients that vanish: the gateway in the hands of its operator."""

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import httpx2
import openai
import pytest

from conftest import free_port
from rig import (ASK, Paced, Provider, Relay, Wire, answer_always, call, get, post, running, wait_for)

STREAM = {**ASK, "stream": True}


@pytest.fixture
def paced():
    provider = Paced()
    yield provider
    provider.close()


def texts(body):
    events = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]", body
    deltas = [json.loads(event)["choices"] for event in events[:-1]]
    return "".join(choices[0]["delta"].get("content") or "" for choices in deltas if choices)


def begin_stream(relay, body=STREAM):
    """An open stream that has shown its first event."""
    wire = Wire(relay.port)
    wire.send(relay.post(body))
    status, fields = wire.head()
    assert status == 200 and dict(fields)["content-type"].startswith("text/event-stream")
    pieces = wire.chunks()
    return wire, pieces, [next(pieces)]


def end_stream(wire, pieces, taken):
    taken.extend(pieces)
    wire.close()
    assert taken[-1] is not None, "the stream was cut"
    return texts(b"".join(taken))


# --- reload ----------------------------------------------------------------------------------------


@pytest.mark.threads
def test_a_reload_under_load_drops_nothing_and_takes_effect(tmp_path, paced):
    usual = Provider(answer_always)
    with running(Relay(tmp_path, paced.url)) as relay:
        streams = [begin_stream(relay) for _ in range(20)]
        relay.provider = usual.url
        relay.models = ("gpt-4.1", "new-model")
        relay.write()
        is_over = threading.Event()
        statuses = []

        def load():
            with Wire(relay.port) as wire:
                while not is_over.is_set():
                    wire.send(relay.post({"model": "none", "messages": ASK["messages"]}))
                    statuses.append(wire.answer().status)

        loaders = [threading.Thread(target=load) for _ in range(4)]
        for loader in loaders:
            loader.start()
        for _ in range(5):
            before = relay.log().count("server.reloaded")
            relay.hang_up()
            wait_for(lambda: relay.log().count("server.reloaded") > before, what="the reload")
        # New requests see the new file on every worker, while the old ones still run.
        for _ in range(20):
            answer = call(relay.port, relay.post({**ASK, "model": "new-model"}))
            assert answer.status == 200 and answer.json["choices"], answer
        is_over.set()
        for loader in loaders:
            loader.join()
        assert len(statuses) > 20 and set(statuses) == {404}
        paced.go.set()
        assert [end_stream(*stream) for stream in streams] == ["Hello world"] * 20
    assert len([row for row in relay.usage() if row["transport"] == "sse"]) == 20
    usual.close()


@pytest.mark.parametrize("text,where", [
    ("listen: [\n", "drover.yaml:"),
    ("listen: 127.0.0.1:1\nbanana: 1\n", "drover.yaml:2"),
    ("listen: 127.0.0.1:1\n\nworkers: many\n", "drover.yaml:3"),
    ("listen: 127.0.0.1:1\nadmin: {key: \"${NO_SUCH_VARIABLE}\"}\n", "drover.yaml:2"),
])
def test_a_bad_file_leaves_the_old_one_running_and_says_why(tmp_path, text, where):
    provider = Provider(answer_always)
    with running(Relay(tmp_path, provider.url)) as relay:
        relay.file.write_text(text)
        relay.hang_up()
        wait_for(lambda: "server.reload_failed" in relay.log(), what="the complaint")
        complaint = [line for line in relay.log().splitlines() if "reload_failed" in line][0]
        assert where in complaint and "old configuration stays" in complaint
        assert call(relay.port, relay.post()).status == 200
        relay.write()
        relay.hang_up()
        wait_for(lambda: "server.reloaded" in relay.log(), what="the reload")
        assert call(relay.port, relay.post()).status == 200
    provider.close()


# --- drain -----------------------------------------------------------------------------------------


@pytest.mark.threads
def test_a_drain_lets_streams_end_and_turns_others_away(tmp_path, paced):
    with running(Relay(tmp_path, paced.url)) as relay:
        # Enough that each worker has one.
        streams = [begin_stream(relay) for _ in range(16)]
        kept = Wire(relay.port)
        kept.send(get("/healthz"))
        assert kept.answer().status == 200
        relay.process.send_signal(signal.SIGTERM)
        assert kept.answers() == []  # an idle connection is closed
        for _ in range(8):
            refused = call(relay.port, relay.post())
            assert refused.status == 503 and refused.error["code"] == "draining"
            assert refused.field("connection") == "close"
            unready = call(relay.port, get("/readyz"))
            assert unready.status == 503 and unready.json == {"status": "draining"}
            assert int(unready.field("retry-after")) >= 1
            assert call(relay.port, get("/healthz")).status == 200
        assert relay.process.poll() is None
        paced.go.set()
        assert [end_stream(*stream) for stream in streams] == ["Hello world"] * 16
        assert relay.process.wait(timeout=10) == 0
        with pytest.raises(OSError):
            Wire(relay.port)
    rows = relay.usage()
    assert [int(row["status"]) for row in rows if row["transport"] == "sse"] == [200] * 16
    assert [int(row["status"]) for row in rows if row["transport"] == "http"] == [503] * 8


def test_an_answer_that_its_client_has_yet_to_take_survives_the_drain(tmp_path):
    text = "x" * 6_000_000
    provider = Provider(lambda visit: visit.ask() and visit.send_json(text))
    with running(Relay(tmp_path, provider.url)) as relay:
        wire = Wire(relay.port)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        wire.send(relay.post())
        wire.until(b"\r\n")
        wait_for(lambda: "exchange" in relay.log() or provider.visits[0].sent > len(text))
        relay.process.send_signal(signal.SIGTERM)
        wait_for(lambda: call_or_none(relay.port, get("/readyz")) in (None, 503), what="the drain")
        wire.kept = b"HTTP/1.1 200 OK\r\n" + wire.kept
        answer = wire.answer()
        assert answer.is_whole and answer.json["choices"][0]["message"]["content"] == text
        wire.close()
        assert relay.process.wait(timeout=10) == 0
    provider.close()


def call_or_none(port, request):
    try:
        return call(port, request).status
    except (OSError, AssertionError):
        return None


def test_the_drain_ends_in_time_and_tells_in_the_stream(tmp_path, paced):
    with running(Relay(tmp_path, paced.url, drain_seconds=1)) as relay:
        wire, pieces, taken = begin_stream(relay)
        began = time.monotonic()
        relay.process.send_signal(signal.SIGTERM)
        taken.extend(pieces)
        assert 0.8 < time.monotonic() - began < 4
        last = json.loads(taken[-1].decode().split("data: ")[-1])
        assert last["error"]["code"] == "draining" and b"[DONE]" not in b"".join(taken)
        assert relay.process.wait(timeout=10) == 0
    row, = relay.usage()
    assert int(row["status"]) == 503 and row["cost"] > 0


@pytest.mark.threads
def test_a_second_signal_ends_it_at_once(tmp_path, paced):
    with running(Relay(tmp_path, paced.url, drain_seconds=600)) as relay:
        streams = [begin_stream(relay) for _ in range(4)]
        relay.process.send_signal(signal.SIGTERM)
        wait_for(lambda: call(relay.port, get("/readyz")).status == 503, what="the drain")
        relay.process.send_signal(signal.SIGTERM)
        assert relay.process.wait(timeout=5) == 0
        for wire, pieces, taken in streams:
            taken.extend(pieces)
            assert b"draining" in taken[-1]
            wire.close()
    assert len(relay.usage()) == 4


def test_a_provider_that_owes_its_last_chunk_does_not_hold_up_the_end(tmp_path):
    def serve(visit):
        visit.ask()
        visit.begin_stream()
        visit.send_event({"content": "Hello"}, finish="stop")
        visit.send_chunk(b"data: [DONE]\n\n")
        visit.wait_until_left()

    provider = Provider(serve)
    with running(Relay(tmp_path, provider.url)) as relay:
        for _ in range(8):
            assert texts(call(relay.port, relay.post(STREAM)).body) == "Hello"
        relay.process.send_signal(signal.SIGTERM)
        assert relay.process.wait(timeout=5) == 0
    provider.close()


def test_an_interrupt_drains_too(tmp_path, paced):
    with running(Relay(tmp_path, paced.url)) as relay:
        relay.process.send_signal(signal.SIGINT)
        assert relay.process.wait(timeout=10) == 0


# --- a second gateway ------------------------------------------------------------------------------


def test_a_second_gateway_says_what_is_taken(tmp_path):
    provider = Provider(answer_always)
    with running(Relay(tmp_path, provider.url)) as relay:
        for name, data in (("address", tmp_path / "other"), ("data", relay.data)):
            folder = tmp_path / f"taken-{name}"
            folder.mkdir()
            second = Relay(folder, provider.url, data=data)
            second.key = "none"
            if name == "address":
                second.port = relay.port
            second.launch()
            assert second.process.wait(timeout=20) == 1
            taken = f"127.0.0.1:{relay.port}" if name == "address" else str(relay.data)
            assert taken in second.log(), second.log()
            assert second.log().count("\n") <= 2, second.log()
        assert relay.command("account", "list").returncode == 1
        assert call(relay.port, relay.post()).status == 200
    provider.close()


# --- TLS -------------------------------------------------------------------------------------------


def make_certificate(folder, name):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / "key.new",
         "-out", folder / "cert.new"], check=True, capture_output=True)
    os.replace(folder / "key.new", folder / "key.pem")
    os.replace(folder / "cert.new", folder / "cert.pem")


def trust(folder):
    trusting = ssl.create_default_context(cafile=folder / "cert.pem")
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    return trusting


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # old ones are what is refused
def test_https_is_served_and_its_certificate_reloaded(tmp_path, paced):
    make_certificate(tmp_path, "first")
    extra = f"tls: {{cert: {tmp_path}/cert.pem, key: {tmp_path}/key.pem}}\n"
    with running(Relay(tmp_path, paced.url, extra=extra)) as relay:
        first = trust(tmp_path)
        with Wire(relay.port, tls=first) as wire:
            assert wire.socket.selected_alpn_protocol() == "http/1.1"
            for request in BAD_OVER_TLS + [get("/v1/models", key=relay.key)]:
                wire.send(request)
                assert wire.answer().status in (200, 400)
        paced.go.set()
        with openai.OpenAI(base_url=f"https://localhost:{relay.port}/v1", api_key=relay.key,
                           max_retries=0, http_client=httpx2.Client(verify=first)) as client:
            whole = client.chat.completions.create(**ASK)
            assert whole.choices[0].message.content == "done"
            stream = client.chat.completions.create(**STREAM)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello world"

        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Wire(relay.port, tls=old)
        with Wire(relay.port) as plain:
            plain.send(get("/healthz"))
            while plain.more():
                pass
            assert b"200 OK" not in plain.kept

        paced.go.clear()
        running_wire = Wire(relay.port, tls=first)
        running_wire.send(relay.post(STREAM))
        assert running_wire.head()[0] == 200
        make_certificate(tmp_path, "second")
        relay.hang_up()
        wait_for(lambda: "server.reloaded" in relay.log(), what="the reload")
        with Wire(relay.port, tls=trust(tmp_path)) as wire:
            wire.send(get("/healthz"))
            assert wire.answer().status == 200
        with pytest.raises(ssl.SSLError):
            Wire(relay.port, tls=first)
        paced.go.set()
        assert texts(b"".join(running_wire.chunks())) == "Hello world"
        running_wire.close()
        # A file that is no certificate changes nothing.
        (tmp_path / "cert.pem").write_text("nonsense")
        relay.hang_up()
        wait_for(lambda: "server.reload_failed" in relay.log(), what="the complaint")
        assert "cert.pem" in relay.log()


def test_a_large_body_that_is_refused_says_why_over_tls(tmp_path, paced):
    make_certificate(tmp_path, "refusing")
    extra = f"tls: {{cert: {tmp_path}/cert.pem, key: {tmp_path}/key.pem}}\n"
    with running(Relay(tmp_path, paced.url, extra=extra)) as relay:
        for key, status in (relay.key, 413), ("sk-unknown", 401):
            answer = call(relay.port, post(b" " * 40_000_000, key=key), tls=trust(tmp_path))
            assert answer.status == status and answer.error


BAD_OVER_TLS = [post(b"[", key="sk-none").replace(b"POST /v1/chat/completions", b"GET /healthz")]


# --- clients that vanish ---------------------------------------------------------------------------


def silent(visit):
    visit.ask()
    visit.wait_until_left()


def mid_stream(visit):
    visit.ask()
    visit.begin_stream()
    visit.send_event({"role": "assistant", "content": "Hello"})
    visit.wait_until_left()


def mid_json(visit):
    visit.ask()
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    visit.wait_until_left()


@pytest.mark.threads
@pytest.mark.parametrize("leave", ["fin", "reset"])
@pytest.mark.parametrize("serve,body", [(silent, ASK), (silent, STREAM), (mid_json, ASK),
                                        (mid_stream, STREAM)],
                         ids=["json waiting", "sse waiting", "json begun", "sse begun"])
def test_a_vanished_client_is_told_to_the_provider_at_once(tmp_path, serve, body, leave):
    provider = Provider(serve)
    with running(Relay(tmp_path, provider.url)) as relay:
        took = []
        for _ in range(3):
            seen = len(provider.visits)
            wire = Wire(relay.port)
            wire.send(relay.post(body))
            if serve is mid_stream:
                assert wire.until(b"Hello")
            wait_for(lambda: len(provider.visits) > seen and provider.visits[seen].asked_at)
            if serve is mid_json:
                wait_for(lambda: provider.visits[seen].sent > 0)
            left_at = time.monotonic()
            wire.close() if leave == "fin" else wire.reset()
            assert provider.visits[seen].has_left.wait(10)
            took.append(provider.visits[seen].left_at - left_at)
        # The machine may be busy; the gateway never takes so long each time.
        assert min(took) < 0.1 and sorted(took)[1] < 0.5, took
    rows = relay.usage()
    assert [int(row["status"]) for row in rows] == [499] * 3
    assert all((row["cost"] > 0) == (serve is mid_stream) for row in rows)
    provider.close()


def cpu_seconds(relay):
    with open(f"/proc/{relay.process.pid}/stat", encoding="ascii") as numbers:
        user, system = numbers.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("leave", ["fin", "reset"])
def test_a_client_that_vanishes_with_much_unread_is_noticed_too(tmp_path, leave):
    provider = Provider(silent)
    with running(Relay(tmp_path, provider.url, workers=1)) as relay:
        wire = Wire(relay.port)
        wire.send(relay.post())
        wait_for(lambda: provider.visits and provider.visits[0].asked_at)
        wire.send(get("/healthz") * 3600)  # more than is kept
        time.sleep(0.2)  # so that the reading has paused
        spent = cpu_seconds(relay)
        time.sleep(0.5)
        assert cpu_seconds(relay) - spent < 0.2, "busy while it waits"
        assert not provider.visits[0].has_left.is_set()
        left_at = time.monotonic()
        wire.close() if leave == "fin" else wire.reset()
        assert provider.visits[0].has_left.wait(10)
        assert provider.visits[0].left_at - left_at < 1
    assert [int(row["status"]) for row in relay.usage()] == [499]
    provider.close()


def early(pause):
    """Refuses before it has read the body."""
    def serve(visit):
        data = b""
        while b"\r\n\r\n" not in data:
            data += visit.socket.recv(4096)
        body = json.dumps({"error": {"message": "much too big", "type": "invalid_request_error",
                                     "param": None, "code": "too_big"}}).encode()
        visit.send(b"HTTP/1.1 413 Payload Too Large\r\nContent-Type: application/json\r\n"
                   b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(pause)
    return serve


@pytest.mark.parametrize("pause", [0, 0.05], ids=["at once", "after a while"])
def test_a_provider_that_refuses_amid_the_body_is_heard(tmp_path, pause):
    provider = Provider(early(pause))
    with running(Relay(tmp_path, provider.url)) as relay:
        for megabytes in (1, 5, 20) * 3:
            ask = {**ASK, "messages": [{"role": "user", "content": "x" * megabytes * 1_000_000}]}
            answer = call(relay.port, relay.post(ask))
            assert answer.status == 413, answer
            assert answer.error["code"] == "too_big" and "much too big" in answer.error["message"]
    provider.close()


# --- headers ---------------------------------------------------------------------------------------

ALLOWED_IN_ANSWERS = {
    "date", "content-type", "content-length", "transfer-encoding", "connection", "cache-control",
    "x-accel-buffering", "x-request-id", "x-drover-target", "x-drover-cost", "x-drover-usage",
    "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"}
ALLOWED_UPSTREAM = {"host", "authorization", "content-type", "content-length", "accept",
                    "user-agent", "accept-encoding"}


def test_only_allowed_headers_cross(tmp_path):
    secret = ("Set-Cookie: session=1\r\nopenai-organization: org-secret\r\nopenai-project: p\r\n"
              "x-ratelimit-limit-requests: 31337\r\nx-request-id: req_provider\r\n"
              "CF-RAY: x\r\nServer: provider\r\nVia: 1.1 p\r\nX-Anything: y\r\n")

    def serve(visit):
        while (ask := visit.ask()) is not None:
            if ask.get("stream"):
                visit.begin_stream(secret)
                visit.send_event({"content": "Hello"})
                visit.end_stream()
            else:
                visit.send_json(fields=secret)

    provider = Provider(serve)
    with running(Relay(tmp_path, provider.url)) as relay:
        fields = ["Cookie: session=1", "OpenAI-Organization: org-client", "OpenAI-Project: p",
                  "X-Forwarded-For: 10.0.0.1", "X-Stainless-Lang: python", "api-key: sk-client",
                  "Referer: https://secret.example", "x-sim-fault: status=500",
                  "Proxy-Authorization: Basic eDp5", "X-Anything: y", "traceparent: 00-1-1-01"]
        for body in (ASK, STREAM):
            answer = call(relay.port, relay.post(body, fields=fields))
            assert answer.status == 200
            assert {name for name, _ in answer.fields} <= ALLOWED_IN_ANSWERS
            flat = repr(answer.fields)
            for word in ("31337", "req_provider", "org-secret", "session", "provider"):
                assert word not in flat, answer.fields
        for visit in provider.visits:
            for first, sent in visit.heads:
                assert first == "POST /v1/chat/completions HTTP/1.1"
                names = [name for name, _ in sent]
                assert set(names) <= ALLOWED_UPSTREAM and len(names) == len(set(names)), sent
                assert dict(sent)["authorization"] == "Bearer sk-upstream"
                assert relay.key not in repr(sent)
    provider.close()


def test_head_and_first_event_come_in_one_segment(tmp_path, paced):
    with running(Relay(tmp_path, paced.url)) as relay:
        with Wire(relay.port) as wire:
            wire.send(relay.post(STREAM))
            piece = wire.socket.recv(65536)
            assert piece.startswith(b"HTTP/1.1 200 ") and b"Hello" in piece
        paced.go.set()


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_provider_may_be_named_by_its_ipv6_address(tmp_path):
    # Where the machine has no IPv6, the refused connection must be told as what it is.
    provider = Provider(answer_always, "::1") if has_ipv6() else None
    url = provider.url if provider else f"http://[::1]:{free_port()}/v1"
    with running(Relay(tmp_path, url)) as relay:
        answer = call(relay.port, relay.post())
        assert answer.status == (200 if provider else 502)
    if provider:
        head = dict(provider.visits[0].heads[0][1])
        assert head["host"] == f"[::1]:{provider.port}"


# --- silence ---------------------------------------------------------------------------------------


LONG_TEST = "test_fifteen_seconds_of_silence_bring_a_comment"


@pytest.fixture(scope="module", autouse=True)
def silence(tmp_path_factory, request):
    """Begins with the first test and is looked at by the last: 15 s that nobody waits for."""
    if not any(item.name == LONG_TEST for item in request.session.items):
        yield None
        return

    def serve(visit):
        ask = visit.ask()
        if ask["messages"][0]["content"] == "begun":
            visit.begin_stream()
            visit.send_event({"content": "Hello"})
        time.sleep(17)  # the silence itself
        if ask["messages"][0]["content"] == "begun":
            visit.end_stream()
        elif ask["messages"][0]["content"] == "fails":
            visit.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        else:
            visit.begin_stream()
            visit.send_event({"content": "Hello"})
            visit.end_stream()

    provider = Provider(serve)
    relay = Relay(tmp_path_factory.mktemp("silence"), provider.url)
    found = {}

    def run(name):
        with Wire(relay.port, timeout=30) as wire:
            began = time.monotonic()
            wire.send(relay.post({**STREAM, "messages": [{"role": "user", "content": name}]}))
            status, fields = wire.head()
            headed = time.monotonic() - began
            found[name] = (status, dict(fields), headed,
                           [(time.monotonic() - began, piece) for piece in wire.chunks()])

    def run_json():
        with Wire(relay.port, timeout=30) as wire:
            wire.send(relay.post({**ASK, "messages": [{"role": "user", "content": "fails"}]}))
            found["json"] = wire.answer()

    with running(relay):
        threads = [threading.Thread(target=run, args=(name,))
                   for name in ("begun", "waits", "fails")]
        threads.append(threading.Thread(target=run_json))
        for thread in threads:
            thread.start()

        def wait():
            for thread in threads:
                thread.join(30)
            return found
        yield wait
    provider.close()


def test_fifteen_seconds_of_silence_bring_a_comment(silence):
    found = silence()
    for name in ("begun", "waits", "fails"):
        status, fields, headed, pieces = found[name]
        assert status == 200 and fields["content-type"].startswith("text/event-stream")
        comment, = [(at, piece) for at, piece in pieces if b": waiting" in piece]
        assert 14 < comment[0] < 17 and comment[1] == b": waiting\n\n"
        body = b"".join(piece for _, piece in pieces)
        if name == "begun":
            assert headed < 5 and fields["x-drover-target"] == "own"
        else:
            assert 14 < headed < 17 and "x-drover-target" not in fields
        if name == "fails":
            assert b"[DONE]" not in body
            assert json.loads(body.decode().split("data: ")[1])["error"]["code"] == "upstream_error"
        else:
            assert texts(body) == "Hello"
    assert found["json"].status == 502 and found["json"].error["code"] == "upstream_error"
