"""The official OpenAI SDK for Python, with only base_url and api_key changed: once as it is called from
plain code and once from asyncio."""

import asyncio
import json

import openai
import pytest

from configured import Client

MODELS = ["gpt-4.1", "claude-sonnet-4.5", "gemini-2.5-flash", "deepseek-v3.2"]
KEY = "sk-drover-demo"
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
OTHER_TOOL = {
    "type": "function",
    "function": {
        "name": "time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}},
                       "required": ["zone"]},
    },
}
USAGE = {"include_usage": True}
# In the middle, so that a stream cannot end before it is left.
STALL = {"x-sim-fault": "stall_mid"}


class PlainClient:
    """What the tests ask of either client: whole answers, and streams as lists of chunks."""

    def __init__(self, gateway, key=KEY):
        self.sdk = openai.OpenAI(base_url=gateway.url + "/v1", api_key=key, max_retries=0)

    def chat(self, messages=ASK, model="gpt-4.1", **wishes):
        answer = self.sdk.chat.completions.create(model=model, messages=messages, **wishes)
        return list(answer) if wishes.get("stream") else answer

    def raw(self, messages=ASK, model="gpt-4.1", **wishes):
        raw = self.sdk.chat.completions.with_raw_response.create(
            model=model, messages=messages, **wishes)
        return raw.headers, raw.parse()

    def models(self):
        return [model.id for model in self.sdk.models.list()]

    def leave(self, seen):
        """Leaves a stream when so many pieces of text have come; gives the request's id."""
        with self.sdk.chat.completions.with_streaming_response.create(
                model="gpt-4.1", messages=ASK, stream=True, extra_headers=STALL) as raw:
            for chunk in raw.parse():
                seen -= bool(chunk.choices[0].delta.content)
                if seen == 0:
                    return raw.headers["x-request-id"]


class AsyncClient:
    """The same by asyncio."""

    def __init__(self, gateway, key=KEY):
        self.options = {"base_url": gateway.url + "/v1", "api_key": key, "max_retries": 0}

    def run(self, what):
        async def inside():
            async with openai.AsyncOpenAI(**self.options) as sdk:
                return await what(sdk)
        return asyncio.run(inside())

    def chat(self, messages=ASK, model="gpt-4.1", **wishes):
        async def what(sdk):
            answer = await sdk.chat.completions.create(model=model, messages=messages, **wishes)
            return [chunk async for chunk in answer] if wishes.get("stream") else answer
        return self.run(what)

    def raw(self, messages=ASK, model="gpt-4.1", **wishes):
        async def what(sdk):
            raw = await sdk.chat.completions.with_raw_response.create(
                model=model, messages=messages, **wishes)
            return raw.headers, raw.parse()
        return self.run(what)

    def models(self):
        async def what(sdk):
            return [model.id async for model in sdk.models.list()]
        return self.run(what)

    def leave(self, seen):
        async def what(sdk):
            left = seen
            async with sdk.chat.completions.with_streaming_response.create(
                    model="gpt-4.1", messages=ASK, stream=True, extra_headers=STALL) as raw:
                async for chunk in await raw.parse():
                    left -= bool(chunk.choices[0].delta.content)
                    if left == 0:
                        return raw.headers["x-request-id"]
        return self.run(what)


@pytest.fixture(params=[PlainClient, AsyncClient], ids=["plain", "async"])
def kind(request):
    return request.param


@pytest.fixture
def client(gateway, kind):
    return kind(gateway)


def receipt(gateway, request_id):
    """What is kept of an exchange."""
    with Client(gateway, KEY) as client:
        return client.receipt(request_id)


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def calls_of(chunks):
    """The tool calls of a stream as (id, name, arguments)."""
    calls = {}
    for chunk in chunks:
        for piece in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            call = calls.setdefault(piece.index, ["", "", ""])
            call[0] = call[0] or piece.id
            call[1] += piece.function.name or ""
            call[2] += piece.function.arguments or ""
    return [tuple(calls[index]) for index in sorted(calls)]


# --- chat and streams


@pytest.mark.parametrize("model", MODELS)
def test_stream_gives_the_text_of_the_whole_answer(client, model):
    # The text of one model is read to its end; a demo's stream takes its time.
    wish = {} if model == MODELS[0] else {"max_tokens": 12}
    whole = client.chat(model=model, **wish)
    pieces = client.chat(model=model, stream=True, **wish)
    assert text_of(pieces) == whole.choices[0].message.content
    assert len(pieces) > 5
    assert pieces[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert whole.choices[0].finish_reason == ("length" if wish else "stop")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_max_tokens_cuts_the_answer(client):
    whole = client.chat(max_tokens=3)
    assert whole.choices[0].finish_reason == "length" and whole.usage.completion_tokens == 3
    assert client.chat(max_tokens=3, stream=True)[-1].choices[0].finish_reason == "length"


def test_the_models_are_listed(client):
    assert set(MODELS) <= set(client.models())


def test_the_headers_tell_who_answered_and_what_it_cost(client, gateway):
    headers, answer = client.raw()
    assert headers["x-drover-target"] == "sim" and float(headers["x-drover-cost"]) > 0
    kept = receipt(gateway, headers["x-request-id"])
    assert kept["usage"]["total_tokens"] == answer.usage.total_tokens
    assert kept["usage_source"] == "reported" and not kept["cancelled"]


# --- usage


def test_usage_comes_in_a_stream_only_when_asked(client):
    whole = client.chat(max_tokens=8)
    asked = client.chat(max_tokens=8, stream=True, stream_options=USAGE)
    assert asked[-1].usage == whole.usage and asked[-1].choices == []
    assert all(chunk.usage is None and chunk.choices for chunk in asked[:-1])
    for wish in ({}, {"stream_options": {"include_usage": False}}):
        silent = client.chat(max_tokens=8, stream=True, **wish)
        assert all(chunk.usage is None and chunk.choices for chunk in silent)


def test_usage_is_estimated_where_none_is_reported(client):
    wish = {"max_tokens": 8, "extra_headers": {"x-sim-fault": "no_usage"}}
    headers, whole = client.raw(**wish)
    assert headers["x-drover-usage"] == "estimated"
    assert whole.usage.total_tokens > 0
    chunks = client.chat(stream=True, stream_options=USAGE, **wish)
    assert chunks[-1].usage == whole.usage and chunks[-1].choices == []
    assert chunks[-1].id == chunks[0].id


# --- tools


def test_a_forced_tool_is_called(client):
    wish = {"tools": [TOOL, OTHER_TOOL],
            "tool_choice": {"type": "function", "function": {"name": "time"}}}
    (call,) = client.chat(**wish).choices[0].message.tool_calls
    assert call.function.name == "time" and "zone" in json.loads(call.function.arguments)
    ((_, name, arguments),) = calls_of(client.chat(stream=True, **wish))
    assert (name, arguments) == ("time", call.function.arguments)


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_tool_is_called_and_its_result_answered(client, choice):
    first = client.chat(tools=[TOOL], tool_choice=choice).choices[0]
    call = first.message.tool_calls[0]
    assert first.finish_reason == "tool_calls"
    assert call.function.name == "weather" and "city" in json.loads(call.function.arguments)
    second = client.chat(
        ASK + [first.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}],
        tools=[TOOL]).choices[0]
    assert second.message.content and not second.message.tool_calls
    assert second.finish_reason == "stop"


def test_several_tools_are_called_in_one_stream(client):
    chunks = client.chat([{"role": "user", "content": "weather and time, both please"}],
                         tools=[TOOL, OTHER_TOOL], stream=True)
    calls = calls_of(chunks)
    assert [name for _, name, _ in calls] == ["weather", "time"]
    assert len({identity for identity, _, _ in calls}) == 2
    assert all(isinstance(json.loads(arguments), dict) for _, _, arguments in calls)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_response_format_is_obeyed(client):
    schema = {"type": "object", "properties": {"name": {"type": "string"},
                                               "age": {"type": "integer"}},
              "required": ["name", "age"], "additionalProperties": False}
    wish = {"response_format": {"type": "json_schema", "json_schema": {
        "name": "person", "strict": True, "schema": schema}}}
    person = json.loads(client.chat(**wish).choices[0].message.content)
    assert isinstance(person["name"], str) and isinstance(person["age"], int)
    assert json.loads(text_of(client.chat(stream=True, **wish))) == person
    free = client.chat(response_format={"type": "json_object"})
    assert isinstance(json.loads(free.choices[0].message.content), dict)


# --- errors


@pytest.mark.parametrize("is_streamed", [False, True])
def test_errors_have_their_classes(client, kind, gateway, is_streamed):
    with pytest.raises(openai.AuthenticationError) as refused:
        kind(gateway, "sk-nonsense").chat(stream=is_streamed)
    assert refused.value.code == "malformed_api_key"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat(model="gpt-17", stream=is_streamed)
    assert unknown.value.code == "model_not_found" and unknown.value.param == "model"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat(temperature=7, stream=is_streamed)
    assert wrong.value.param == "temperature"


def test_the_limited_key_gets_five_requests_and_then_429(own_gateway, kind):
    limited = kind(own_gateway, "sk-drover-demo-limited")
    for left in (4, 3, 2, 1, 0):
        headers, _ = limited.raw()
        assert headers["x-ratelimit-remaining-requests"] == str(left)
    for is_streamed in (False, True):
        with pytest.raises(openai.RateLimitError) as refused:
            limited.chat(stream=is_streamed)
        assert refused.value.code == "rate_limit_exceeded"
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60


FAULTS = [
    ("status=500", openai.InternalServerError, 502, "upstream_error"),
    ("status=503", openai.InternalServerError, 503, "no_healthy_upstream"),
    ("status=429,retry_after=2", openai.RateLimitError, 429, "upstream_rate_limited"),
    ("status=401", openai.InternalServerError, 502, "upstream_error"),
    ("cut", openai.InternalServerError, 502, "upstream_error"),
    ("garbage", openai.InternalServerError, 502, "upstream_error"),
    ("bad_json", openai.InternalServerError, 502, "upstream_error"),
]


@pytest.mark.parametrize("fault,error,status,code", FAULTS)
def test_a_provider_fault_is_told_and_the_next_request_served(gateway, fault, error, status, code):
    client = PlainClient(gateway)
    with pytest.raises(error) as failed:
        client.chat(extra_headers={"x-sim-fault": fault})
    assert (failed.value.status_code, failed.value.code) == (status, code)
    assert client.chat().choices


@pytest.mark.parametrize("fault", ["cut_mid", "error_event", "bad_json"])
def test_a_fault_within_a_stream_ends_it_with_one_error(client, fault):
    with pytest.raises(openai.APIError) as failed:
        client.chat(stream=True, extra_headers={"x-sim-fault": fault})
    assert failed.value.code == "upstream_error" and failed.value.type == "server_error"
    assert client.chat().choices


# --- leaving


def test_an_aborted_stream_is_charged_for_the_tokens_so_far(client, gateway):
    whole = client.chat()
    kept = receipt(gateway, client.leave(5))
    assert kept["cancelled"] and kept["usage_source"] == "estimated" and kept["cost"] > 0
    assert 0 < kept["usage"]["completion_tokens"] < whole.usage.completion_tokens
    assert client.chat().choices
