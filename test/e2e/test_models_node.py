"""The official OpenAI SDK for Node and the Vercel AI SDK with all four models: models_node.mjs, each of its
outcomes a test here."""

import decimal
import json
import os
import pathlib
import subprocess

import pytest

from four_models import MODELS, FourModels

SCRIPT = pathlib.Path(__file__).with_name("models_node.mjs")
NAMES = [f"{client} {scenario} {model}" for client in ("openai", "vercel")
         for scenario in ("chat", "stream", "tools", "structured", "image") for model in MODELS]
NAMES += [f"{client} thinking {model}" for client in ("openai", "vercel")
          for model in ("claude-sonnet-4.5", "gemini-2.5-flash")]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    house = FourModels(tmp_path_factory.mktemp("models-node"))
    prices = {name: [int(decimal.Decimal(price) * 1000) for price in of[3:]] for name, of in MODELS.items()}
    try:
        ran = subprocess.run(["node", str(SCRIPT)], cwd=SCRIPT.parent, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=90,
                             env={**os.environ, "GATEWAY": house.url, "WITNESS": house.witness_url,
                                  "KEY": house.key, "MODELS": json.dumps(prices)})
        assert ran.returncode == 0, ran.stdout + ran.stderr
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        yield {line["name"]: line["error"] for line in lines}
    finally:
        house.stop()


def test_every_client_ran_every_scenario_with_every_model(outcomes):
    assert sorted(outcomes) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_node(outcomes, name):
    assert outcomes[name] is None, outcomes[name]
