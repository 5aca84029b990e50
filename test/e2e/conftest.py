"""Starts the gateway as a user would, in demo mode on ports of its own, once for all tests."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

DROVER = os.environ["DROVER"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Gateway:
    """`drover serve --demo` on a data folder; `stop` and `kill` end it as an operator or a fault would."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.process = None
        self.port = None
        self.admin_port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.port = free_port()
        self.admin_port = free_port()
        log = open(self.folder / "drover.log", "ab")
        self.process = subprocess.Popen(
            [DROVER, "serve", "--demo", "--listen", f"127.0.0.1:{self.port}",
             "--admin-listen", f"127.0.0.1:{self.admin_port}", "--data", str(self.folder / "data")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_listening()
        return self

    def wait_until_listening(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                # The operator's listener opens last.
                for port in filter(None, (self.port, self.admin_port)):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.02)  # a poll of a port that tells nobody when it opens

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=10)

    def log(self):
        return (self.folder / "drover.log").read_text(errors="replace")

    def command(self, *arguments):
        return self.run(*arguments, "--data", str(self.folder / "data"))

    def run(self, *arguments):
        return subprocess.run([DROVER, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    running = Gateway(tmp_path_factory.mktemp("gateway")).start()
    yield running
    assert running.stop() == 0, running.log()


@pytest.fixture
def own_gateway(tmp_path):
    running = Gateway(tmp_path).start()
    yield running
    if running.process.poll() is None:
        running.stop()
