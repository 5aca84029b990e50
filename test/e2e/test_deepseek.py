"""What is sent to DeepSeek in the place of what only OpenAI takes, and an answer that DeepSeek breaks off."""

import json

import pytest

from configured import Client, ConfiguredGateway, Simulation
from four_models import nano
from rig import Provider, answer_always
from socket_chat import ask, open_socket

CONFIG = """\
workers: 1
providers:
  one: {{base_url: "{one}", api_keys: ["sk-one"]}}
  two: {{base_url: "{two}", api_keys: ["sk-two"]}}
models:
  alone: {{price: {{input: 2, output: 8}}, targets: [{{provider: one, model: deepseek-chat}}]}}
  backed: {{price: {{input: 2, output: 8}},
            targets: [{{provider: one, model: deepseek-chat}}, {{provider: two, model: gpt-4.1}}]}}
  "deepseek-*": {{price: {{input: 2, output: 8}}, targets: [{{provider: one, model: "*"}}]}}
"""
VALUES_MAX = 262144
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SCHEMA = {"type": "object", "properties": {"a": {"const": 1}}}
ASKED = {
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [CALL],
         "reasoning_details": [{"type": "reasoning.encrypted", "format": "anthropic-claude-v1", "data": "x"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"}],
    "tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object"}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}},
    "max_completion_tokens": 9, "reasoning_effort": "none", "seed": 1, "temperature": 0.5}


@pytest.fixture
def opened(tmp_path):
    """What opens a gateway with two providers, given their addresses."""
    gateways = []

    def open_gateway(one, two):
        gateways.append(ConfiguredGateway(tmp_path, CONFIG.format(one=one, two=two)).start())
        return gateways[-1]
    yield open_gateway
    for gateway in gateways:
        assert gateway.stop() == 0, gateway.log()


class Listener:
    """A provider that keeps what it is asked."""

    def __init__(self):
        self.asked = []
        self.provider = Provider(self.serve)

    def serve(self, visit):
        while (asked := visit.ask()) is not None:
            self.asked.append(asked)
            visit.send_json()


def test_a_request_is_written_in_deepseeks_words_and_the_next_target_gets_its_own(opened):
    one, two = Listener(), Listener()
    gateway = opened(one.provider.url, two.provider.url)
    with Client(gateway, gateway.key) as client:
        answer = client.chat("backed", **ASKED)
        assert answer.status == 200 and answer.headers["x-drover-target"] == "one"
        assert set(answer.headers["x-drover-dropped"].split(", ")) == {
            "messages.reasoning_details", "tools.function.strict", "seed"}
        # More than one answer: the next one can.
        other = client.chat("backed", n=2, **ASKED)
        assert other.status == 200 and other.headers["x-drover-target"] == "two"
        refused = client.chat("alone", n=2, **ASKED)
        assert refused.status == 400 and refused.error["param"] == "n" and "DeepSeek" in refused.error["message"]
        plain = {"messages": ASKED["messages"][1:2], "max_tokens": 9, "own": [1]}
        assert "x-drover-dropped" not in client.chat("alone", **plain).headers
    first, second = one.asked
    instruction = first["messages"].pop(0)
    assert instruction["role"] == "system" and instruction["content"].endswith(json.dumps(SCHEMA, separators=(",", ":")))
    assert first == {
        "model": "deepseek-chat", "stream": False,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": " "},
            {"role": "tool", "tool_call_id": "c1", "content": "1"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "response_format": {"type": "json_object"},
        "max_tokens": 9, "thinking": {"type": "disabled"}, "temperature": 0.5}
    assert second == {"model": "deepseek-chat", "stream": False, **plain}
    (passed,) = two.asked
    assert {name: passed[name] for name in ASKED if name != "messages"} == {
        name: ASKED[name] for name in ASKED if name != "messages"} and passed["n"] == 2


def test_a_model_family_is_deepseeks_by_the_name_that_is_asked(opened):
    one = Listener()
    gateway = opened(one.provider.url, "http://127.0.0.1:1/v1")
    with Client(gateway, gateway.key) as client:
        answer = client.chat("deepseek-chat", **ASKED)
        assert answer.status == 200 and "seed" in answer.headers["x-drover-dropped"]
        assert "x-drover-dropped" not in client.chat("deepseek-other", seed=1).headers
    first, second = one.asked
    assert first["response_format"] == {"type": "json_object"} and first["model"] == "deepseek-chat"
    assert second["seed"] == 1 and second["model"] == "deepseek-other"


def test_a_body_that_grows_beyond_the_limit_in_deepseeks_words_is_too_large(opened):
    one = Listener()
    gateway = opened(one.provider.url, "http://127.0.0.1:1/v1")
    wish = {"response_format": {"type": "json_schema", "json_schema": {}}}
    with Client(gateway, gateway.key) as client:
        # Names count as values do: around the array are some 20, the message that is added has 5.
        statuses = [client.chat("alone", own=[1] * count, **wish).status
                    for count in range(VALUES_MAX - 30, VALUES_MAX - 15)]
    assert sorted(set(statuses), key=statuses.index) == [200, 413, 400], statuses


def test_a_frame_whose_body_is_beyond_the_limit_is_refused_before_it_is_accepted(opened):
    """`stream` is put into the body, so that it has two values more than its frame; DeepSeek's words have to be found in it."""
    provider = Provider(answer_always)
    gateway = opened(provider.url, "http://127.0.0.1:1/v1")
    frame = {"model": "alone", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 9}
    told = []
    with open_socket(gateway, gateway.key) as socket:
        for count in range(VALUES_MAX - 25, VALUES_MAX - 10):
            told.append(ask(socket, {**frame, "own": [1] * count}))
    codes = [each.error and each.error["code"] for each in told]
    assert sorted(set(codes), key=codes.index) == [None, "invalid_request"], codes
    assert all("accepted" not in each.frames[0] for each in told if each.error)
    provider.close()


def chunk(delta, finish=None, **more):
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "deepseek-v4-flash",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], **more}


FINISH = "insufficient_system_resource"
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "prompt_cache_hit_tokens": 0,
         "prompt_cache_miss_tokens": 10}
WHOLE = chunk(None)
WHOLE["choices"] = [{"index": 0, "message": {"role": "assistant", "content": "ha"}, "finish_reason": FINISH}]


@pytest.fixture
def breaking(tmp_path):
    """A provider that breaks its answers off, as a stream or whole."""
    running = []

    def start(is_stream):
        replay = tmp_path / "broken"
        events = (chunk({"role": "assistant", "content": "ha"}, usage=None), chunk({"content": ""}, FINISH, usage=USAGE))
        replay.write_text("".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
                          if is_stream else json.dumps({**WHOLE, "usage": USAGE}))
        running.append(Simulation("--replay", str(replay)))
        return f"http://127.0.0.1:{running[-1].port}/v1"
    yield start
    for simulation in running:
        simulation.stop()


def check_charge(client, request_id, transport):
    receipt = client.receipt(request_id)
    assert receipt["usage_source"] == "reported" and receipt["usage"]["total_tokens"] == 12
    assert nano(receipt["cost"]) == 10 * 2000 + 2 * 8000
    assert receipt["status"] == 503 and receipt["transport"] == transport


def test_a_whole_answer_that_was_broken_off_comes_from_the_next_target(opened, breaking):
    two = Listener()
    gateway = opened(breaking(False), two.provider.url)
    with Client(gateway, gateway.key) as client:
        answer = client.chat("backed")
        assert answer.status == 200 and answer.text == "done"
        receipt = client.receipt(answer.request_id)
        assert receipt["target"] == "two" and receipt["usage"]["total_tokens"] == 15
        refused = client.chat("alone")
        assert refused.status == 503 and refused.error["code"] == "no_healthy_upstream"
        assert FINISH in refused.error["message"] and refused.headers["retry-after"] == "1"
        assert client.receipt(refused.request_id)["cost"] == 0


def test_a_stream_that_was_broken_off_ends_in_an_error_and_is_charged(opened, breaking):
    gateway = opened(breaking(True), "http://127.0.0.1:1/v1")
    with Client(gateway, gateway.key) as client:
        answer = client.chat("backed", stream=True, stream_options={"include_usage": True})
        assert answer.status == 200 and answer.text == "ha" and not answer.is_done
        assert answer.error["code"] == "no_healthy_upstream" and FINISH in answer.error["message"]
        assert all(choice["finish_reason"] is None for each in answer.chunks for choice in each["choices"])
        check_charge(client, answer.request_id, "sse")
        with open_socket(gateway, gateway.key) as socket:
            told = ask(socket, {"model": "backed", "messages": [{"role": "user", "content": "hi"}]})
        assert told.text == "ha" and told.error["code"] == "no_healthy_upstream"
        assert "finish_reason" not in told.last
        check_charge(client, told.request_id, "ws")
