"""The OpenAI SDK and LangChain for Python with all four models: an application changes `model` and nothing else.
What each model says through the gateway is what the simulation says when it is asked straight in OpenAI's API."""

import dataclasses
import json

import openai
import pydantic
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI

from four_models import BOTH, HELLO, MODELS, PICTURES, RESULTS, TOOLS, counts, house, results_of

USAGE = {"include_usage": True}
SCENARIOS = ("chat", "stream", "tools", "structured", "image")
# DeepSeek is told the schema in words, and cannot be held to it.
DROPPED = {("structured", "deepseek-v3.2"): "response_format.json_schema.strict"}


class Home(pydantic.BaseModel):
    street: str


class Person(pydantic.BaseModel):
    name: str
    age: int
    email: str | None
    homes: list[Home]


@dataclasses.dataclass
class Said:
    """What one request of a client came to. Headers are the gateway's and are not compared; ids of calls differ by
    right."""

    text: str
    finish: str
    usage: tuple
    calls: list = dataclasses.field(default_factory=list)  # (name, arguments)
    parsed: object = None
    headers: dict = dataclasses.field(default_factory=dict, compare=False)
    is_stream: bool = False


def calls_of(calls):
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls or []]


class OpenAIClient:
    def __init__(self, url, key, model):
        self.sdk = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=20).chat.completions
        self.model = model

    def ask(self, messages, **wishes):
        raw = self.sdk.with_raw_response.create(model=self.model, messages=messages, **wishes)
        return raw.headers, raw.parse()

    def said(self, headers, answer, is_stream=False):
        (choice,) = answer.choices
        return Said(choice.message.content or "", choice.finish_reason, counts(answer.usage.model_dump()),
                    calls_of(choice.message.tool_calls), headers=headers, is_stream=is_stream)

    def chat(self):
        return [self.said(*self.ask(HELLO))]

    def stream(self):
        headers, stream = self.ask(HELLO, stream=True, stream_options=USAGE)
        chunks = list(stream)
        assert len(chunks) > 10 and chunks[-1].choices == [] and {chunk.id for chunk in chunks} == {chunks[0].id}
        assert all(chunk.usage is None for chunk in chunks[:-1])
        said = [chunk.choices[0] for chunk in chunks[:-1]]
        assert said[0].delta.role == "assistant" and all(each.finish_reason is None for each in said[:-1])
        return [Said("".join(each.delta.content or "" for each in said), said[-1].finish_reason,
                     counts(chunks[-1].usage.model_dump()), headers=headers, is_stream=True)]

    def tools(self):
        """The first step whole, then again as a stream; the second with what the stream's helper put together."""
        headers, whole = self.ask(BOTH, tools=TOOLS)
        first = self.said(headers, whole)
        with self.sdk.stream(model=self.model, messages=BOTH, tools=TOOLS, stream_options=USAGE) as stream:
            joined = stream.get_final_completion()
        assert self.said(headers, joined) == first
        steps = [first]
        for message in (whole.choices[0].message, joined.choices[0].message):
            ids = [call.id for call in message.tool_calls]
            assert len(set(ids)) == 2 and all(ids), ids
            results = results_of((call.id, call.function.name) for call in message.tool_calls)
            history = [*BOTH, message.model_dump(exclude_none=True, exclude={"parsed"}), *results]
            steps.append(self.said(*self.ask(history, tools=TOOLS)))
        return steps

    def structured(self):
        raw = self.sdk.with_raw_response.parse(model=self.model, messages=HELLO, response_format=Person)
        answer = raw.parse()
        said = self.said(raw.headers, answer)
        said.parsed = answer.choices[0].message.parsed
        assert isinstance(said.parsed, Person)
        return [said]

    def image(self):
        return [self.said(*self.ask(PICTURES))]


class LangChainClient:
    def __init__(self, url, key, model):
        self.model = ChatOpenAI(base_url=url, api_key=key, model=model, max_retries=0, timeout=20,
                                stream_usage=True, include_response_headers=True)

    def said(self, message, is_stream=False, headers=None):
        usage = message.usage_metadata
        return Said(
            message.text, message.response_metadata["finish_reason"],
            (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"],
             usage.get("input_token_details", {}).get("cache_read", 0),
             usage.get("output_token_details", {}).get("reasoning", 0)),
            [(call["name"], call["args"]) for call in message.tool_calls],
            headers=headers or message.response_metadata["headers"], is_stream=is_stream)

    @staticmethod
    def hello():
        return [SystemMessage(HELLO[0]["content"]), HumanMessage(HELLO[1]["content"])]

    def chat(self):
        return [self.said(self.model.invoke(self.hello()))]

    def streamed(self, model, messages):
        chunks = list(model.stream(messages))
        assert len(chunks) > 5
        joined = chunks[0]
        for chunk in chunks[1:]:
            joined += chunk
        return joined

    def stream(self):
        return [self.said(self.streamed(self.model, self.hello()), is_stream=True)]

    def tools(self):
        model = self.model.bind_tools(TOOLS)
        asked = HumanMessage(BOTH[0]["content"])
        steps = []
        for is_stream in (False, True):
            first = self.streamed(model, [asked]) if is_stream else model.invoke([asked])
            assert len({call["id"] for call in first.tool_calls}) == 2
            results = [ToolMessage(RESULTS[call["name"]], tool_call_id=call["id"]) for call in first.tool_calls]
            steps += [self.said(first, is_stream), self.said(model.invoke([asked, first, *results]))]
        return steps

    def structured(self):
        model = self.model.with_structured_output(Person, method="json_schema", strict=True, include_raw=True)
        answer = model.invoke(self.hello())
        assert isinstance(answer["parsed"], Person), answer
        said = self.said(answer["raw"])
        said.parsed = answer["parsed"]
        return [said]

    def image(self):
        return [self.said(self.model.invoke([HumanMessage(PICTURES[0]["content"])]))]


CLIENTS = {"openai": OpenAIClient, "langchain": LangChainClient}


@pytest.fixture(scope="module")
def witness(house):
    """What each scenario of each client comes to where no gateway is in between."""
    told = {}

    def ask(client, scenario):
        if (client, scenario) not in told:
            told[client, scenario] = getattr(CLIENTS[client](house.witness_url, "sk-witness", "gpt-4.1"), scenario)()
        return told[client, scenario]
    return ask


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_works_with_every_model(house, witness, client, scenario, model):
    expected = witness(client, scenario)
    steps = getattr(CLIENTS[client](house.url, house.key, model), scenario)()
    assert steps == expected
    for said in steps:
        assert said.headers["x-drover-target"] == "t-" + model
        assert said.headers.get("x-drover-dropped") == DROPPED.get((scenario, model)), said.headers
        receipt = house.check_books(model, said.headers["x-request-id"], said.usage,
                                    "sse" if said.is_stream else "http")
        if not said.is_stream:
            assert float(said.headers["x-drover-cost"]) == receipt["cost"] > 0


def test_the_witness_does_what_the_scenarios_are_about(witness):
    for client in CLIENTS:
        (hello,) = witness(client, "chat")
        assert HELLO[1]["content"] in hello.text and hello.finish == "stop"
        assert witness(client, "stream")[0].text == hello.text
        first, *_, last = witness(client, "tools")
        assert [name for name, _ in first.calls] == ["weather", "time"] and first.finish == "tool_calls"
        assert f"The tool said “{RESULTS['time']}”" in last.text and last.finish == "stop" and not last.calls
        assert "I see 2 images." in witness(client, "image")[0].text
