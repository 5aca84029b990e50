"""What a failed target reported is not charged for the one that answered after it."""

import pytest

from configured import Client, ConfiguredGateway, Simulation

CONFIG = """\
workers: 1
providers:
  failing: {{base_url: "http://127.0.0.1:{failing}/v1", api_keys: ["sk-sim"]}}
  silent: {{base_url: "http://127.0.0.1:{silent}/v1", api_keys: ["sk-sim"]}}
models:
  m: {{price: {{input: 8, output: 8}}, targets: [{{provider: failing}}, {{provider: silent}}]}}
"""

ERROR = ('{"error":{"message":"overloaded","type":"server_error"},"usage":{"prompt_tokens":1000000,'
         '"completion_tokens":1000000,"total_tokens":2000000}}')


@pytest.mark.parametrize("stream", [False, True])
def test_usage_beside_a_failed_targets_error_is_forgotten(tmp_path, stream):
    replay = tmp_path / ("error.sse" if stream else "error.json")
    replay.write_text(f"data: {ERROR}\n\n" if stream else ERROR)
    failing = Simulation("--replay", str(replay))
    silent = Simulation("--fault", "no_usage")
    gateway = ConfiguredGateway(
        tmp_path, CONFIG.format(failing=failing.port, silent=silent.port)).start()
    with Client(gateway, gateway.key) as client:
        answer = client.chat("m", stream=stream)
        assert answer.status == 200 and answer.error is None
        receipt = client.receipt(answer.request_id)
        assert receipt["target"] == "silent"
        assert receipt["usage_source"] == "estimated"
        assert receipt["usage"]["total_tokens"] < 10000
    assert gateway.stop() == 0, gateway.log()
    failing.stop()
    silent.stop()
