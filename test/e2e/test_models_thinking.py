"""Thinking before a call: what a model's provider sealed comes back with the tool's result, whatever client
carried it, and a client that loses it is answered all the same."""

import json

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from four_models import BOTH, RESULTS, TOOLS, counts, house, results_of
from socket_chat import ask, open_socket

CLAUDE, GEMINI, DEEPSEEK = "claude-sonnet-4.5", "gemini-2.5-flash", "deepseek-v3.2"
EFFORT = {"reasoning_effort": "low", "tools": TOOLS}
THINKERS = (CLAUDE, GEMINI)


@pytest.fixture(scope="module")
def sdk(house):
    with openai.OpenAI(base_url=house.url, api_key=house.key, max_retries=0, timeout=20) as client:
        yield client.chat.completions


def create(sdk, model, messages, **wishes):
    raw = sdk.with_raw_response.create(model=model, messages=messages, **(EFFORT | wishes))
    return raw.headers, raw.parse()


def history_of(message):
    return [*BOTH, message, *results_of((call["id"], call["function"]["name"]) for call in message["tool_calls"])]


def seals_of(message):
    """Each thing in the message that its provider sealed."""
    details = [detail.get("signature") or detail.get("data") for detail in message.get("reasoning_details") or []]
    calls = [call.get("extra_content", {}).get("google", {}).get("thought_signature")
             for call in message["tool_calls"]]
    return [seal for seal in details + calls if seal]


def check_second(house, model, headers, answer, has_thought=True):
    """It thinks on, and says what the witness says."""
    message = answer.choices[0].message
    assert "The tool said" in message.content and answer.choices[0].finish_reason == "stop"
    usage = counts(answer.usage.model_dump())
    assert headers["x-drover-target"] == "t-" + model
    house.check_books(model, headers["x-request-id"], usage, "http")
    if has_thought:
        assert usage[4] == 64 and message.reasoning_content
        # Gemini's summaries of thoughts are not sealed: they do not go back.
        assert headers.get("x-drover-dropped") in (None, "messages.reasoning_content" if model == GEMINI else None)
    else:
        assert usage[4] == 0 and not hasattr(message, "reasoning_content")


@pytest.mark.parametrize("model", THINKERS)
def test_a_message_that_comes_back_whole_lets_the_model_think_on(house, sdk, model):
    headers, first = create(sdk, model, BOTH)
    message = first.choices[0].message
    assert message.reasoning_content.startswith("A simulated thought:") and first.choices[0].finish_reason == "tool_calls"
    assert first.usage.completion_tokens_details.reasoning_tokens == 64 and "x-drover-dropped" not in headers
    _, witness = house.post({"model": "gpt-4.1", "messages": BOTH, **EFFORT}, is_witness=True)
    assert counts(first.usage.model_dump()) == counts(witness["usage"])
    house.check_books(model, headers["x-request-id"], counts(witness["usage"]), "http")
    told = message.model_dump(exclude_none=True)
    assert seals_of(told)
    check_second(house, model, *create(sdk, model, history_of(told)))


@pytest.mark.parametrize("model", THINKERS)
def test_a_seal_that_was_touched_is_refused_by_its_provider(sdk, model):
    told = create(sdk, model, BOTH)[1].choices[0].message.model_dump(exclude_none=True)
    (seal,) = seals_of(told)
    broken = json.loads(json.dumps(told).replace(seal, seal[:-4] + "0000"))
    with pytest.raises(openai.BadRequestError, match="(?i)signature"):
        create(sdk, model, history_of(broken))


@pytest.mark.parametrize("model", THINKERS)
def test_entries_of_a_stream_come_back_in_a_list(house, sdk, model):
    """As api.md tells: joined by `index` or not."""
    _, stream = create(sdk, model, BOTH, stream=True)
    message = {"role": "assistant", "content": None, "reasoning_details": [], "tool_calls": []}
    for chunk in stream:
        delta = chunk.choices[0].delta.model_dump(exclude_none=True)
        message["reasoning_details"] += delta.get("reasoning_details", [])
        for part in delta.get("tool_calls", []):
            if part["index"] == len(message["tool_calls"]):
                message["tool_calls"].append(part)
            else:
                call = message["tool_calls"][part["index"]]
                call["function"]["arguments"] += part["function"]["arguments"]
                call |= {name: part[name] for name in ("extra_content",) if name in part}
    assert seals_of(message)
    check_second(house, model, *create(sdk, model, history_of(message)))
    joined = {}
    for detail in message["reasoning_details"]:
        kept = joined.setdefault(detail["index"], dict(detail, text=""))
        kept |= {name: value for name, value in detail.items() if name != "text"}
        kept["text"] += detail.get("text", "")
    message["reasoning_details"] = list(joined.values())
    check_second(house, model, *create(sdk, model, history_of(message)))


@pytest.mark.parametrize("model", THINKERS)
def test_the_sdk_joins_a_stream_so_that_it_can_come_back(house, sdk, model):
    with sdk.stream(model=model, messages=BOTH, **EFFORT) as stream:
        message = stream.get_final_completion().choices[0].message
    told = message.model_dump(exclude_none=True, exclude={"parsed"})
    assert seals_of(told)
    check_second(house, model, *create(sdk, model, history_of(told)))


def test_a_client_that_loses_the_seals_is_answered_without_thinking(house, sdk):
    told = create(sdk, CLAUDE, BOTH)[1].choices[0].message.model_dump(exclude_none=True)
    del told["reasoning_details"]
    for lost in (told, {name: told[name] for name in told if name != "reasoning_content"}):
        headers, answer = create(sdk, CLAUDE, history_of(lost))
        assert "reasoning_effort" in headers["x-drover-dropped"]
        check_second(house, CLAUDE, headers, answer, has_thought=False)


def test_an_answer_that_is_begun_goes_on_without_thinking(house, sdk):
    begun = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "This is"}]
    headers, answer = create(sdk, CLAUDE, begun, tools=openai.NOT_GIVEN)
    assert headers["x-drover-dropped"] == "reasoning_effort"
    assert answer.choices[0].message.content and answer.usage.completion_tokens_details.reasoning_tokens == 0


def test_a_seal_whose_text_was_lost_is_not_sent(house, sdk):
    """A helper that keeps the last entry of a stream keeps the signature alone."""
    told = create(sdk, CLAUDE, BOTH)[1].choices[0].message.model_dump(exclude_none=True)
    for detail in told["reasoning_details"]:
        del detail["text"]
    headers, answer = create(sdk, CLAUDE, history_of(told))
    assert sorted(headers["x-drover-dropped"].split(", ")) == [
        "messages.reasoning_content", "messages.reasoning_details", "reasoning_effort"]
    check_second(house, CLAUDE, headers, answer, has_thought=False)


def test_deepseek_thinks_on_behind_calls_whose_thoughts_were_lost(house, sdk):
    """It refuses such calls while it thinks, unless they have an empty thought."""
    _, first = create(sdk, DEEPSEEK, BOTH)
    told = first.choices[0].message.model_dump(exclude_none=True)
    assert "reasoning_content" not in told
    headers, answer = create(sdk, DEEPSEEK, history_of(told))
    usage = counts(answer.usage.model_dump())
    assert "The tool said" in answer.choices[0].message.content and usage[4] > 0
    assert "x-drover-dropped" not in headers
    house.check_books(DEEPSEEK, headers["x-request-id"], usage, "http")


def test_langchain_which_keeps_no_seals_is_answered(house):
    for model in (*THINKERS, DEEPSEEK):
        client = ChatOpenAI(base_url=house.url, api_key=house.key, model=model, max_retries=0, timeout=20,
                            reasoning_effort="low", include_response_headers=True).bind_tools(TOOLS)
        asked = HumanMessage(BOTH[0]["content"])
        for first in (client.invoke([asked]), sum_of(client.stream([asked]))):
            results = [ToolMessage(RESULTS[call["name"]], tool_call_id=call["id"]) for call in first.tool_calls]
            assert len(results) == 2
            assert "The tool said" in client.invoke([asked, first, *results]).text


def sum_of(chunks):
    joined = next(chunks)
    for chunk in chunks:
        joined += chunk
    return joined


@pytest.mark.parametrize("model", THINKERS)
def test_thoughts_come_back_over_a_websocket(house, model):
    wishes = {"model": model, **EFFORT}
    with open_socket(house.gateway, house.key) as socket:
        first = ask(socket, {**wishes, "messages": BOTH})
        assert first.joined("reasoning_content").startswith("A simulated thought:")
        calls = [{"id": call["id"], "type": "function",
                  "function": {"name": call["name"], "arguments": call["arguments"]}} for call in first.calls]
        details = []
        for frame in first.frames:
            details += frame.get("reasoning_details", [])
            for part in frame.get("tool_calls", []):
                if "extra_content" in part:
                    calls[part["index"]]["extra_content"] = part["extra_content"]
        message = {"role": "assistant", "content": None, "tool_calls": calls, "reasoning_details": details}
        assert seals_of(message)
        second = ask(socket, {**wishes, "messages": history_of(message)})
        # In a session the gateway keeps them.
        third = ask(socket, {**wishes, "messages": BOTH, "session": "of " + model})
        results = results_of((call["id"], call["name"]) for call in third.calls)
        fourth = ask(socket, {**wishes, "messages": results, "session": "of " + model})
    for told in (second, fourth):
        assert told.error is None, told.error
        assert "The tool said" in told.text
        assert told.joined("reasoning_content") and counts(told.last["usage"])[4] == 64
        house.check_books(model, told.request_id, counts(told.last["usage"]), "ws")
    assert "dropped" not in second.last
    # As over HTTP, where a message comes back with its words.
    assert fourth.last.get("dropped") == (["messages.reasoning_content"] if model == GEMINI else None)
    assert second.text == fourth.text
