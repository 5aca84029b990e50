"""SIGHUP on a gateway with a configuration file: what the command line said holds, and what cannot
change in a running gateway is said in the log."""

import os
import signal
import subprocess
import time

import pytest

from conftest import DROVER, free_port

CONFIG = """\
listen: 127.0.0.1:{listen}
data: {data}
workers: {workers}
admin: {{listen: "127.0.0.1:{admin}"}}
providers:
  sim: {{base_url: "http://127.0.0.1:1/v1"}}
models:
  m: {{price: {{input: 1, output: 1}}, targets: [{{provider: sim}}]}}
"""


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.reloads = 0
        self.values = {"listen": 1, "data": "nowhere", "workers": 1, "admin": 2}
        self.write()
        self.log_file = open(folder / "drover.log", "ab")
        self.process = subprocess.Popen(
            [DROVER, "serve", "-c", "drover.yaml", "--listen", f"127.0.0.1:{self.port}",
             "--admin-listen", f"127.0.0.1:{free_port()}", "--data", "data"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file)
        self.wait_for(lambda log: "drover listens on" in log)

    def write(self, **changes):
        self.values |= changes
        (self.folder / "drover.yaml").write_text(CONFIG.format(**self.values))

    def log(self):
        return (self.folder / "drover.log").read_text(errors="replace")

    def wait_for(self, is_there):
        deadline = time.monotonic() + 30
        while not is_there(self.log()):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)  # a poll of a file that tells nobody when it grows

    def reload(self):
        """The lines that the reload added to the log."""
        before = len(self.log())
        self.reloads += 1
        os.kill(self.process.pid, signal.SIGHUP)
        self.wait_for(lambda log: "server.reload" in log
                      and log.count("server.reloaded") == self.reloads)
        return self.log()[before:]


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path)
    yield running
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=40) == 0, running.log()
    running.log_file.close()


def test_the_command_line_holds_over_reloads(server):
    assert "reload_ignored" not in server.reload()
    server.write(listen=3, data="elsewhere", admin=4)
    assert "reload_ignored" not in server.reload()
    assert not (server.folder / "elsewhere").exists()


def test_a_change_that_needs_a_restart_is_said_at_each_reload_until_it_is_undone(server):
    server.write(workers=2)
    for _ in range(2):
        lines = server.reload()
        assert lines.count("server.reload_ignored") == 1, lines
        assert "option=workers" in lines and "needs a restart" in lines
    server.write(workers=1)
    assert "reload_ignored" not in server.reload()
