"""docs/protocol.md: every example frame is what really comes."""

import json
import pathlib
import re

import pytest

from socket_chat import KEY, open_socket, receive, send

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs/protocol.md").read_text()
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
    if name == "request_id":
        return re.fullmatch(r"req_[0-9A-Za-z]{31}", came)
    if name in COUNTS or name == "cost":
        return isinstance(came, (int, float)) and (came > 0) == (shown > 0)
    if name in ("content", "arguments") or (name == "id" and str(shown).startswith("call_")):
        return isinstance(came, str)
    return type(shown) is type(came) and shown == came


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
        while may_skip and not came.get("done"):
            came = receive(socket)
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
