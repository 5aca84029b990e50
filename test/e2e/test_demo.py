"""The demo's models: each is asked in the API that its provider speaks, by the same gateway and simulation."""

import json
import urllib.request

import pytest

from configured import Client

# Of the brief, in dollars per million tokens; and what the provider of each says to too many requests.
MODELS = {
    "gpt-4.1": (8, "Rate limit reached"),
    "claude-sonnet-4.5": (15, "would exceed your account's rate limit"),
    "gemini-2.5-flash": (2.5, "You exceeded your current quota"),
    "deepseek-v3.2": (0.42, "Rate limit reached"),
}


@pytest.fixture
def client(gateway):
    with Client(gateway) as connected:
        yield connected


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_each_model_says_the_same_at_its_own_price(client, model, stream):
    told = client.chat(model, stream=stream, max_tokens=12)
    assert told.status == 200 and told.headers["x-drover-target"] == "sim"
    assert told.text == client.chat(max_tokens=12).text
    receipt = client.receipt(told.request_id)
    assert receipt["model"] == model and receipt["price"]["input"] == receipt["price"]["output"] == MODELS[model][0]
    assert receipt["usage"]["completion_tokens"] == 12 and receipt["usage_source"] == "reported"
    assert round(receipt["cost"] * 10**9) == receipt["usage"]["total_tokens"] * round(MODELS[model][0] * 1000)


@pytest.mark.parametrize("model", MODELS)
def test_faults_are_provoked_in_each_api(client, model):
    told = client.chat(model, fault="status=429,retry_after=2")
    assert told.status == 429 and told.error["code"] == "upstream_rate_limited"
    assert told.headers["retry-after"] == "2" and MODELS[model][1] in told.error["message"], told.error
    cut = client.chat(model, stream=True, fault="cut_mid")
    assert cut.error["code"] == "upstream_error" and cut.text and not cut.is_done
    broken = client.chat(model, fault="bad_json")
    assert broken.status == 502 and broken.error["code"] == "upstream_error"
    own = client.chat(model, stream=True, fault="error_event")
    assert own.error["code"] in ("upstream_error", "no_healthy_upstream") and own.text
    unknown = client.chat(model, fault="nonsense")
    assert unknown.status == 400 and "nonsense" in unknown.error["message"]


def test_what_anthropic_cannot_do_shows_that_it_is_asked(client):
    assert client.chat("claude-sonnet-4.5", n=2).error["param"] == "n"
    assert len(client.chat("gemini-2.5-flash", n=2).chunks[0]["choices"]) == 2
    assert client.chat("claude-sonnet-4.5", seed=7).headers["x-drover-dropped"] == "seed"
    assert "x-drover-dropped" not in client.chat("gemini-2.5-flash", seed=7).headers


def test_models_are_listed_with_the_official_prices(gateway):
    asked = urllib.request.Request(gateway.url + "/v1/models", headers={"Authorization": "Bearer sk-drover-demo"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        listed = {entry["id"]: entry["pricing"] for entry in json.load(answer)["data"]}
    assert {model: listed[model]["input"] for model in MODELS} == {model: MODELS[model][0] for model in MODELS}
