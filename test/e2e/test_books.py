"""The books: every answer that a client saw end is in them once, and the balance is what it must be."""

import contextlib
import csv
import io
import json
import sqlite3
import urllib.error
import urllib.request

import pytest

ADMIN = "sk-drover-admin-demo"

ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "count"}]}


def post(gateway, body):
    request = urllib.request.Request(
        gateway.url + "/v1/chat/completions", json.dumps(body).encode(),
        {"Authorization": "Bearer sk-drover-demo", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["x-request-id"], answer.headers["x-drover-cost"], answer.read()


def get(gateway, path):
    request = urllib.request.Request(gateway.url + path,
                                     headers={"Authorization": "Bearer sk-drover-demo"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def refused(call, *arguments):
    """Status, headers and error of a request that must be refused."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(*arguments)
    with caught.value as answer:
        return answer.code, answer.headers, json.load(answer)["error"]


def admin_text(gateway, path):
    request = urllib.request.Request(f"http://127.0.0.1:{gateway.admin_port}{path}",
                                     headers={"Authorization": f"Bearer {ADMIN}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def remote(gateway, *arguments):
    """A command that asks the running gateway."""
    return gateway.run(*arguments, "--admin", f"http://127.0.0.1:{gateway.admin_port}",
                       "--admin-key", ADMIN)


def database(gateway):
    return contextlib.closing(sqlite3.connect(gateway.folder / "data" / "drover.db",
                                              isolation_level=None))


@pytest.mark.threads
def test_a_receipt_tells_the_cost_that_the_account_paid(own_gateway):
    before = get(own_gateway, "/v1/account")["credits"]
    request_id, cost, _ = post(own_gateway, ASK)
    receipt = get(own_gateway, f"/v1/receipts/{request_id}")
    assert receipt["request_id"] == request_id and receipt["status"] == 200
    assert float(cost) == receipt["cost"] > 0
    assert get(own_gateway, "/v1/account")["credits"] == pytest.approx(before - receipt["cost"])
    assert [model["id"] for model in get(own_gateway, "/v1/models")["data"]][0] == "gpt-4.1"


@pytest.mark.threads
@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_killed_gateway_has_lost_and_doubled_nothing(own_gateway, is_streamed):
    ask = {**ASK, "stream": is_streamed, "max_tokens": 4}  # the demo types slowly
    ended = [post(own_gateway, ask)[0] for _ in range(20)]
    own_gateway.kill()
    listed = own_gateway.command("usage", "--requests", "--json")
    assert listed.returncode == 0, listed.stderr
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    ids = [row["request_id"] for row in rows]
    assert len(ids) == len(set(ids)) and set(ended) <= set(ids)
    own_gateway.start()
    paid = sum(row["cost"] for row in rows)
    assert get(own_gateway, "/v1/account")["credits"] == pytest.approx(1000 - paid, abs=1e-9)


# ---------------------------------------------------------------- usage by day and model


def test_models_that_nobody_has_are_one_row_of_the_totals(own_gateway):
    post(own_gateway, ASK)
    ids = {}
    for name in ("made-up", "made-up-too", "x" * 251, "sim:no-such-word"):
        status, headers, _ = refused(post, own_gateway, {**ASK, "model": name})
        assert status in (400, 404)
        ids[headers["x-request-id"]] = name
    assert refused(post, own_gateway, {**ASK, "messages": 5})[0] == 400  # names none that is read

    usage = get(own_gateway, "/v1/account/usage")
    assert {row["model"]: row["requests"] for row in usage["days"]} == {"gpt-4.1": 1, None: 5}
    assert usage["total"]["requests"] == 6
    assert usage["has_more"] is False and usage["next"] is None
    for request_id, name in ids.items():
        assert get(own_gateway, f"/v1/receipts/{request_id}")["model"] == name

    done = remote(own_gateway, "usage", "--requests", "--model", "made-up-too")
    assert [json.loads(line)["model"] for line in done.stdout.splitlines()] == ["made-up-too"]
    rows = json.loads(remote(own_gateway, "usage", "--json").stdout)
    assert {row["model"]: row["requests"] for row in rows} == {"gpt-4.1": 1, None: 5}
    table = remote(own_gateway, "usage").stdout.splitlines()
    assert table[1].split()[:2] == ["-", "5"] and table[2].split()[:2] == ["gpt-4.1", "1"]
    rows = csv.DictReader(io.StringIO(remote(own_gateway, "usage", "--csv").stdout))
    assert [row["model"] for row in rows] == ["", "gpt-4.1"]

    own_gateway.kill()  # the totals are made again from the records
    own_gateway.start()
    assert get(own_gateway, "/v1/account/usage")["days"] == usage["days"]


def test_usage_comes_in_pages_however_many_rows_the_books_have(own_gateway):
    account = get(own_gateway, "/v1/account")["id"]
    today = get(own_gateway, "/v1/account/usage")["to"][:10]
    names = sorted(f"{number:04}" + "\x01" * 247 for number in range(3000))
    with database(own_gateway) as books:
        day = books.execute("SELECT unixepoch(?) / 86400 - 1", (today,)).fetchone()[0]
        books.execute("BEGIN")
        books.executemany("INSERT INTO total VALUES (?, ?, 'key_demo', ?, 1, 2, 3, 5, 0, 7)",
                          [(account, day, name) for name in names])
        books.execute("COMMIT")
    seen, pages, after = [], 0, ""
    while after is not None:
        page = get(own_gateway, "/v1/account/usage" + (after and f"?after={after}"))
        assert page["total"]["requests"] == 3000 and page["total"]["total_tokens"] == 15000
        assert page["has_more"] is (page["next"] is not None)
        seen += [row["model"] for row in page["days"]]
        after = page["next"]
        pages += 1
    assert seen == names and pages > 1
    assert get(own_gateway, "/v1/account/usage?after=9999")["days"] == []
    for wrong in ("x", "-1", ""):
        status, _, error = refused(get, own_gateway, f"/v1/account/usage?after={wrong}")
        assert (status, error["code"], error["param"]) == (400, "invalid_request", "after")


def test_a_look_that_fails_is_logged_under_its_id_and_counted(own_gateway):
    with database(own_gateway) as books:
        books.execute("DROP TABLE total")
    status, headers, error = refused(get, own_gateway, "/v1/account/usage")
    assert (status, error["code"]) == (500, "internal_error")
    told = [line for line in own_gateway.log().splitlines() if headers["x-request-id"] in line]
    assert len(told) == 1 and "lookup.failed" in told[0] and "no such table" in told[0]
    assert 'drover_refusals_total{code="internal_error"} 1\n' in admin_text(own_gateway, "/metrics")
    status, headers, _ = refused(admin_text, own_gateway, "/admin/v1/usage")
    assert status == 500 and f"admin.failed id={headers['x-request-id']}" in own_gateway.log()


# ---------------------------------------------------------------- books that cannot be written


def test_books_that_lack_the_latest_requests_say_so(own_gateway):
    known = post(own_gateway, ASK)[0]
    assert get(own_gateway, f"/v1/receipts/{known}")["status"] == 200
    with database(own_gateway) as books:
        books.execute("BEGIN IMMEDIATE")  # nobody else can write while this is open
        latest = post(own_gateway, ASK)[0]
        for path in ("/v1/account/usage", f"/v1/receipts/{latest}"):
            status, headers, error = refused(get, own_gateway, path)
            assert (status, error["code"], error["type"]) == (503, "storage_full", "server_error")
            assert "complete" in error["message"] and int(headers["Retry-After"]) > 0
        assert get(own_gateway, f"/v1/receipts/{known}")["status"] == 200
        status, headers, error = refused(admin_text, own_gateway, "/admin/v1/usage")
        assert (status, error["code"]) == (503, "storage_full") and int(headers["Retry-After"]) > 0
        for ask in (("usage", "--json"), ("usage", "--request", latest)):
            done = remote(own_gateway, *ask)
            assert (done.returncode, done.stdout) == (1, ""), done
            assert "not complete" in done.stderr
        books.execute("ROLLBACK")
    assert get(own_gateway, f"/v1/receipts/{latest}")["status"] == 200
    assert get(own_gateway, "/v1/account/usage")["total"]["requests"] == 2
