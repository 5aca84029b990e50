"""Each way in which a provider fails: the client gets a well-formed end in time, the books are right, and
the next request is served. Simulated by the fault words of `drover sim`."""

import collections
import concurrent.futures
import json
import random
import socket
import time

import pytest

from configured import Client, ConfiguredGateway, Simulation
from conftest import Gateway

TRANSPORTS = pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])

Refusal = collections.namedtuple("Refusal", "status type code retry_after", defaults=[None])
BROKEN = Refusal(502, "server_error", "upstream_error")
OVERLOADED = Refusal(503, "server_error", "no_healthy_upstream", "1")
LATE = Refusal(504, "server_error", "upstream_timeout")
TOO_MANY = Refusal(429, "rate_limit_error", "upstream_rate_limited", "1")

# Before anything of the answer has come: the same on both transports.
REFUSALS = {
    "status=400": Refusal(400, "invalid_request_error", "invalid_request"),
    "status=404": Refusal(404, "invalid_request_error", "model_not_found"),
    "status=413": Refusal(413, "invalid_request_error", "request_too_large"),
    "status=422": Refusal(422, "invalid_request_error", "invalid_request"),
    "no_such_word": Refusal(400, "invalid_request_error", "invalid_simulation"),
    "status=302": BROKEN,
    "status=401": BROKEN,
    "status=402": BROKEN,
    "status=403": BROKEN,
    "status=500": BROKEN,
    "status=502": BROKEN,
    "status=504": LATE,
    "cut": BROKEN,
    "garbage": BROKEN,
    "huge": BROKEN,
    "status=429": TOO_MANY,
    "status=429,retry_after=7": TOO_MANY._replace(retry_after="7"),
    "retry_after=3": TOO_MANY._replace(retry_after="3"),
    "status=503": OVERLOADED,
    "status=503,retry_after=4": OVERLOADED._replace(retry_after="4"),
    "status=529": OVERLOADED,
}

# In the midst of the answer: a stream has begun by then.
BREAKS = ["cut_mid", "bad_json", "error_event", "dribble,cut_mid", "dribble,bad_json",
          "dribble,error_event", "split_utf8,cut_mid", "split_utf8,error_event", "no_usage,cut_mid",
          "no_usage,bad_json", "close_idle,error_event"]

# The answer is whole, only its bytes come strangely.
ODDITIES = ["close_idle", "dribble", "split_utf8", "no_usage", "slow=20000", "dribble,no_usage",
            "split_utf8,no_usage", "split_utf8,close_idle", "slow=20000,no_usage",
            "dribble,close_idle", "close_idle,no_usage"]


# The demo's streams take their time: these tokens are enough to hold characters of several bytes.
SHORT = {"max_tokens": 20}
SHORT_STREAM = {**SHORT, "stream_options": {"include_usage": True}}


def short(stream):
    return {"stream": stream, **(SHORT_STREAM if stream else SHORT)}


class Books:
    """Follows what a gateway should have written down, and looks whether it has."""

    def __init__(self, gateway, key, credits):
        self.gateway = gateway
        self.key = key
        self.credits = credits
        self.receipts = {}

    def client(self):
        return Client(self.gateway, self.key)

    def check(self, client, answer, status=None):
        """The receipt: cost where tokens flowed, none where not."""
        receipt = client.receipt(answer.request_id)
        has_flowed = bool(answer.text) or (answer.error is None)
        assert (receipt["cost"] > 0) == has_flowed, receipt
        assert (receipt["usage"]["total_tokens"] > 0) == has_flowed, receipt
        assert receipt["status"] == (status or answer.status), receipt
        assert not receipt["cancelled"]
        if answer.error is None and answer.usage:
            assert receipt["usage"]["total_tokens"] == answer.usage["total_tokens"]
        assert "x-drover-cost" not in answer.headers or (
            float(answer.headers["x-drover-cost"]) == receipt["cost"])
        self.receipts[answer.request_id] = receipt
        return receipt

    def check_end(self):
        """Each answer has one usage line with the receipt's cost, and the balance follows from all."""
        with self.client() as client:
            left = client.request("GET", "/v1/account").chunks[0]["credits"]
        assert self.gateway.stop() == 0, self.gateway.log()
        listed = self.gateway.command("usage", "--requests", "--json")
        assert listed.returncode == 0, listed.stderr
        rows = [json.loads(line) for line in listed.stdout.splitlines()]
        ids = collections.Counter(row["request_id"] for row in rows)
        assert set(ids.values()) == {1}
        costs = {row["request_id"]: row["cost"] for row in rows}
        assert set(self.receipts) <= set(costs)
        for request_id, receipt in self.receipts.items():
            assert costs[request_id] == receipt["cost"]
        assert left == pytest.approx(self.credits - sum(costs.values()), abs=1e-9)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    books = Books(Gateway(tmp_path_factory.mktemp("demo")).start(), "sk-drover-demo", 1000)
    yield books
    books.check_end()


@pytest.fixture(scope="module")
def whole_text(demo):
    with demo.client() as client:
        answer = client.chat(**SHORT)
        demo.check(client, answer)
        assert not answer.text.isascii()
        return answer.text


def check_refusal(answer, expected):
    """OpenAI's error object, whole, with all four fields, and the headers that belong to it."""
    assert set(answer.error) == {"message", "type", "param", "code"}, answer.error
    assert answer.error["message"] and answer.error["param"] is None
    assert (answer.error["type"], answer.error["code"]) == (expected.type, expected.code)
    if not answer.is_stream:
        assert answer.status == expected.status, answer.error
        assert answer.headers.get("retry-after") == expected.retry_after
        assert answer.chunks == [{"error": answer.error}]


def check_break(answer, expected, whole):
    """Some of the text, then one error within the stream, and no [DONE]."""
    assert answer.status == 200 and answer.is_stream and not answer.is_done
    assert answer.text and whole.startswith(answer.text) and answer.text != whole
    check_refusal(answer, expected)


def check_next(books, client, whole, **wishes):
    """On the very connection that saw the fault."""
    answer = client.chat(**wishes)
    assert answer.status == 200 and answer.text == whole
    books.check(client, answer)


# --- at once


@TRANSPORTS
@pytest.mark.parametrize("fault", REFUSALS)
def test_a_provider_that_refuses(demo, whole_text, fault, stream):
    with demo.client() as client:
        answer = client.chat(fault=fault, **short(stream))
        assert not answer.is_stream
        check_refusal(answer, REFUSALS[fault])
        receipt = demo.check(client, answer)
        assert [attempt["target"] for attempt in receipt["attempts"]] == ["sim"]
        assert "sk-sim" not in answer.body.decode()
        check_next(demo, client, whole_text, **SHORT)


@TRANSPORTS
@pytest.mark.parametrize("fault", BREAKS)
def test_a_provider_that_breaks_off(demo, whole_text, fault, stream):
    with demo.client() as client:
        answer = client.chat(fault=fault, **short(stream))
        if stream:
            check_break(answer, BROKEN, whole_text)
        else:
            check_refusal(answer, BROKEN)
        demo.check(client, answer, status=502)
        check_next(demo, client, whole_text, **SHORT)


@TRANSPORTS
@pytest.mark.parametrize("fault", ODDITIES)
def test_a_provider_whose_bytes_come_strangely(demo, whole_text, fault, stream):
    with demo.client() as client:
        answer = client.chat(fault=fault, **short(stream))
        assert answer.status == 200 and answer.error is None
        assert answer.text == whole_text and answer.is_done == stream
        receipt = demo.check(client, answer)
        is_estimated = "no_usage" in fault
        assert receipt["usage_source"] == ("estimated" if is_estimated else "reported")
        assert answer.usage["total_tokens"] == receipt["usage"]["total_tokens"]
        if not stream:
            assert answer.headers.get("x-drover-usage") == ("estimated" if is_estimated else None)
        check_next(demo, client, whole_text, **SHORT)


@pytest.mark.parametrize("stream,fault", [(False, "status=500,times=2"), (True, "times=2,status=500"),
                                          (True, "cut_mid,times=2")])
def test_a_fault_that_passes(demo, whole_text, stream, fault):
    with demo.client() as client:
        for left in (2, 1, 0):
            answer = client.chat(fault=fault, **short(stream))
            assert (answer.error is None) == (left == 0)
            demo.check(client, answer, status=502 if left else 200)
        assert answer.text == whole_text


@TRANSPORTS
def test_a_connection_that_the_provider_closed_is_replaced_unnoticed(demo, whole_text, stream):
    with demo.client() as client:
        for turn in range(50):
            # The provider closes 20 ms after its answer: just before, while and after we come again.
            time.sleep(0.002 * (turn % 13))
            answer = client.chat(stream=stream, fault="close_idle", max_tokens=2)
            assert answer.status == 200 and answer.error is None, (turn, answer.error)
            assert answer.text and whole_text.startswith(answer.text)
            receipt = demo.check(client, answer)
            assert [attempt["status"] for attempt in receipt["attempts"]] == [200]


# --- silence of more than 15 s, which passes while the other tests run

PATIENT = """
timeouts: {{first_byte: 16s}}
providers:
  silent: {{dialect: openai, base_url: "http://127.0.0.1:{silent}/v1", api_keys: [sk-sim]}}
  late:   {{dialect: openai, base_url: "http://127.0.0.1:{late}/v1", api_keys: [sk-sim]}}
  prompt: {{dialect: openai, base_url: "http://127.0.0.1:{prompt}/v1", api_keys: [sk-sim]}}
models:
  late:
    price: {{input: 8.00, output: 8.00}}
    targets:
      - {{name: only, provider: late, model: gpt-4.1}}
  silent:
    price: {{input: 8.00, output: 8.00}}
    targets:
      - {{name: only, provider: silent, model: gpt-4.1}}
  silent then prompt:
    price: {{input: 8.00, output: 8.00}}
    targets:
      - {{name: first, provider: silent, model: gpt-4.1}}
      - {{name: second, provider: prompt, model: gpt-4.1}}
"""


@pytest.fixture(scope="module", autouse=True)
def patience(tmp_path_factory):
    """Streams that are silent for long, by model; asked before the first test of this file runs."""
    simulations = {"silent": Simulation("--fault", "stall"), "prompt": Simulation(),
                   "late": Simulation("--first-token-ms", "15500")}
    ports = {name: simulation.port for name, simulation in simulations.items()}
    gateway = ConfiguredGateway(tmp_path_factory.mktemp("patient"), PATIENT.format(**ports)).start()
    books = Books(gateway, gateway.key, 1000)

    def ask(model):
        with books.client() as client:
            answer = client.chat(model, True)
            return answer, books.check(client, answer, status=504 if model == "silent" else None)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = {model: pool.submit(ask, model) for model in ("late", "silent", "silent then prompt")}
        yield asked
        if all(future.done() for future in asked.values()):
            books.check_end()
        else:
            gateway.kill()  # only some tests were run: nobody waits for these answers
    for simulation in simulations.values():
        simulation.stop()


# --- with time-outs of a second, and with targets to fall back on

CONFIG = """
timeouts: {{connect: 1s, first_byte: 1s, between_bytes: 1s, answer: 4s}}
logs: {{usage: usage.jsonl}}
providers:
  sim:     {{dialect: openai, base_url: "http://127.0.0.1:{sim}/v1", api_keys: [sk-sim]}}
  refused: {{dialect: openai, base_url: "http://127.0.0.1:{refused}/v1", api_keys: [sk-sim]}}
  unknown: {{dialect: openai, base_url: "http://no-such-host.invalid/v1", api_keys: [sk-sim]}}
models:
"""
MODEL = """  "{name}":
    price: {{input: 8.00, output: 8.00}}
    targets:
"""
FALLBACKS = {
    "refuse": ("refused", "x", 0),
    "unknown": ("unknown", "x", 0),
    "stall": ("sim", "sim:stall", 0),
    "cut": ("sim", "sim:cut", 0),
    "garbage": ("sim", "sim:garbage", 0),
    "huge": ("sim", "sim:huge", 0),
    "status=302": ("sim", "sim:status=302", 302),
    "status=401": ("sim", "sim:status=401", 401),
    "status=402": ("sim", "sim:status=402", 402),
    "status=403": ("sim", "sim:status=403", 403),
    "status=429": ("sim", "sim:status=429", 429),
    "status=500": ("sim", "sim:status=500", 500),
    "status=503": ("sim", "sim:status=503", 503),
    "status=529": ("sim", "sim:status=529", 529),
}


def config_of(ports):
    text = CONFIG.format(**ports) + MODEL.format(name="gpt-4.1")
    text += '      - {name: only, provider: sim, model: "gpt-4.1"}\n' + MODEL.format(name="sim:*")
    text += '      - {name: only, provider: sim, model: "*"}\n' + MODEL.format(name="refuse")
    text += '      - {name: only, provider: refused, model: x}\n'
    broken = [("cut_mid", "sim", "sim:cut_mid"), ("stall_mid", "sim", "sim:stall_mid"),
              ("bad_json", "sim", "sim:bad_json"), ("status=404", "sim", "sim:status=404")]
    for name, provider, model in [(name, *row[:2]) for name, row in FALLBACKS.items()] + broken:
        text += MODEL.format(name="two " + name)
        text += f'      - {{name: first, provider: {provider}, model: "{model}"}}\n'
        text += '      - {name: second, provider: sim, model: "gpt-4.1"}\n'
    text += MODEL.format(name="all fail")
    for name, model in (("a", "sim:status=500"), ("b", "sim:cut"), ("c", "sim:status=429,retry_after=9")):
        text += f'      - {{name: {name}, provider: sim, model: "{model}"}}\n'
    return text


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    simulation = Simulation("--token-ms", "5")
    with socket.socket() as refused:
        refused.bind(("127.0.0.1", 0))  # held, but nobody listens there
        ports = {"sim": simulation.port, "refused": refused.getsockname()[1]}
        gateway = ConfiguredGateway(tmp_path_factory.mktemp("hasty"), config_of(ports)).start()
        books = Books(gateway, gateway.key, 1000)
        yield books
        books.check_end()
    lines = [json.loads(line) for line in (gateway.folder / "usage.jsonl").read_text().splitlines()]
    logged = {line["request_id"]: line["cost"] for line in lines}
    assert len(lines) == len(logged) and set(books.receipts) <= set(logged)
    assert all(logged[request_id] == receipt["cost"]
               for request_id, receipt in books.receipts.items())
    simulation.stop()


@pytest.fixture(scope="module")
def hasty_text(hasty):
    with hasty.client() as client:
        answer = client.chat()
        hasty.check(client, answer)
        return answer.text


def at_once(run, cases):
    """Runs the cases side by side, since what they do is wait; the first failure is raised."""
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        for outcome in [pool.submit(run, *case) for case in cases]:
            outcome.result()


def test_a_provider_that_cannot_be_reached(hasty, hasty_text):
    with hasty.client() as client:
        for stream in (False, True):
            answer = client.chat("refuse", stream)
            check_refusal(answer, BROKEN)
            hasty.check(client, answer)
            check_next(hasty, client, hasty_text)


def test_a_provider_that_stalls_is_given_up_in_time(hasty, hasty_text):
    def stalls(fault, stream):
        with hasty.client() as client:
            answer = client.chat("sim:" + fault, stream)
            if stream and fault != "stall":
                check_break(answer, LATE, hasty_text)
            else:
                check_refusal(answer, LATE)
            assert 0.9 < answer.seconds < 6
            hasty.check(client, answer, status=504)
            check_next(hasty, client, hasty_text)

    faults = ["stall", "stall_mid", "dribble,stall_mid", "split_utf8,stall_mid", "no_usage,stall_mid",
              "close_idle,stall_mid"]
    at_once(stalls, [(fault, stream) for fault in faults for stream in (False, True)])


def test_an_answer_that_is_too_slow_as_a_whole_is_given_up(hasty, hasty_text):
    def crawls(fault, stream):
        with hasty.client() as client:
            answer = client.chat("sim:" + fault, stream)
            if stream:
                check_break(answer, LATE, hasty_text)
            else:
                check_refusal(answer, LATE)
            assert 3.9 < answer.seconds < 9
            hasty.check(client, answer, status=504)
            check_next(hasty, client, hasty_text)

    at_once(crawls, [("slow=150", False), ("slow=150,no_usage", False), ("slow=400", True),
                     ("slow=400,no_usage", True)])


WORDS = ["status=429", "status=500", "status=503", "retry_after=2", "stall", "stall_mid", "cut", "cut_mid",
         "close_idle", "garbage", "bad_json", "error_event", "slow=3000", "slow=20000", "dribble",
         "no_usage", "split_utf8", "huge"]


def test_faults_come_together_and_clients_leave(hasty):
    """Seeded mixtures, side by side: whatever happens, the end is well-formed and the books are right."""
    seed = random.Random(20261124)
    left = iter([(",".join(seed.sample(WORDS, seed.randint(1, 3))), seed.random() < 0.6,
                  seed.random() < 0.2, seed.random() * 0.2) for _ in range(120)])

    def leave(client, fault, stream, seconds):
        """Hangs up at any moment."""
        client.connection.timeout = seconds + 0.001
        try:
            client.chat("sim:" + fault, stream)
        except OSError:
            pass

    def work():
        for fault, stream, leaves, seconds in left:
            with hasty.client() as client:
                if leaves:
                    leave(client, fault, stream, seconds)
                    continue
                answer = client.chat("sim:" + fault, **short(stream))
                told = (fault, stream, answer.status, answer.error)
                assert answer.seconds < 9, told
                if answer.is_stream:
                    assert answer.is_done == (answer.error is None), told
                if answer.error is None:
                    assert answer.usage, told
                else:
                    assert set(answer.error) == {"message", "type", "param", "code"}, told
                late = answer.error and answer.error["code"] == "upstream_timeout"
                broken = 504 if late else 502 if answer.is_stream and answer.error else None
                hasty.check(client, answer, status=broken)

    at_once(work, [()] * 12)


@pytest.mark.threads
def test_the_next_target_answers_where_the_first_fails(hasty, hasty_text):
    def falls_back(fault, stream):
        with hasty.client() as client:
            answer = client.chat("two " + fault, stream)
            assert answer.status == 200 and answer.error is None, (fault, stream, answer.error)
            assert answer.text == hasty_text
            assert answer.headers["x-drover-target"] == "second"
            receipt = hasty.check(client, answer)
            assert receipt["target"] == "second"
            tried = [(attempt["target"], attempt["status"]) for attempt in receipt["attempts"]]
            status = 200 if fault == "huge" else FALLBACKS[fault][2]
            assert tried == [("first", status), ("second", 200)], fault

    at_once(falls_back, [(fault, stream) for fault in FALLBACKS for stream in (False, True)])


def test_a_whole_answer_that_breaks_off_is_asked_of_the_next_target(hasty, hasty_text):
    def falls_back(fault):
        with hasty.client() as client:
            answer = client.chat("two " + fault)
            assert answer.status == 200 and answer.text == hasty_text
            receipt = hasty.check(client, answer)
            assert [attempt["target"] for attempt in receipt["attempts"]] == ["first", "second"]

    at_once(falls_back, [("cut_mid",), ("stall_mid",), ("bad_json",)])


def test_nobody_else_is_asked_once_a_stream_has_begun(hasty, hasty_text):
    def breaks(fault, expected):
        with hasty.client() as client:
            answer = client.chat("two " + fault, True)
            check_break(answer, expected, hasty_text)
            receipt = hasty.check(client, answer, status=expected.status)
            assert answer.headers["x-drover-target"] == receipt["target"] == "first"
            assert [attempt["target"] for attempt in receipt["attempts"]] == ["first"]

    at_once(breaks, [("cut_mid", BROKEN), ("stall_mid", LATE), ("bad_json", BROKEN)])


@TRANSPORTS
def test_what_is_wrong_with_the_request_itself_is_not_asked_elsewhere(hasty, stream):
    with hasty.client() as client:
        answer = client.chat("two status=404", stream)
        assert answer.status == 404
        assert len(hasty.check(client, answer)["attempts"]) == 1


@TRANSPORTS
def test_the_last_failure_is_told_when_all_targets_fail(hasty, stream):
    with hasty.client() as client:
        answer = client.chat("all fail", stream)
        check_refusal(answer, TOO_MANY._replace(retry_after="9"))
        receipt = hasty.check(client, answer)
        tried = [(attempt["target"], attempt["status"]) for attempt in receipt["attempts"]]
        assert tried == [("a", 500), ("b", 0), ("c", 429)]


def test_a_client_is_told_of_a_long_silence(patience, hasty_text):
    """The headers go out after 15 s, with a comment; the answer may still come from any target."""
    late, late_receipt = patience["late"].result()
    second, second_receipt = patience["silent then prompt"].result()
    for answer, seconds in ((late, 15.4), (second, 15.9)):
        assert answer.status == 200 and answer.error is None and answer.is_done
        assert answer.body.startswith(b": waiting\n\ndata: ") and answer.text == hasty_text
        assert "x-drover-target" not in answer.headers and answer.seconds > seconds
    assert late_receipt["target"] == "only"
    assert [attempt["target"] for attempt in second_receipt["attempts"]] == ["first", "second"]


def test_a_failure_after_a_long_silence_is_told_within_the_stream(patience):
    answer, receipt = patience["silent"].result()
    assert answer.status == 200 and answer.is_stream and not answer.is_done
    assert answer.body.startswith(b": waiting\n\ndata: ") and not answer.chunks
    check_refusal(answer, LATE)
    assert [attempt["target"] for attempt in receipt["attempts"]] == ["only"]
