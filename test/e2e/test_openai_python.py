"""The official OpenAI SDK for Python, with only base_url and api_key changed."""

import openai
import pytest

MODELS = ["gpt-4.1", "claude-sonnet-4.5", "gemini-2.5-flash", "deepseek-v3.2"]
ASK = [{"role": "user", "content": "Xin chào, how are you?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
def client(gateway):
    return openai.OpenAI(base_url=gateway.url + "/v1", api_key="sk-drover-demo", max_retries=0)


@pytest.mark.parametrize("model", MODELS)
def test_stream_gives_the_text_of_the_whole_answer(client, model):
    whole = client.chat.completions.create(model=model, messages=ASK)
    stream = client.chat.completions.create(model=model, messages=ASK, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 2
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_usage_comes_in_a_stream_only_when_asked(client):
    silent = list(client.chat.completions.create(model="gpt-4.1", messages=ASK, stream=True))
    asked = list(client.chat.completions.create(
        model="gpt-4.1", messages=ASK, stream=True, stream_options={"include_usage": True}))
    assert all(chunk.usage is None and chunk.choices for chunk in silent)
    assert asked[-1].usage.total_tokens > 0 and asked[-1].choices == []


def test_usage_is_estimated_where_none_is_reported(client):
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4.1", messages=ASK, extra_headers={"x-sim-fault": "no_usage"})
    assert raw.headers["x-drover-usage"] == "estimated"
    assert raw.parse().usage.total_tokens > 0
    chunks = list(client.chat.completions.create(
        model="gpt-4.1", messages=ASK, stream=True, stream_options={"include_usage": True},
        extra_headers={"x-sim-fault": "no_usage"}))
    assert chunks[-1].usage.total_tokens > 0


def test_a_tool_is_called_and_its_result_answered(client):
    first = client.chat.completions.create(
        model="gpt-4.1", messages=ASK, tools=[TOOL], tool_choice="required")
    call = first.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and "city" in call.function.arguments
    second = client.chat.completions.create(
        model="gpt-4.1", tools=[TOOL],
        messages=ASK + [first.choices[0].message,
                        {"role": "tool", "tool_call_id": call.id, "content": "sunny"}])
    assert second.choices[0].message.content


def test_errors_have_their_classes(client, gateway):
    stranger = openai.OpenAI(base_url=gateway.url + "/v1", api_key="sk-nonsense", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        stranger.chat.completions.create(model="gpt-4.1", messages=ASK)
    assert refused.value.code == "malformed_api_key"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-17", messages=ASK)
    assert unknown.value.code == "model_not_found" and unknown.value.param == "model"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="gpt-4.1", messages=ASK, temperature=7)
    assert wrong.value.param == "temperature"


def test_an_aborted_stream_leaves_the_gateway_working(client):
    stream = client.chat.completions.create(model="gpt-4.1", messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    assert client.chat.completions.create(model="gpt-4.1", messages=ASK).choices


def test_the_limited_key_gets_five_requests_and_then_429(own_gateway):
    limited = openai.OpenAI(base_url=own_gateway.url + "/v1", api_key="sk-drover-demo-limited",
                            max_retries=0)
    for left in (4, 3, 2, 1, 0):
        raw = limited.chat.completions.with_raw_response.create(model="gpt-4.1", messages=ASK)
        assert raw.headers["x-ratelimit-remaining-requests"] == str(left)
    with pytest.raises(openai.RateLimitError) as refused:
        limited.chat.completions.create(model="gpt-4.1", messages=ASK)
    assert refused.value.code == "rate_limit_exceeded"
    assert int(refused.value.response.headers["retry-after"]) >= 1


FAULTS = [
    ("status=500", openai.InternalServerError, 502, "upstream_error"),
    ("status=503", openai.InternalServerError, 503, "no_healthy_upstream"),
    ("status=429,retry_after=2", openai.RateLimitError, 429, "upstream_rate_limited"),
    ("status=401", openai.InternalServerError, 502, "upstream_error"),
    ("cut", openai.InternalServerError, 502, "upstream_error"),
    ("garbage", openai.InternalServerError, 502, "upstream_error"),
    ("bad_json", openai.InternalServerError, 502, "upstream_error"),
]


@pytest.mark.parametrize("fault,kind,status,code", FAULTS)
def test_a_provider_fault_is_told_and_the_next_request_served(client, fault, kind, status, code):
    with pytest.raises(kind) as failed:
        client.chat.completions.create(model="gpt-4.1", messages=ASK,
                                       extra_headers={"x-sim-fault": fault})
    assert (failed.value.status_code, failed.value.code) == (status, code)
    assert client.chat.completions.create(model="gpt-4.1", messages=ASK).choices


@pytest.mark.parametrize("fault", ["cut_mid", "error_event", "bad_json"])
def test_a_fault_within_a_stream_ends_it_with_one_error(client, fault):
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="gpt-4.1", messages=ASK, stream=True,
                                            extra_headers={"x-sim-fault": fault}))
    assert client.chat.completions.create(model="gpt-4.1", messages=ASK).choices
