"""The four models of the project's brief, each behind a provider of its own API: one simulation answers all.
The same simulation, asked straight in OpenAI's API, is the witness of what each of them must say."""

import decimal
import json
import urllib.request

import pytest

from configured import Client, ConfiguredGateway, Simulation
from socket_chat import open_socket

# name: (dialect, path of the API, the provider's name of the model, dollars per million tokens: input, output,
# cached input). The three prices differ, so that none can be taken for another.
MODELS = {
    "gpt-4.1": ("openai", "/v1", "gpt-4.1-2025-04-14", "8", "32", "2"),
    "claude-sonnet-4.5": ("anthropic", "", "claude-sonnet-4-5-20250929", "15", "75", "1.5"),
    "gemini-2.5-flash": ("gemini", "", "gemini-2.5-flash", "2.50", "15", "0.25"),
    "deepseek-v3.2": ("openai", "/v1", "deepseek-chat", "0.42", "3", "0.042"),
}
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")

HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Xin chào, bạn khỏe không?"}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TIME = {"type": "object", "properties": {"zone": {"type": "string", "enum": ["UTC", "ICT"]}}, "required": ["zone"]}
TOOLS = [{"type": "function", "function": {"name": name, "description": f"Tells the {name}.", "parameters": schema}}
         for name, schema in (("weather", WEATHER), ("time", TIME))]
BOTH = [{"role": "user", "content": "The weather and the time, both please."}]
RESULTS = {"weather": json.dumps({"sky": "clear", "degrees": 31}), "time": "noon"}
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "email": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "homes": {"type": "array", "items": {"$ref": "#/$defs/Home"}},
    },
    "required": ["name", "age", "email", "homes"],
    "additionalProperties": False,
    "$defs": {"Home": {"type": "object", "properties": {"street": {"type": "string"}},
                       "required": ["street"], "additionalProperties": False}},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
PIXEL = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
         "RU5ErkJggg==")
PICTURES = [{"role": "user", "content": [
    {"type": "text", "text": "What is on these?"},
    {"type": "image_url", "image_url": {"url": PIXEL}},
    {"type": "image_url", "image_url": {"url": "https://example.com/photo.jpg"}}]}]


def nano(amount):
    return int(decimal.Decimal(str(amount)) * 10**9)


def cost(model, usage):
    """In billionths of a dollar, of (prompt, completion, total, cached, reasoning) tokens."""
    price, price_out, price_cached = (int(decimal.Decimal(text) * 1000) for text in MODELS[model][3:])
    prompt, completion, _, cached, _ = usage
    return (prompt - cached) * price + cached * price_cached + completion * price_out


def counts(usage):
    """OpenAI's usage, as an object of JSON, in the order of COUNTS."""
    return (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"],
            (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
            (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0)


def results_of(calls):
    """The messages that answer calls of (id, name)."""
    return [{"role": "tool", "tool_call_id": call_id, "content": RESULTS[name]} for call_id, name in calls]


def config(sim_port):
    providers = "".join(
        f"  p-{name}: {{dialect: {dialect}, base_url: \"http://127.0.0.1:{sim_port}{path}\", api_keys: [sk-four]}}\n"
        for name, (dialect, path, *_) in MODELS.items())
    models = "".join(
        f"  {name}:\n    price: {{input: {price}, output: {price_out}, cached_input: {price_cached}}}\n"
        f"    targets: [{{name: t-{name}, provider: p-{name}, model: {own_name}}}]\n"
        for name, (_, _, own_name, price, price_out, price_cached) in MODELS.items())
    return f"timeouts: {{first_byte: 20s, between_bytes: 20s}}\nproviders:\n{providers}models:\n{models}"


class FourModels:
    """The gateway, the simulation behind it, and what is known of an exchange."""

    def __init__(self, folder):
        self.sim = Simulation()
        self.gateway = ConfiguredGateway(folder, config(self.sim.port)).start()

    @property
    def url(self):
        return self.gateway.url + "/v1"

    @property
    def witness_url(self):
        return f"http://127.0.0.1:{self.sim.port}/v1"

    @property
    def key(self):
        return self.gateway.key

    def post(self, body, is_witness=False):
        """(headers, the answer's object) of a request in OpenAI's words; an error is raised."""
        asked = urllib.request.Request(
            (self.witness_url if is_witness else self.url) + "/chat/completions", json.dumps(body).encode(),
            {"Authorization": "Bearer " + self.key, "Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.headers, json.load(answer)

    def receipt(self, request_id):
        with Client(self.gateway, self.key) as client:
            return client.receipt(request_id)

    def check_books(self, model, request_id, usage, transport):
        """The receipt says the tokens that the witness counted, and what they cost."""
        receipt = self.receipt(request_id)
        assert receipt["target"] == "t-" + model and receipt["model"] == model
        assert receipt["status"] == 200 and receipt["transport"] == transport
        assert receipt["usage_source"] == "reported"
        assert tuple(receipt["usage"][name] for name in COUNTS) == usage
        assert nano(receipt["cost"]) == cost(model, usage)
        return receipt

    def stop(self):
        try:
            assert self.gateway.stop() == 0, self.gateway.log()
        finally:
            self.sim.stop()
        log = self.gateway.log()
        assert "ERROR: " not in log and "runtime error" not in log, log


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    running = FourModels(tmp_path_factory.mktemp("models"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def socket(house):
    with open_socket(house.gateway, house.key) as opened:
        yield opened
