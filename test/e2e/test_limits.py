"""Limits that hold for the gateway as a whole."""

import select
import socket
import time

from configured import Client, ConfiguredGateway

PROVIDER = 'providers: {p: {base_url: "http://127.0.0.1:9/v1"}}'
MODELS = "models: {m: {price: {input: 1, output: 1}, targets: [{provider: p}]}}"


def test_connections_are_limited_over_all_workers(tmp_path):
    gateway = ConfiguredGateway(tmp_path, "workers: 3\nlimits: {connections: 4}\n"
                                f"{PROVIDER}\n{MODELS}\n").start()
    clients = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(12)]
    try:
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
        answered = set()
        deadline = time.monotonic() + 10
        # Each that has its answer leaves, and so makes room for another: all get theirs.
        while len(answered) < len(clients):
            waiting = [client for client in clients if client not in answered]
            ready = select.select(waiting, [], [], 1)[0]
            assert len(ready) <= 4, "more connections than places"
            for client in ready:
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
                client.close()
                answered.add(client)
            assert time.monotonic() < deadline, f"{len(answered)} were answered"
    finally:
        for client in clients:
            client.close()
        assert gateway.stop() == 0, gateway.log()


def test_an_account_is_told_the_models_of_its_key(tmp_path):
    price = "price: {input: 1, output: 1}, targets: [{provider: p}]"
    gateway = ConfiguredGateway(tmp_path, f"workers: 1\n{PROVIDER}\n"
                                f"models: {{m: {{{price}}}, n: {{{price}}}, 'f:*': {{{price}}}}}\n").start()
    assert gateway.stop() == 0, gateway.log()
    options = ["-c", str(gateway.file), "--data", str(tmp_path / "data")]
    account = gateway.ask_books("account", "list", *options)[0]["id"]
    limited = gateway.ask_books("key", "create", "--account", account, "--models", "n,f:*", *options)
    gateway.start()
    with Client(gateway) as client:
        for key, models in (gateway.key, ["m", "n"]), (limited["key"], ["n", "f:*"]):
            client.key = key
            answer = client.request("GET", "/v1/account").chunks[0]
            assert answer["key"]["models"] == models
            listed = client.request("GET", "/v1/models").chunks[0]["data"]
            assert {model["id"] for model in listed} <= set(models)
    assert gateway.stop() == 0, gateway.log()
    log = gateway.log()
    events = [line.split()[2] for line in log.splitlines() if " gateway." in line]
    assert events == ["gateway.listening", "gateway.draining", "gateway.ended"] * 2
    assert f"address=127.0.0.1:{gateway.port} workers=1 admin=127.0.0.1:" in log


def test_a_flood_of_refusals_is_told_to_the_operator_once_a_minute(tmp_path):
    gateway = ConfiguredGateway(tmp_path, f"workers: 1\n{PROVIDER}\n{MODELS}\n").start()
    body = b'{"model":"none","messages":[{"role":"user","content":"x"}]}'
    ask = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\n"
           b"Content-Length: %d\r\n\r\n%s" % (gateway.key.encode(), len(body), body))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as client:
        for _ in range(24):
            client.sendall(ask * 50)
            came = b""
            while came.count(b"HTTP/1.1 404") < 50 or not came.endswith(b"}"):
                came += client.recv(65536)
    assert gateway.stop() == 0, gateway.log()
    told = [line for line in gateway.log().splitlines() if "exchange.refusals" in line]
    assert len(told) == 1 and "code=model_not_found count=1000" in told[0], told


def test_what_is_refused_counts_towards_the_keys_rate(tmp_path):
    gateway = ConfiguredGateway(tmp_path, f"workers: 1\n{PROVIDER}\n{MODELS}\n").start()
    assert gateway.stop() == 0, gateway.log()
    options = ["-c", str(gateway.file), "--data", str(tmp_path / "data")]
    account = gateway.ask_books("account", "list", *options)[0]["id"]
    limited = gateway.ask_books("key", "create", "--account", account, "--requests-per-minute", "3",
                                *options)
    gateway.start()
    with Client(gateway, limited["key"]) as client:
        assert [client.chat("none").status for _ in range(5)] == [404, 404, 404, 429, 429]
    assert gateway.stop() == 0, gateway.log()


def test_a_body_of_many_values_is_refused_before_it_is_read(tmp_path):
    gateway = ConfiguredGateway(tmp_path, f"workers: 1\n{PROVIDER}\n{MODELS}\n").start()
    with Client(gateway, gateway.key) as client:
        answer = client.chat("m", metadata=[[]] * 300_000)
        assert answer.status == 400 and "more than 262144 values" in answer.error["message"]
        # As many bytes of text are one value.
        answer = client.chat("none", messages=[{"role": "user", "content": "[,:" * 300_000}])
        assert answer.error["code"] == "model_not_found"
    assert gateway.stop() == 0, gateway.log()
