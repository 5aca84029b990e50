"""The books: every answer that a client saw end is in them once, and the balance is what it must be."""

import json
import urllib.request

import pytest

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
