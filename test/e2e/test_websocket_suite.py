"""A suite we did not write: the cases of Autobahn's fuzzing client, driven by kosoku, against the path
that echoes. Ours are in src/net/ws_cases_test.c."""

import asyncio
import collections
import subprocess

import kosoku
import pytest
from websockets.sync.client import connect

from conftest import DROVER, Gateway, free_port

SECTIONS = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1}  # cases; 8 has none


class Echo(Gateway):
    def start(self):
        self.port = free_port()
        self.admin_port = free_port()
        with open(self.folder / "drover.log", "ab") as log:
            self.process = subprocess.Popen(
                [DROVER, "serve", "--demo", "--debug-ws-echo", "--listen", f"127.0.0.1:{self.port}",
                 "--admin-listen", f"127.0.0.1:{self.admin_port}",
                 "--data", str(self.folder / "data")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_listening()
        return self


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    running = Echo(tmp_path_factory.mktemp("echo")).start()
    yield running
    assert running.stop() == 0, running.log()


def test_the_handshake_is_answered_with_a_request_id(echo):
    with connect(f"ws://127.0.0.1:{echo.port}/debug/ws/echo") as socket:
        assert socket.response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_of_the_suite(echo, section):
    async def run():
        return await kosoku.run_fuzzingclient(
            f"ws://127.0.0.1:{echo.port}/debug/ws/echo", [f"{section}.*"], None, concurrency=4)
    results = asyncio.run(run())
    assert len(results) == SECTIONS[section]
    verdicts = collections.Counter(each.behavior.value for each in results)
    assert set(verdicts) <= {"OK", "INFORMATIONAL"}, verdicts
    closes = collections.Counter(each.behavior_close.value for each in results)
    assert set(closes) <= {"OK", "INFORMATIONAL"}, closes


def test_the_suite_finds_what_is_wrong(echo):
    """Against the chat, which takes no binary messages, it is not content."""
    async def run():
        await kosoku.run_fuzzingclient(f"ws://127.0.0.1:{echo.port}/v1/ws/chat", ["1.2.1"], None,
                                       concurrency=1)
    with pytest.raises(kosoku.FailureError):
        asyncio.run(run())
