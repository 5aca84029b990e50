"""What a request may hold beside its messages: each model does what the simulation does when it is asked straight in
OpenAI's API, and says the same over JSON, an event stream and a WebSocket. What a model's provider cannot do is told
or refused by name."""

import http.client
import json
import urllib.error

import pytest

from four_models import BOTH, FORMAT, HELLO, MODELS, PICTURES, PIXEL, TOOLS, cost, counts, house, nano, socket
from socket_chat import ask

CLAUDE, GEMINI, DEEPSEEK = "claude-sonnet-4.5", "gemini-2.5-flash", "deepseek-v3.2"
PDF = "data:application/pdf;base64,JVBERi0xLjQKJSVFT0YK"
LONG = [{"role": "system", "content": [{"type": "text", "text": "Words of a long prompt. " * 400,
                                        "cache_control": {"type": "ephemeral"}}]}, *HELLO[1:]]
DONE = [{"role": "assistant", "content": "Asking.", "tool_calls": [
    {"id": f"call/{number}", "type": "function", "function": {"name": name, "arguments": "{\"zone\":\"UTC\"}"}}
    for number, name in enumerate(("time", "weather", "time"))]}]
TEXT = "data:text/plain;base64,VGhlIHNreSBpcyBibHVlLgo="
RESULTS = [{"role": "tool", "tool_call_id": f"call/{number}", "content": content}
           for number, content in enumerate(("noon", "[1.0, 2]", "evening"))]

# name: what is asked. The witness's answer is what counts.
WISHES = {
    "max_tokens": {"messages": HELLO, "max_tokens": 5},
    "max_completion_tokens": {"messages": HELLO, "max_completion_tokens": 5},
    "stop": {"messages": HELLO, "stop": ["no model", "is behind"]},
    "a block": {"messages": [{"role": "user", "content": "simulate a block"}]},
    "a named tool": {"messages": BOTH, "tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "time"}}},
    "any tool": {"messages": HELLO, "tools": TOOLS, "tool_choice": "required"},
    "no tool": {"messages": HELLO, "tools": TOOLS, "tool_choice": "none"},
    "a tool of no parameters": {"messages": HELLO, "tools": [{"type": "function", "function": {"name": "now"}}]},
    "json_object": {"messages": HELLO, "response_format": {"type": "json_object"}},
    "json_schema": {"messages": HELLO, "response_format": FORMAT},
    "json_schema beside tools": {"messages": [*BOTH, *DONE, *RESULTS], "tools": TOOLS, "response_format": FORMAT},
    "results of a turn": {"messages": [*BOTH, *DONE, *RESULTS], "tools": TOOLS},
    "words behind results": {"messages": [*BOTH, *DONE, *RESULTS, *HELLO[1:]], "tools": TOOLS},
    "a long conversation": {"messages": [
        {"role": "developer", "content": "Be brief."}, {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"}, {"role": "user", "content": [{"type": "text", "text": "three"}]},
        {"role": "user", "content": "four 🚀"}]},
    "a document": {"messages": [{"role": "user", "content": [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}, {"type": "text", "text": "Read it."}]}]},
    "images among words": {"messages": [{"role": "user", "content": [
        {"type": "text", "text": "First"}, {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "text", "text": "second"}, {"type": "image_url", "image_url": {"url": PIXEL}}]}]},
    "effort": {"messages": HELLO, "reasoning_effort": "medium"},
    "effort and images": {"messages": PICTURES, "reasoning_effort": "high"},
    "no effort": {"messages": HELLO, "reasoning_effort": "none"},
    "temperature": {"messages": HELLO, "temperature": 0.7},
    "a long prompt": {"messages": LONG},
    # What some servers and clients do, and Anthropic refuses as it comes.
    "ids that come again": {"messages": [*BOTH, *DONE, *RESULTS, *HELLO[1:], *DONE, *RESULTS], "tools": TOOLS},
    "one id for all calls": {"messages": [*BOTH, {**DONE[0], "tool_calls": [
        call | {"id": "call"} for call in DONE[0]["tool_calls"]]},
        *({**result, "tool_call_id": "call"} for result in RESULTS)], "tools": TOOLS},
    "a choice among parameters": {"messages": HELLO, "tool_choice": "required", "tools": [
        {"type": "function", "function": {"name": "find", "parameters": {
            "type": "object", "properties": {"name": {"type": "string"}, "id": {"type": "string"}},
            "required": ["name"], "anyOf": [{"required": ["name"]}, {"required": ["id"]}]}}}]},
    "a map in a schema": {"messages": HELLO, "response_format": {"type": "json_schema", "json_schema": {
        "name": "names", "strict": False, "schema": {"type": "object", "properties": {"colours": {
            "type": "object", "additionalProperties": {"type": "string"}}}, "required": ["colours"]}}}},
    "a text": {"messages": [{"role": "user", "content": [
        {"type": "file", "file": {"filename": "a.txt", "file_data": TEXT}}, {"type": "text", "text": "Read it."}]}]},
    "an e-mail address": {"messages": HELLO, "user": "bob@example.com"},
    # What Google refuses.
    "penalties": {"messages": HELLO, "frequency_penalty": 0.5, "presence_penalty": -0.5},
}
# What x-drover-dropped tells, by wish and model.
DROPPED = {
    ("json_schema", DEEPSEEK): {"response_format.json_schema.strict"},
    ("json_schema beside tools", DEEPSEEK): {"response_format.json_schema.strict"},
    ("json_schema beside tools", GEMINI): {"response_format.json_schema.strict"},
    ("a document", GEMINI): {"messages.content.file.filename"},
    ("a long prompt", GEMINI): {"messages.cache_control"},
    ("a choice among parameters", CLAUDE): {"tools.function.parameters"},
    ("a map in a schema", CLAUDE): {"response_format.json_schema.strict"},
    ("a text", GEMINI): {"messages.content.file.filename"},
    ("an e-mail address", CLAUDE): {"user"},
    ("an e-mail address", GEMINI): {"user"},
    ("penalties", CLAUDE): {"frequency_penalty", "presence_penalty"},
    ("penalties", GEMINI): {"frequency_penalty", "presence_penalty"},
}
# What a model knows no other word for.
WITNESSED = {("effort", DEEPSEEK): {"reasoning_effort": "high"}}


def stream(house, body):
    """(headers, the joined message, finish, usage) of an event stream."""
    connection = http.client.HTTPConnection("127.0.0.1", house.gateway.port, timeout=20)
    connection.request("POST", "/v1/chat/completions", json.dumps(
        body | {"stream": True, "stream_options": {"include_usage": True}}),
        {"Authorization": "Bearer " + house.key, "Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
    *events, done, rest = text.split("\n\n")
    assert done == "data: [DONE]" and rest == ""
    said, finish, usage = [], None, None
    for event in events:
        chunk = json.loads(event.removeprefix("data: "))
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            assert finish is None
            finish = choice["finish_reason"]
            said.append(choice["delta"])
    calls = {}
    for part in (part for delta in said for part in delta.get("tool_calls", [])):
        call = calls.setdefault(part["index"], [part["function"].get("name"), ""])
        call[1] += part["function"]["arguments"]
    return (answer.headers, "".join(delta.get("content") or "" for delta in said),
            [(name, json.loads(arguments)) for name, arguments in calls.values()], finish, counts(usage))


def said_of(answer):
    """(text, calls, finish, usage) of a whole answer."""
    (choice,) = answer["choices"]
    calls = [(call["function"]["name"], json.loads(call["function"]["arguments"]))
             for call in choice["message"].get("tool_calls") or []]
    return choice["message"].get("content") or "", calls, choice["finish_reason"], counts(answer["usage"])


def names(listed):
    return set(listed.split(", ")) if listed else set()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("wish", WISHES)
def test_each_wish_is_granted_alike_on_every_transport(house, socket, wish, model):
    body = WISHES[wish]
    _, witness = house.post({"model": "gpt-4.1", **body, **WITNESSED.get((wish, model), {})}, is_witness=True)
    expected = said_of(witness)
    if wish == "a named tool" and MODELS[model][0] != "openai":
        # OpenAI ends a call that was forced with `stop`; for others a call is a call.
        expected = (*expected[:2], "tool_calls", expected[3])
    headers, whole = house.post({"model": model, **body})
    dropped = DROPPED.get((wish, model), set())
    assert said_of(whole) == expected
    assert names(headers["x-drover-dropped"]) == dropped
    house.check_books(model, headers["x-request-id"], expected[3], "http")
    headers, *said = stream(house, {"model": model, **body})
    assert tuple(said) == expected
    assert names(headers["x-drover-dropped"]) == dropped
    house.check_books(model, headers["x-request-id"], expected[3], "sse")
    told = ask(socket, {"model": model, **body})
    assert told.error is None, told.error
    calls = [(call["name"], json.loads(call["arguments"])) for call in told.calls]
    assert (told.text, calls, told.last["finish_reason"], counts(told.last["usage"])) == expected
    assert set(told.last.get("dropped", [])) == dropped
    assert nano(told.last["cost"]) == cost(model, expected[3])
    house.check_books(model, told.request_id, expected[3], "ws")


@pytest.mark.parametrize("messages", (
    [*BOTH, DONE[0] | {"content": "\n\n"}, *RESULTS],
    [*HELLO, {"role": "assistant", "content": " \n"}],
    [{"role": "system", "content": " "}, {"role": "user", "content": " "}, *HELLO],
), ids=("before calls", "at the end", "alone"))
def test_blanks_are_not_sent_to_who_refuses_them(house, messages):
    headers, answer = house.post({"model": CLAUDE, "messages": messages})
    assert said_of(answer)[0].startswith("This is a simulation") and "x-drover-dropped" not in headers


@pytest.mark.parametrize(("user", "is_told"), (("10000001", False), ("+1 415 555-2671", True), ("@corp.io", True)))
def test_who_asks_is_told_to_anthropic_by_no_address_and_no_telephone(house, user, is_told):
    headers, answer = house.post({"model": CLAUDE, "messages": HELLO, "user": user})
    assert said_of(answer)[0].startswith("This is a simulation")
    assert headers.get("x-drover-dropped") == ("user" if is_told else None)


def test_gemini_thinks_no_more_than_it_may(house):
    headers, answer = house.post({"model": GEMINI, "messages": HELLO,
                                  "thinking": {"type": "enabled", "budget_tokens": 100000}})
    assert said_of(answer)[0].startswith("This is a simulation") and "x-drover-dropped" not in headers


@pytest.mark.parametrize("sound", ("wav", "flac"))
def test_gemini_hears_sounds_under_their_own_names(house, sound):
    headers, answer = house.post({"model": GEMINI, "messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": sound}}]}]})
    assert said_of(answer)[0] and "x-drover-dropped" not in headers


def test_the_witness_grants_the_wishes(house):
    told = {wish: said_of(house.post({"model": "gpt-4.1", **body}, is_witness=True)[1])
            for wish, body in WISHES.items()}
    assert {told[wish][2] for wish in ("max_tokens", "max_completion_tokens")} == {"length"}
    assert told["stop"][0] == "This is a simulation, " and told["a block"][2] == "content_filter"
    assert [name for name, _ in told["a named tool"][1]] == ["time"] and told["a named tool"][2] == "stop"
    assert told["a long prompt"][3][3] > 0 and told["effort"][3][4] == 128


def test_results_are_taken_in_any_order(house):
    for model in MODELS:
        _, answer = house.post({"model": model, "messages": [*BOTH, *DONE, *reversed(RESULTS)], "tools": TOOLS})
        assert "The tool said" in answer["choices"][0]["message"]["content"]


def test_what_deepseek_has_no_place_for_is_told(house, socket):
    strict = [{"type": "function", "function": TOOLS[0]["function"] | {"strict": True}}, TOOLS[1]]
    body = {"model": DEEPSEEK, "messages": BOTH, "tools": strict, "seed": 7, "logit_bias": {"50256": -100},
            "parallel_tool_calls": False, "store": True, "metadata": {"a": "b"}}
    dropped = {"tools.function.strict", "seed", "logit_bias", "parallel_tool_calls", "store", "metadata"}
    _, plain = house.post({"model": DEEPSEEK, "messages": BOTH, "tools": TOOLS})
    headers, whole = house.post(body)
    assert names(headers["x-drover-dropped"]) == dropped and said_of(whole) == said_of(plain)
    headers, *said = stream(house, body)
    assert names(headers["x-drover-dropped"]) == dropped and tuple(said) == said_of(plain)
    assert set(ask(socket, body).last["dropped"]) == dropped


def test_what_else_deepseek_has_no_place_for_is_told_or_refused(house):
    headers, _ = house.post({"model": DEEPSEEK, "messages": BOTH, "reasoning": {"effort": "low", "exclude": True},
                             "verbosity": "low", "prediction": {"type": "content", "content": "x"}})
    assert names(headers["x-drover-dropped"]) == {"reasoning.exclude", "verbosity", "prediction"}
    _, answer = house.post({"model": DEEPSEEK, "messages": BOTH, "reasoning": {"enabled": False}})
    assert counts(answer["usage"])[4] == 0
    result = [{"role": "function", "name": "f", "content": "1"}]
    for param, wish in (("functions", {"functions": [TOOLS[0]["function"]]}), ("audio", {"audio": {"voice": "v"}}),
                        ("modalities", {"modalities": ["text", "audio"]}), ("messages[0].role", {"messages": result}),
                        ("web_search_options", {"web_search_options": {"search_context_size": "low"}})):
        with pytest.raises(urllib.error.HTTPError) as raised:
            house.post({"model": DEEPSEEK, "messages": BOTH, **wish})
        error = json.load(raised.value)["error"]
        assert raised.value.code == 400 and error["param"] == param and "DeepSeek" in error["message"]


def test_what_asks_for_nothing_goes_to_deepseek_without_a_word(house):
    headers, _ = house.post({"model": DEEPSEEK, "messages": BOTH, "tools": TOOLS, "n": 1, "seed": None,
                             "logit_bias": {}, "parallel_tool_calls": True, "store": False, "metadata": {}})
    assert "x-drover-dropped" not in headers
