"""The operator's listener: every route, who may ask, what takes effect when, and the commands that ask it."""

import concurrent.futures
import contextlib
import csv
import http.client
import io
import json
import os
import pathlib
import re
import socket
import sqlite3
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import DROVER, Gateway, free_port
from socket_chat import HELLO, open_socket, receive, send
from socket_chat import ask as ask_socket

ADMIN = "sk-drover-admin-demo"
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
ROUTES = [("GET", "status"), ("POST", "reload"), ("POST", "drain"),
          ("GET", "accounts"), ("POST", "accounts"), ("GET", "accounts/acc_x"),
          ("POST", "accounts/acc_x/topups"), ("GET", "keys"), ("POST", "keys"), ("GET", "keys/key_x"),
          ("POST", "keys/key_x/revoke"), ("POST", "keys/key_x/rotate"), ("GET", "usage"),
          ("GET", "requests"), ("GET", "receipts/req_x")]


def call(port, method, path, body=None, key=None, headers=None):
    """One request on a connection of its own, so that any worker may get it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        sent = dict(headers or {})
        if key:
            sent["Authorization"] = f"Bearer {key}"
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def admin(gateway, method, path, body=None, status=200):
    got, headers, text = call(gateway.admin_port, method, "/admin/v1/" + path, body, ADMIN)
    assert got == status, (method, path, got, text)
    assert headers["x-request-id"].startswith("req_") and headers["Cache-Control"] == "no-store"
    return json.loads(text)


def chat(gateway, key="sk-drover-demo", model="gpt-4.1", stream=False):
    status, _, text = call(gateway.port, "POST", "/v1/chat/completions",
                           {"model": model, "stream": stream,
                            "messages": [{"role": "user", "content": "Hello"}]}, key)
    return status, text


def error_of(text):
    error = json.loads(text)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def make_key(gateway, credits="10", **more):
    account = admin(gateway, "POST", "accounts", {"name": "team"})["id"]
    if credits:
        admin(gateway, "POST", f"accounts/{account}/topups", {"amount": credits})
    return account, admin(gateway, "POST", "keys", {"account": account, **more})


class Configured(Gateway):
    """A gateway with a configuration of its own, and a provider that is never asked."""

    def start(self, admin_key=ADMIN):
        self.port, self.admin_port = free_port(), free_port()
        self.write(admin_key)
        log = open(self.folder / "drover.log", "ab")
        self.process = subprocess.Popen([DROVER, "serve", "-c", "drover.yaml"], cwd=self.folder,
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_listening()
        return self

    def write(self, admin_key, more=""):
        key = f", key: {admin_key}" if admin_key else ""
        (self.folder / "drover.yaml").write_text(
            f"listen: 127.0.0.1:{self.port}\nadmin: {{listen: 127.0.0.1:{self.admin_port}{key}}}\n"
            "data: data\nproviders:\n  p: {dialect: openai, base_url: \"http://127.0.0.1:9/v1\"}\n"
            "models:\n  m: {price: {input: 1, output: 1}, targets: [{name: t, provider: p, "
            f"model: m}}]}}\n{more}")


@pytest.fixture
def configured(tmp_path):
    running = Configured(tmp_path)
    yield running
    if running.process and running.process.poll() is None:
        running.stop()


# ---------------------------------------------------------------- who may ask, and how


@pytest.mark.parametrize("method,path", ROUTES)
def test_no_route_answers_without_the_admin_key(gateway, method, path):
    for key in (None, "wrong", ADMIN + "x", ADMIN[:-1], "sk-drover-demo"):
        status, headers, text = call(gateway.admin_port, method, "/admin/v1/" + path, key=key)
        assert status == 401 and error_of(text)["code"] == "invalid_api_key"
        assert headers["WWW-Authenticate"] == "Bearer" and headers["x-request-id"]
        assert ADMIN.encode() not in text


def test_without_a_key_in_the_configuration_only_health_and_metrics_answer(configured):
    configured.start(admin_key=None)
    for key in (None, "", "anything"):
        status, _, text = call(configured.admin_port, "GET", "/admin/v1/status", key=key)
        assert status == 403 and error_of(text)["code"] == "admin_off"
        assert "admin.key" in error_of(text)["message"]
    for path in ("/healthz", "/readyz", "/metrics"):
        assert call(configured.admin_port, "GET", path)[0] == 200


def test_the_public_listener_has_none_of_it(gateway):
    for path in ("/metrics", "/admin/v1/status"):
        assert call(gateway.port, "GET", path, key=ADMIN)[0] == 404


def test_wrong_addresses_methods_and_bodies_get_the_error_object(gateway):
    seen = set()
    for method, path, body, headers, status, code in [
        ("GET", "/", None, {}, 404, "not_found"),
        ("GET", "/admin/v1/", None, {}, 404, "not_found"),
        ("GET", "/admin/v1/accounts/a/b", None, {}, 404, "not_found"),
        ("DELETE", "/admin/v1/accounts", None, {}, 405, "method_not_allowed"),
        ("GET", "/admin/v1/reload", None, {}, 405, "method_not_allowed"),
        ("POST", "/metrics", "{}", {}, 405, "method_not_allowed"),
        ("POST", "/admin/v1/accounts", "a=b",
         {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        ("POST", "/admin/v1/accounts", "{}", {"Content-Encoding": "gzip"}, 415,
         "unsupported_media_type"),
        ("POST", "/admin/v1/accounts", "{", {}, 400, "invalid_json"),
        ("POST", "/admin/v1/accounts", "[" * 50000, {}, 400, "invalid_json"),
        ("POST", "/admin/v1/accounts", b'{"name":"\xff"}', {}, 400, "invalid_json"),
        ("POST", "/admin/v1/accounts", '{"name":"\\ud800"}', {}, 400, "invalid_json"),
        ("POST", "/admin/v1/accounts", '{"name":"' + "x" * 129 + '"}', {}, 400, "invalid_request"),
        ("POST", "/admin/v1/accounts", '{"name":"' + "x" * 70000 + '"}', {}, 413,
         "request_too_large"),
    ]:
        got, sent, text = call(gateway.admin_port, method, path, body, ADMIN, headers)
        assert (got, error_of(text)["code"]) == (status, code), (method, path, text)
        assert status != 405 or "OPTIONS" in sent["Allow"]
        seen.add(sent["x-request-id"])
    assert len(seen) == 14 and None not in seen
    status, sent, text = call(gateway.admin_port, "OPTIONS", "/admin/v1/accounts")
    assert (status, sent["Allow"], text) == (204, "GET, HEAD, POST, OPTIONS", b"")
    status, sent, text = call(gateway.admin_port, "HEAD", "/admin/v1/status", key=ADMIN)
    assert status == 200 and text == b"" and int(sent["Content-Length"]) > 100


def test_a_body_without_end_is_refused_at_its_announcement(gateway):
    with socket.create_connection(("127.0.0.1", gateway.admin_port), timeout=10) as raw:
        raw.sendall(f"POST /admin/v1/accounts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}"
                    "\r\nContent-Length: 1073741824\r\n\r\n".encode())
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"x-request-id" in answer.lower()
    with socket.create_connection(("127.0.0.1", gateway.admin_port), timeout=10) as raw:
        raw.sendall(b"GET /metrics HTTP/1.1\r\nHost : x\r\n\r\n")
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"x-request-id" in answer.lower()


# ---------------------------------------------------------------- what takes effect when


@pytest.mark.threads
def test_a_key_works_once_it_is_answered_and_not_once_it_is_revoked(own_gateway):
    _, key = make_key(own_gateway, name="web", models=["gpt-4.1"])
    # Each on a connection of its own: all workers have to know.
    assert {chat(own_gateway, key["key"])[0] for _ in range(12)} == {200}
    assert chat(own_gateway, key["key"], model="deepseek-v3.2")[0] == 403
    fresh = admin(own_gateway, "POST", f"keys/{key['id']}/rotate")
    assert fresh["models"] == ["gpt-4.1"] and fresh["key"] != key["key"]
    for _ in range(12):
        status, text = chat(own_gateway, key["key"])
        assert status == 401 and error_of(text)["code"] == "revoked_api_key"
    assert {chat(own_gateway, fresh["key"])[0] for _ in range(6)} == {200}
    revoked = admin(own_gateway, "POST", f"keys/{fresh['id']}/revoke")
    assert revoked["revoked"] and "key" not in revoked
    assert {chat(own_gateway, fresh["key"])[0] for _ in range(12)} == {401}
    assert fresh["key"] not in own_gateway.log() and ADMIN not in own_gateway.log().split("admin key")[0]


@pytest.mark.threads
def test_a_topup_can_be_spent_at_once(own_gateway):
    account, key = make_key(own_gateway, credits=None)
    status, text = chat(own_gateway, key["key"])
    assert status == 402 and error_of(text)["code"] == "insufficient_credits"
    topped = admin(own_gateway, "POST", f"accounts/{account}/topups",
                   {"amount": 5, "reference": "first"})
    assert (topped["credits"], topped["counted"]) == (5, True)
    assert chat(own_gateway, key["key"])[0] == 200
    cost = admin(own_gateway, "GET", f"usage?account={account}")["data"][0]["cost"]
    again = admin(own_gateway, "POST", f"accounts/{account}/topups",
                  {"amount": 5, "reference": "first"})
    assert again["counted"] is False and again["credits"] == pytest.approx(5 - cost, abs=1e-12)


@pytest.mark.threads
def test_many_may_ask_at_once(own_gateway):
    account = admin(own_gateway, "POST", "accounts", {"name": "many"})["id"]

    def work(number):
        key = admin(own_gateway, "POST", "keys", {"account": account, "name": f"k{number}"})
        admin(own_gateway, "POST", f"accounts/{account}/topups",
              {"amount": 1, "reference": f"same {number % 4}"})
        text = call(own_gateway.admin_port, "GET", "/metrics")[2]
        assert b"drover_keys " in text
        done = chat(own_gateway, key["key"])[0]
        admin(own_gateway, "POST", f"keys/{key['id']}/revoke")
        return done, chat(own_gateway, key["key"])[0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(24))) == {(200, 401)}
    shown = admin(own_gateway, "GET", f"accounts/{account}")
    cost = admin(own_gateway, "GET", f"usage?account={account}")["data"][0]["cost"]
    assert shown["credits"] == pytest.approx(4 - cost, abs=1e-12)
    keys = admin(own_gateway, "GET", f"keys?account={account}&limit=1000")
    assert len(keys["data"]) == 24 and not keys["has_more"]


def test_requests_come_in_pages_each_once(own_gateway):
    for _ in range(7):
        assert chat(own_gateway)[0] == 200
    page, seen, pages = admin(own_gateway, "GET", "requests?limit=3"), [], 1
    while True:
        seen += [row["request_id"] for row in page["data"]]
        if not page["has_more"]:
            break
        page, pages = admin(own_gateway, "GET", f"requests?limit=3&after={page['next']}"), pages + 1
    assert len(seen) == len(set(seen)) == 7 and 3 <= pages <= 4
    receipt = admin(own_gateway, "GET", f"receipts/{seen[0]}")
    assert receipt["request_id"] == seen[0] and receipt["status"] == 200
    totals = admin(own_gateway, "GET", "usage?by=day,account,key,model")["data"]
    assert len(totals) == 1 and totals[0]["requests"] == 7


# ---------------------------------------------------------------- reload, drain


def test_a_reload_counts_and_a_bad_file_says_why(configured):
    configured.start()
    assert admin(configured, "GET", "status")["config"] == {"generation": 1, "file": "drover.yaml"}
    configured.write(ADMIN, "  m2: {price: {input: 1, output: 1}, targets: [{name: t, provider: p, "
                            "model: m}]}\n")
    status = admin(configured, "POST", "reload")
    assert status["config"]["generation"] == 2
    assert [model["name"] for model in status["models"]] == ["m", "m2"]
    configured.write(ADMIN, "nonsense: 1\n")
    refused = admin(configured, "POST", "reload", status=400)["error"]["message"]
    assert "drover.yaml:" in refused and "nonsense" in refused
    assert admin(configured, "GET", "status")["config"]["generation"] == 2
    # Another admin key holds from the next question on.
    configured.write("another")
    admin(configured, "POST", "reload")
    assert call(configured.admin_port, "GET", "/admin/v1/status", key=ADMIN)[0] == 401
    assert call(configured.admin_port, "GET", "/admin/v1/status", key="another")[0] == 200


@pytest.mark.threads
def test_a_drain_over_the_api_ends_the_gateway(own_gateway):
    url = own_gateway.folder / "data" / "admin.url"
    assert url.read_text() == f"http://127.0.0.1:{own_gateway.admin_port}\n"
    assert admin(own_gateway, "POST", "drain")["status"] == "draining"
    assert own_gateway.process.wait(timeout=30) == 0, own_gateway.log()
    assert not url.exists()


def test_while_it_drains_it_says_so_and_a_second_call_cuts_nothing(own_gateway):
    connection = http.client.HTTPConnection("127.0.0.1", own_gateway.port, timeout=30)
    connection.request("POST", "/v1/chat/completions", json.dumps(
        {"model": "sim:slow=5000", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}),
        {"Authorization": "Bearer sk-drover-demo", "Content-Type": "application/json"})
    answer = connection.getresponse()
    first = answer.read1(64)
    assert first
    for _ in range(2):
        assert admin(own_gateway, "POST", "drain")["status"] == "draining"
    assert call(own_gateway.admin_port, "GET", "/readyz")[::2] == (503, b'{"status":"draining"}')
    assert call(own_gateway.admin_port, "GET", "/healthz")[0] == 200
    assert b"[DONE]" in first + answer.read()
    connection.close()
    assert own_gateway.process.wait(timeout=30) == 0, own_gateway.log()


# ---------------------------------------------------------------- metrics


def metrics(gateway):
    status, headers, text = call(gateway.admin_port, "GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def value(families, name, sample=None, **labels):
    found = [each.value for each in families[name].samples
             if each.name == (sample or name) and labels.items() <= each.labels.items()]
    return sum(found)


@pytest.mark.threads
def test_counts_move_by_exactly_the_requests_made(own_gateway):
    before = metrics(own_gateway)
    made = {False: 5, True: 3}
    for stream, count in made.items():
        for _ in range(count):
            assert chat(own_gateway, stream=stream)[0] == 200
    assert chat(own_gateway, key="sk-drover-nobody")[0] == 401
    assert chat(own_gateway, model="no-such-model")[0] == 404
    assert chat(own_gateway, model="sim:status=500")[0] == 502
    after = metrics(own_gateway)
    for transport, count in (("http", 5), ("sse", 3)):
        labels = {"model": "gpt-4.1", "target": "sim", "transport": transport, "status": "200"}
        assert value(after, "drover_requests", "drover_requests_total", **labels) == count
        for name in ("drover_request_duration_seconds", "drover_time_to_first_token_seconds"):
            assert value(after, name, name + "_count", **labels) == count
            buckets = [each.value for each in after[name].samples if each.name == name + "_bucket"
                       and labels.items() <= each.labels.items()]
            assert buckets == sorted(buckets) and len(buckets) == 16 and buckets[-1] == count
            assert value(after, name, name + "_sum", **labels) > 0
    # What a client calls a model is no label: a family is counted by its configured name.
    names = {each.labels["model"] for each in after["drover_requests"].samples}
    assert names == {"gpt-4.1", "sim:*", ""}
    for code, count in (("malformed_api_key", 1), ("model_not_found", 1), ("upstream_error", 1),
                        ("storage_full", 0)):
        moved = [value(each, "drover_refusals", "drover_refusals_total", code=code)
                 for each in (before, after)]
        assert moved[1] - moved[0] == count, (code, moved)
    assert value(after, "drover_refused_before_key", "drover_refused_before_key_total") == 1
    assert value(after, "drover_requests_in_flight") == 0
    charged = value(after, "drover_charged_usd", "drover_charged_usd_total")
    total = sum(row["cost"] for row in admin(own_gateway, "GET", "usage")["data"])
    assert charged == pytest.approx(total, abs=1e-12) and charged > 0
    journal = value(after, "drover_journal_records", "drover_journal_records_total")
    assert journal == len(admin(own_gateway, "GET", "requests")["data"])
    assert value(after, "process_resident_memory_bytes") > 1e6


def test_answers_over_a_websocket_are_counted_as_such(own_gateway):
    with open_socket(own_gateway) as socket:
        for name in ("a", "b"):
            assert ask_socket(socket, {**HELLO, "id": name}).error is None
        assert ask_socket(socket, {**HELLO, "id": "c", "model": "none"}).error["status"] == 404
        send(socket, {**HELLO, "id": "d", "model": "sim:stall_mid"})
        assert receive(socket)["accepted"] is True
        assert "content" in receive(socket)
        during = metrics(own_gateway)
        assert value(during, "drover_requests_in_flight", transport="ws") == 1
        send(socket, {"type": "cancel", "id": "d"})
        frame = receive(socket)
        while "content" in frame:  # said before it was told
            frame = receive(socket)
        assert frame["finish_reason"] == "cancelled"
    after = metrics(own_gateway)
    assert value(after, "drover_requests_in_flight", transport="ws") == 0
    labels = {"model": "gpt-4.1", "target": "sim", "transport": "ws", "status": "200"}
    assert value(after, "drover_requests", "drover_requests_total", **labels) == 2
    for name in ("drover_request_duration_seconds", "drover_time_to_first_token_seconds"):
        assert value(after, name, name + "_count", **labels) == 2
    for kind in ("prompt", "completion"):
        assert value(after, "drover_tokens", "drover_tokens_total", kind=kind, **labels) > 0
    assert value(after, "drover_charged_usd", "drover_charged_usd_total", **labels) > 0
    for status, count in (("404", 1), ("499", 1)):
        assert value(after, "drover_requests", "drover_requests_total", transport="ws",
                     status=status) == count


def test_every_metric_is_in_the_manual(gateway):
    manual = (DOCS / "metrics.md").read_text()
    for family in metrics(gateway).values():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"| `{name}` | {family.type} |" in manual


# ---------------------------------------------------------------- the manual's examples


def shape(value):
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def learn(example, answer, known):
    """Ids of the manual stand for those that the gateway gave."""
    if isinstance(example, dict):
        for name in ("id", "request_id"):
            if isinstance(example.get(name), str) and isinstance(answer.get(name), str):
                known[example[name]] = answer[name]
        for name in example:
            learn(example[name], answer[name], known)
    elif isinstance(example, list):
        for pair in zip(example, answer):
            learn(*pair, known)


def test_each_example_of_the_manual_is_answered_as_it_says(own_gateway):
    manual = (DOCS / "admin-api.md").read_text()
    examples = re.findall(r"```http\n(GET|POST) (\S+)\n(.*?)```\n\n```json\n(.*?)```", manual, re.S)
    known, told = {}, set()
    assert chat(own_gateway)[0] == 200
    for method, path, body, expected in examples:
        for old, new in known.items():
            path, body = path.replace(old, new), body.replace(old, new)
        expected = json.loads(expected)
        status = 400 if "error" in expected else 200
        got, _, text = call(own_gateway.admin_port, method, path, body or None, ADMIN)
        answer = json.loads(text)
        assert got == status, (method, path, text)
        if "status" not in path:
            assert shape(answer) == shape(expected), (method, path, text)
        else:
            assert set(answer) == set(expected)
        learn(expected, answer, known)
        told.add(f"{method} {path.split('?')[0]}")
    for method, path in ROUTES:
        words = path.split("/")
        pattern = "/".join(r"[^/]+" if index == 1 else word for index, word in enumerate(words))
        assert any(re.fullmatch(f"{method} /admin/v1/{pattern}", each) for each in told), (method, path)


# ---------------------------------------------------------------- the commands


def command(*arguments, gateway=None, key=ADMIN, environment=None):
    more = ["--admin", f"http://127.0.0.1:{gateway.admin_port}"] if gateway else []
    env = {name: text for name, text in os.environ.items() if not name.startswith("DROVER_ADMIN")}
    if key:
        env["DROVER_ADMIN_KEY"] = key
    env.update(environment or {})
    return subprocess.run([DROVER, *arguments, *more], stdin=subprocess.DEVNULL, timeout=60,
                          capture_output=True, text=True, env=env)


def output(*arguments, gateway):
    done = command(*arguments, "--json", gateway=gateway)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_commands_say_the_same_of_a_running_gateway_and_of_its_data(own_gateway):
    account = output("account", "create", 'a "team", so', gateway=own_gateway)["id"]
    output("account", "topup", account, "3", "--currency", "CNY", gateway=own_gateway)
    key = output("key", "create", "--account", account, "--name", "web", "--models", "gpt-4.1,sim:*",
                 "--expires", "30d", "--requests-per-minute", "9", gateway=own_gateway)
    assert key["models"] == ["gpt-4.1", "sim:*"] and key["requests_per_minute"] == 9
    assert chat(own_gateway, key["key"])[0] == 200
    rotated = output("key", "rotate", key["id"], gateway=own_gateway)
    output("key", "revoke", rotated["id"], gateway=own_gateway)
    assert chat(own_gateway, rotated["key"])[0] == 401
    request = json.loads(command("usage", "--requests", gateway=own_gateway).stdout)["request_id"]

    asks = [("account", "list"), ("account", "list", "--json"), ("account", "show", account),
            ("key", "list"), ("key", "list", "--json", "--account", account),
            ("key", "show", key["id"], "--json"), ("usage",), ("usage", "--json"),
            ("usage", "--csv", "--by", "day,account,key,model"), ("usage", "--requests"),
            ("usage", "--request", request), ("usage", "--from", "2001-01-01", "--to", "2001-01-02"),
            ("account", "show", "acc_none"), ("key", "show", "../status"), ("usage", "--by", "x"),
            ("usage", "--csv", "--json"), ("key", "create"), ("account", "topup", account, "-1"),
            ("account", "topup", account, "1", "--currency", "XYZ")]
    remote = [command(*ask, gateway=own_gateway) for ask in asks]
    assert [done.returncode for done in remote] == [0] * 12 + [1, 1, 2, 2, 2, 2, 2]

    held = command("account", "list", "--data", str(own_gateway.folder / "data"))
    assert held.returncode == 1
    assert f"--admin http://127.0.0.1:{own_gateway.admin_port}" in held.stderr

    assert own_gateway.stop() == 0
    for ask, done in zip(asks, remote):
        local = own_gateway.command(*ask)
        assert (local.returncode, local.stdout, local.stderr) == (
            done.returncode, done.stdout, done.stderr), ask
    rows = list(csv.DictReader(io.StringIO(remote[8].stdout)))
    assert rows[0]["account_name"] == 'a "team", so' and rows[0]["requests"] == "1"
    assert rows[0]["model"] == "gpt-4.1" and float(rows[0]["cost"]) > 0


def put_total(gateway, account, model):
    """A row as books of before have it, when any name that was asked for got one."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "data" / "drover.db")) as books, books:
        books.execute("INSERT INTO total VALUES (?, 20000, 'key_demo', ?, 1, 0, 0, 0, 0, 0)",
                      (account, model))


def test_a_name_that_a_customer_made_up_cannot_command_the_terminal(own_gateway):
    put_total(own_gateway, "acc_x", "\x1b]0;gone\x07\u009b2J\r\nü")
    shown = command("usage", gateway=own_gateway).stdout
    assert "?]0;gone??2J??ü" in shown.splitlines()[1]
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown.replace("\n", ""))


def test_a_name_that_a_customer_made_up_is_no_formula_of_a_spreadsheet(own_gateway):
    account = output("account", "create", '=cmd|"/C calc",A0', gateway=own_gateway)["id"]
    output("account", "topup", account, "3", gateway=own_gateway)
    key = output("key", "create", "--account", account, "--name", "@SUM(1)", gateway=own_gateway)
    assert chat(own_gateway, key["key"])[0] == 200
    models = ["=1", "+1", "-1", "@a", "\ta", "\n=1", "a=1", "'=1", " =1"]
    for model in models:
        put_total(own_gateway, "acc_x", model)
    shown = command("usage", "--csv", "--by", "account,key,model", gateway=own_gateway).stdout
    rows = list(csv.DictReader(io.StringIO(shown, newline="")))
    named = [row for row in rows if row["account"] == account]
    assert [(row["account_name"], row["key_name"], row["model"]) for row in named] == [
        ("'=cmd|\"/C calc\",A0", "'@SUM(1)", "gpt-4.1")]
    assert {row["model"] for row in rows if row["account"] == "acc_x"} == {
        "'=1", "'+1", "'-1", "'@a", "'\ta", "'\n=1", "a=1", " =1"}


def test_what_can_go_wrong_on_the_way_is_said(gateway):
    wrong = command("account", "list", gateway=gateway, key="nonsense")
    assert wrong.returncode == 1 and "admin key" in wrong.stderr and "nonsense" not in wrong.stderr
    none = command("account", "list", gateway=gateway, key=None)
    assert none.returncode == 1 and "DROVER_ADMIN_KEY" in none.stderr
    nobody = command("account", "list", "--admin", f"http://127.0.0.1:{free_port()}")
    assert nobody.returncode == 1 and "refused" in nobody.stderr.lower()
    for ask in (("usage",), ("usage", "--csv"), ("usage", "--json"), ("account", "list", "--json")):
        nothing = command(*ask, "--admin", f"http://127.0.0.1:{free_port()}")
        assert (nothing.returncode, nothing.stdout) == (1, "")
    front = command("account", "list", "--admin", gateway.url)
    assert front.returncode == 1
    assert command("account", "list", "--admin", "ftp://x").returncode == 1
    assert command("account", "list", "--data", "x", gateway=gateway).returncode == 2
    environment = {"DROVER_ADMIN_URL": f"http://127.0.0.1:{gateway.admin_port}"}
    assert command("account", "list", environment=environment).returncode == 0


@pytest.mark.parametrize("form", ["apart", "joined"])
def test_an_admin_key_does_not_stay_in_the_process_list(form):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        key = ["--admin-key", "my-secret"] if form == "apart" else ["--admin-key=my-secret"]
        process = subprocess.Popen([DROVER, "account", "list", "--admin", f"http://127.0.0.1:{port}",
                                    *key], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        peer, _ = listener.accept()
        asked = peer.recv(65536)
        listed = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
        peer.close()
    process.kill()
    process.wait(timeout=10)
    assert b"Bearer my-secret\r\n" in asked and b"my-secret" not in listed and b"***" in listed
