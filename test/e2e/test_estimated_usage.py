"""A whole answer without token counts: the gateway's estimate stands where clients look for it, once,
whatever the provider put there."""

import contextlib
import json

import pytest

from configured import Client, ConfiguredGateway, Simulation

CONFIG = """\
workers: 1
providers:
  sim: {{base_url: "http://127.0.0.1:{port}/v1", api_keys: ["sk-sim"]}}
models:
  m: {{price: {{input: 8, output: 8}}, targets: [{{provider: sim}}]}}
"""

ANSWER = ('{"id":"chatcmpl-1","object":"chat.completion",%s"choices":[{"index":0,"message":'
          '{"role":"assistant","content":"Xin chào"},"finish_reason":"stop"}]%s}\n')


@contextlib.contextmanager
def replaying(folder, said):
    """A client of a gateway whose provider sends these bytes."""
    replay = folder / ("answer.sse" if said.startswith("data:") else "answer.json")
    replay.write_text(said)
    simulation = Simulation("--replay", str(replay))
    gateway = ConfiguredGateway(folder, CONFIG.format(port=simulation.port)).start()
    with Client(gateway, gateway.key) as client:
        yield client
    assert gateway.stop() == 0, gateway.log()
    simulation.stop()


@pytest.mark.parametrize("before, behind", [
    ('"usage":null,', ""), ("", ',"usage": null '), ("", ',"usage":{}'), ("", ""),
])
def test_the_estimate_stands_in_the_answer_once(tmp_path, before, behind):
    with replaying(tmp_path, ANSWER % (before, behind)) as client:
        answer = client.chat("m")
        assert answer.status == 200, answer.error
        names = json.loads(answer.body, object_pairs_hook=lambda pairs: pairs)
        assert [name for name, _ in names].count("usage") == 1
        assert answer.usage["completion_tokens"] > 0
        assert answer.usage["total_tokens"] == sum(
            answer.usage[name] for name in ("prompt_tokens", "completion_tokens"))
        receipt = client.receipt(answer.request_id)
        assert receipt["usage_source"] == "estimated"
        assert receipt["usage"]["total_tokens"] == answer.usage["total_tokens"]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_total_alone_is_not_all_output(tmp_path, is_streamed):
    total = ',"usage":{"total_tokens":1000}'
    said = (CHUNK % ('{"content":"Xin chào"}', "") + CHUNK % ("{}", total)
            + "data: [DONE]\n\n" if is_streamed else ANSWER % ("", total))
    with replaying(tmp_path, said) as client:
        answer = client.chat("m", stream=is_streamed,
                             **({"stream_options": {"include_usage": True}} if is_streamed else {}))
        receipt = client.receipt(answer.request_id)
        assert receipt["usage_source"] == "estimated"
        for usage in answer.usage, receipt["usage"]:
            assert usage["total_tokens"] == 1000
            assert usage["prompt_tokens"] > 0
            assert usage["prompt_tokens"] + usage["completion_tokens"] == 1000


CHUNK = ('data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":%s,'
         '"finish_reason":null}]%s}\n\n')
PROMPT_ALONE = ',"usage":{"prompt_tokens":100,"total_tokens":100}'
OUTPUT_ALONE = ',"usage":{"completion_tokens":50}'
WHOLE = ',"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}'
ZEROS = ',"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}'


@pytest.mark.parametrize("beside_words, reports", [
    (PROMPT_ALONE, [OUTPUT_ALONE]), ("", [WHOLE, ZEROS]), ("", [PROMPT_ALONE, OUTPUT_ALONE]),
])
def test_usage_that_is_reported_in_parts_is_charged_as_reported(tmp_path, beside_words, reports):
    said = (CHUNK % ('{"content":"Xin chào"}', beside_words)
            + "".join(CHUNK % ("{}", report) for report in reports) + "data: [DONE]\n\n")
    with replaying(tmp_path, said) as client:
        answer = client.chat("m", stream=True, stream_options={"include_usage": True})
        receipt = client.receipt(answer.request_id)
        assert receipt["usage_source"] == "reported"
        for usage in receipt["usage"], answer.usage:
            assert usage["prompt_tokens"] == 100
            assert usage["completion_tokens"] == 50


@pytest.mark.parametrize("begun, finished, status", [
    ([0, 1], [0], 502), ([0, 1], [0, 1], 200), ([0, 1], [0, 0], 502), ([0], [0], 200),
])
def test_an_answer_is_whole_when_each_of_its_choices_is(tmp_path, begun, finished, status):
    """Without [DONE]: that alone would tell."""
    chunk = ('data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":%d,"delta":'
             '{"content":"Xin chào"},"finish_reason":%s}]}\n\n')
    said = ("".join(chunk % (index, "null") for index in begun)
            + "".join(chunk % (index, '"stop"') for index in finished))
    with replaying(tmp_path, said) as client:
        answer = client.chat("m", stream=True, n=2)
        assert client.receipt(answer.request_id)["status"] == status


EARLY = ',"usage":{"prompt_tokens":700,"completion_tokens":0,"total_tokens":700}'


@pytest.mark.parametrize("is_cut", [True, False])
def test_output_is_not_free_when_only_the_prompt_was_counted(tmp_path, is_cut):
    said = (CHUNK % ('{"role":"assistant"}', EARLY)
            + CHUNK % ('{"content":"%s"}' % ("Xin chào " * 100), "")
            + ("" if is_cut else "data: [DONE]\n\n"))
    with replaying(tmp_path, said) as client:
        answer = client.chat("m", stream=True)
        assert bool(answer.error) == is_cut
        receipt = client.receipt(answer.request_id)
        assert receipt["usage_source"] == "estimated"
        assert receipt["usage"]["prompt_tokens"] == 700
        assert receipt["usage"]["completion_tokens"] > 100
        assert receipt["usage"]["total_tokens"] == 700 + receipt["usage"]["completion_tokens"]


@pytest.mark.parametrize("is_cut", [True, False])
def test_text_behind_the_last_count_is_not_free(tmp_path, is_cut):
    """Counted as far as it had come: what follows is estimated, and added."""
    so_far = ',"usage":{"prompt_tokens":700,"completion_tokens":%d,"total_tokens":%d}'
    later = "Xin chao " * 100
    said = (CHUNK % ('{"role":"assistant"}', so_far % (1, 701))
            + CHUNK % ('{"content":"Xin chao"}', so_far % (3, 703))
            + CHUNK % ('{"content":"%s"}' % later, "")
            + ("" if is_cut else "data: [DONE]\n\n"))
    with replaying(tmp_path, said) as client:
        answer = client.chat("m", stream=True)
        assert bool(answer.error) == is_cut
        receipt = client.receipt(answer.request_id)
        assert receipt["usage_source"] == "estimated"
        assert receipt["usage"]["prompt_tokens"] == 700
        assert receipt["usage"]["completion_tokens"] == 3 + len(later) // 4
        assert receipt["usage"]["total_tokens"] == 703 + len(later) // 4
