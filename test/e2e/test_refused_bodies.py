"""Requests that are refused before their body has come whole: why is read by every client, stands in
the books if the key was accepted, and in the log if it was not."""

import http.client
import json
import threading

import pytest

from rig import ASK, PATH, Provider, Relay, Wire, answer_always, call, get, nano, running

ORIGIN = "https://app.example"
CORS = f"cors: {{origins: ['{ORIGIN}']}}\n"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    provider = Provider(answer_always)
    relay = Relay(tmp_path_factory.mktemp("refused"), provider.url, timeouts="request_body: 1s",
                  limits="body_bytes: 32MiB", extra=f"{CORS}logs: {{level: debug}}\n")
    with running(relay):
        yield relay
    provider.close()


def pieces(body):
    for at in range(0, len(body), 1 << 18):
        yield body[at:at + (1 << 18)]


def send_all_then_read(relay, key, megabytes, is_chunked=False):
    """As Python's own client does: it looks for an answer behind its last byte only."""
    body = b'{"model":"gpt-4.1","messages":[{"role":"user","content":"' + b"x" * megabytes * MEGABYTE
    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=30)
    try:
        connection.request("POST", PATH, pieces(body) if is_chunked else body,
                           {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
                           encode_chunked=is_chunked)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["error"]["code"]
    finally:
        connection.close()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("megabytes", [10, 34, 100])
def test_whoever_sends_all_before_reading_is_told_why(world, megabytes, is_chunked):
    for _ in range(3):
        assert send_all_then_read(world, "sk-unknown", megabytes, is_chunked) == \
            (401, "malformed_api_key")
        if megabytes * MEGABYTE > 32 << 20:
            assert send_all_then_read(world, world.key, megabytes, is_chunked) == \
                (413, "request_too_large")


def test_many_at_once_are_told_why(world):
    found = []

    def run():
        found.append(send_all_then_read(world, "sk-unknown", 10))

    threads = [threading.Thread(target=run) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(401, "malformed_api_key")] * 24


def shape(relay, framing, body=b"", key=None, line=f"POST {PATH} HTTP/1.1"):
    lines = [line, "Host: gateway", f"Authorization: Bearer {key or relay.key}",
             "Content-Type: application/json", f"Origin: {ORIGIN}", framing, "", ""]
    return "\r\n".join(lines).encode() + body


CHUNKED = "Transfer-Encoding: chunked"
AMID_THE_BODY = {
    "a length beyond the limit": ("Content-Length: 99999999", b"", 413),
    "a length beyond all": ("Content-Length: 18446744073709551615", b"", 413),
    "a chunk beyond the limit": (CHUNKED, b"ffffffff\r\nx", 413),
    "no end of a chunk": (CHUNKED, b"5\r\nhelloXX", 400),
    "a bad size": (CHUNKED, b"5\r\nhello\r\nx\r\n", 400),
    "many extensions": (CHUNKED, b"".join(b"1;%s\r\n \r\n" % (b"e" * 100) for _ in range(2000)), 400),
    "a body that stops": ("Content-Length: 50", b"{", 408),
    "chunks that stop": (CHUNKED, b"1\r\n{\r\n", 408),
}


@pytest.mark.threads
@pytest.mark.parametrize("name", AMID_THE_BODY)
def test_a_refusal_amid_the_body_has_the_id_of_its_receipt(world, name):
    framing, body, status = AMID_THE_BODY[name]
    before = world.usage_over_http()
    with Wire(world.port) as wire:
        wire.send(shape(world, framing, body))
        answers = wire.answers()
    assert [answer.status for answer in answers] == [status]
    answer = answers[0]
    assert answer.error["type"] == "invalid_request_error"
    assert answer.field("access-control-allow-origin") == ORIGIN
    assert answer.field("connection") == "close"
    receipt = call(world.port, get(f"/v1/receipts/{answer.field('x-request-id')}", key=world.key)).json
    assert (receipt["status"], receipt["cancelled"]) == (status, False)
    assert nano(str(receipt["cost"])) == 0
    assert world.usage_over_http() == before + 1, "one exchange, one record"


def test_an_id_without_a_receipt_stands_in_the_log(world):
    asks = {
        "404 not_found": get("/v1/nothing", key=world.key),
        "405 method_not_allowed": get(PATH, key=world.key),
        "401 malformed_api_key": get("/v1/models", key="sk-unknown"),
        "401 missing_api_key": get("/v1/account/usage", key=""),
        "404 receipt_not_found": get("/v1/receipts/none", key=world.key),
        "400 invalid_request": shape(world, "Content-Length: 1, 1"),
        "431 headers_too_large": shape(world, "X: " + "y" * 70000),
        "505 invalid_request": shape(world, "X: y", line=f"POST {PATH} HTTP/1.2"),
    }
    for name, request in asks.items():
        answer = call(world.port, request)
        status, code = name.split()
        assert answer.status == int(status), name
        lines = [line for line in world.log().splitlines() if answer.field("x-request-id") in line]
        assert len(lines) == 1, (name, lines)
        assert " request.refused id=" in lines[0], lines
        assert lines[0].endswith(f"status={status} code={code}"), lines


def test_a_short_body_behind_a_refusal_keeps_the_connection(world):
    with Wire(world.port) as wire:
        wire.send(shape(world, "Content-Length: 5", b"hello", key="sk-unknown"))
        assert wire.answer().status == 401
        wire.send(world.post(ASK))
        assert wire.answer().status == 200
