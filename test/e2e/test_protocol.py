"""docs/protocol.md: every example frame is what really comes. docs/asyncapi.yaml: it says the same."""

import json
import pathlib
import re

import jsonschema
import pytest
import yaml

from socket_chat import KEY, open_socket, receive, send

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "protocol.md").read_text()
ASYNC = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
SPECIFICATION = pathlib.Path(__file__).with_name("node_modules") / "@asyncapi/specs/schemas/3.0.0.json"
BLOCKS = re.findall(r"```frames([^\n]*)\n(.*?)```", PAGE, re.DOTALL)
COUNTS = {"prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"}


def fits(shown, came, name=None):
    """The same members; the same values where the page can know them."""
    if isinstance(shown, dict):
        return isinstance(came, dict) and list(shown) == list(came) and all(
            fits(shown[each], came[each], each) for each in shown)
    if isinstance(shown, list):
        return isinstance(came, list) and len(shown) == len(came) and all(
            map(fits, shown, came))
    if name == "message":
        return came.startswith(shown.split("…")[0])
    if name == "request_id" or shown == "REQUEST_ID":
        return re.fullmatch(r"req_[0-9A-Za-z]{31}", came)
    if name in COUNTS or name == "cost":
        return isinstance(came, (int, float)) and (came > 0) == (shown > 0)
    if name in ("content", "arguments") or (name == "id" and str(shown).startswith("call_")):
        return isinstance(came, str)
    return type(shown) is type(came) and shown == came


def messages_of(operation):
    """{name: message} of what goes one way."""
    names = [each["$ref"].rsplit("/", 1)[1] for each in ASYNC["operations"][operation]["messages"]]
    return {name: ASYNC["components"]["messages"][name] for name in names}


def names_of(frame, operation):
    """The messages of docs/asyncapi.yaml that a frame fits."""
    return [name for name in messages_of(operation)
            if jsonschema.Draft7Validator(
                {"$ref": f"#/components/schemas/{name}", "components": ASYNC["components"]}
            ).is_valid(frame)]


def replay(socket, lines):
    request_id = "REQUEST_ID"
    may_skip = False
    for line in lines:
        if line == "…":
            may_skip = True
            continue
        way, text = line.split(" ", 1)
        if way == "→":
            send(socket, text.replace("REQUEST_ID", request_id).replace('"KEY"', f'"{KEY}"'))
            continue
        shown = json.loads(text)
        came = receive(socket)
        assert len(names_of(came, "sendFrame")) == 1, came
        while may_skip and not came.get("done"):
            came = receive(socket)
            assert len(names_of(came, "sendFrame")) == 1, came
        may_skip = False
        assert fits(shown, came), f"\n{shown}\n{came}"
        request_id = came.get("request_id", request_id)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_of_the_protocol_is_what_comes(gateway, number):
    words, text = BLOCKS[number]
    headers = {"x-sim-fault": "stall"} if "stall" in words else {}
    with open_socket(gateway, None if "no-key" in words else KEY, headers=headers) as socket:
        replay(socket, text.strip().split("\n"))


def test_the_page_has_examples():
    assert len(BLOCKS) >= 9


# --- the same for machines


def frames_shown(way):
    lines = [line for _, text in BLOCKS for line in text.strip().split("\n")]
    return [json.loads(line[2:]) for line in lines
            if line.startswith(way) and line[2:].startswith("{")]


def test_the_document_is_asyncapi_3():
    specification = json.loads(SPECIFICATION.read_text())
    jsonschema.Draft7Validator(specification).validate(ASYNC)


@pytest.mark.parametrize("way, operation", [("→", "takeFrame"), ("←", "sendFrame")])
def test_the_document_and_the_page_show_the_same_frames(way, operation):
    shown = frames_shown(way)
    for frame in shown:
        assert len(names_of(frame, operation)) == 1, frame
    messages = messages_of(operation)
    for name, message in messages.items():
        assert message["examples"], name
        for example in message["examples"]:
            assert names_of(example["payload"], operation) == [name]
            assert example["payload"] in shown, f"no frame of the page: {example['payload']}"


def test_the_document_names_every_message_once():
    named = [*messages_of("takeFrame"), *messages_of("sendFrame")]
    assert sorted(named) == sorted(ASYNC["components"]["messages"])
    assert sorted(named) == sorted(ASYNC["channels"]["chat"]["messages"])
