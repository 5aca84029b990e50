"""The official OpenAI SDK for Node: each `test` of openai_node.mjs is a test here."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from conftest import Gateway

SCRIPT = pathlib.Path(__file__).with_name("openai_node.mjs")
NAMES = re.findall(r"^(?:test|busy\.set)\('(.+?)',", SCRIPT.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What came of each test, by its name. The script has a gateway of its own, because it uses up
    the limited key."""
    gateway = Gateway(tmp_path_factory.mktemp("node")).start()
    try:
        ran = subprocess.run(["node", str(SCRIPT)], cwd=SCRIPT.parent, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=90,
                             env={**os.environ, "GATEWAY": gateway.url})
        assert ran.returncode == 0, ran.stdout + ran.stderr
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        outcome = {line["name"]: line["error"] for line in lines}
        assert len(lines) == len(outcome) == len(NAMES)
        yield outcome
    finally:
        ended = gateway.stop()
    assert ended == 0, gateway.log()


@pytest.mark.parametrize("name", NAMES)
def test_node(outcomes, name):
    assert outcomes[name] is None, outcomes[name]
