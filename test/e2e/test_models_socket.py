"""All four models over the WebSocket chat: the same five scenarios, and the same words as over HTTP."""

import json

import pytest

from four_models import BOTH, FORMAT, HELLO, MODELS, PICTURES, TOOLS, counts, house, nano, results_of, socket
from socket_chat import ask, gather, send

# What is asked, beside the model. `stream` means nothing here; the two-step loop has a test of its own.
SCENARIOS = {
    "chat": {"messages": HELLO},
    "stream": {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}},
    "structured": {"messages": HELLO, "response_format": FORMAT},
    "image": {"messages": PICTURES},
}


def check(house, model, told, body):
    """The answer says what the witness says to the same body over HTTP, and is charged by the witness's counts."""
    _, answer = house.post({"model": "gpt-4.1", **body, "stream": False} | {"stream_options": None}, is_witness=True)
    (choice,) = answer["choices"]
    said = choice["message"]
    assert told.error is None, told.error
    assert told.text == (said.get("content") or "")
    assert told.last["finish_reason"] == choice["finish_reason"]
    assert [(call["name"], json.loads(call["arguments"])) for call in told.calls] == [
        (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in said.get("tool_calls") or []]
    assert counts(told.last["usage"]) == counts(answer["usage"])
    # DeepSeek is told a schema in words, and cannot be held to it.
    is_loose = model == "deepseek-v3.2" and "response_format" in body
    assert told.last.get("dropped") == (["response_format.json_schema.strict"] if is_loose else None)
    receipt = house.check_books(model, told.request_id, counts(answer["usage"]), "ws")
    assert nano(told.last["cost"]) == nano(receipt["cost"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_frames_say_what_http_says(house, socket, scenario, model):
    body = SCENARIOS[scenario]
    told = ask(socket, {"model": model, **body})
    assert len(told.frames) > 5
    check(house, model, told, body)


@pytest.mark.parametrize("model", MODELS)
def test_two_calls_and_their_results(house, socket, model):
    first_ask = {"messages": BOTH, "tools": TOOLS}
    first = ask(socket, {"model": model, **first_ask})
    check(house, model, first, first_ask)
    assert [call["name"] for call in first.calls] == ["weather", "time"]
    assert len({call["id"] for call in first.calls}) == 2
    message = {"role": "assistant", "content": None, "tool_calls": [
        {"id": call["id"], "type": "function",
         "function": {"name": call["name"], "arguments": call["arguments"]}} for call in first.calls]}
    second_ask = {"messages": [*BOTH, message, *results_of((call["id"], call["name"]) for call in first.calls)],
                  "tools": TOOLS}
    second = ask(socket, {"model": model, **second_ask})
    check(house, model, second, second_ask)
    assert "The tool said" in second.text


@pytest.mark.parametrize("model", MODELS)
def test_a_session_keeps_calls_for_their_results(house, socket, model):
    session = "tools of " + model
    first = ask(socket, {"model": model, "session": session, "messages": BOTH, "tools": TOOLS})
    results = results_of((call["id"], call["name"]) for call in first.calls)
    second = ask(socket, {"model": model, "session": session, "messages": results, "tools": TOOLS})
    assert second.error is None, second.error
    message = {"role": "assistant", "content": None, "tool_calls": [
        {"id": call["id"], "type": "function",
         "function": {"name": call["name"], "arguments": call["arguments"]}} for call in first.calls]}
    check(house, model, second, {"messages": [*BOTH, message, *results], "tools": TOOLS})


def test_four_models_answer_at_once_on_one_connection(house, socket):
    for model in MODELS:
        send(socket, {"id": model, "model": model, "messages": HELLO})
    told = gather(socket, len(MODELS))
    assert sorted(told) == sorted(MODELS)
    for model in MODELS:
        check(house, model, told[model], {"messages": HELLO})
