"""A stranger's first hour: every block of the README is pasted as it stands, and does what the text
around it says. Only the ports are others, so that tests can run side by side."""

import json
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from conftest import DROVER, Gateway, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
READMES = ["README.md", "README.vi.md"]


def blocks(name, language, first, last):
    """The blocks of a language between the numbers of two second-level headings."""
    sections = re.split(r"^## ", (ROOT / name).read_text(), flags=re.M)[first:last]
    return [block for section in sections
            for block in re.findall(rf"^```{language}\n(.*?)^```", section, re.M | re.S)]


def paste(shell, folder, ports, timeout=60):
    for wish, port in ports.items():
        shell = shell.replace(f"127.0.0.1:{wish}", f"127.0.0.1:{port}")
    ran = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", shell], cwd=folder,
                         stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=timeout)
    assert ran.returncode == 0, shell + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", READMES)
def test_the_first_requests(name, gateway, tmp_path):
    ports = {8080: gateway.port, 8081: gateway.admin_port}
    whole, receipt, stream, refusal = blocks(name, "sh", 2, 3)
    answer = paste(whole, tmp_path, ports)
    assert "x-drover-target: sim" in answer and "x-drover-cost: 0.000136" in answer
    assert '"content":"This is a simulation, no model is behind it."' in answer
    request_id = re.search(r"^x-request-id: (\S+)", answer, re.M)[1]
    answer = paste(receipt.replace("REQUEST_ID", request_id), tmp_path, ports)
    assert f'"request_id":"{request_id}"' in answer and '"cost":0.000136' in answer
    answer = paste(stream, tmp_path, ports)
    assert '"delta":{"content":"This"}' in answer and answer.endswith("data: [DONE]\n\n")
    assert '"code":"malformed_api_key"' in paste(refusal, tmp_path, ports)


@pytest.mark.parametrize("name", READMES)
def test_the_first_lines_of_python(name, gateway):
    whole, frames = (subprocess.run([sys.executable, "-c",
                                     program.replace(":8080", f":{gateway.port}")],
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=60)
                     for program in blocks(name, "python", 2, 3))
    assert whole.stdout.startswith("This is a simulation, no model is behind it."), whole.stderr
    first, second, *_, last = map(json.loads, frames.stdout.splitlines())
    assert first["accepted"] and second["content"] == "This", frames.stderr
    assert last["done"] and last["cost"] == 0.00056 and last["seq"] == 66


@pytest.mark.parametrize("name", READMES)
def test_a_gateway_of_ones_own(name, tmp_path):
    ports = {8080: free_port(), 8081: free_port()}
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "drover").symlink_to(DROVER)
    (config,) = blocks(name, "yaml", 3, 4)
    for wish, port in ports.items():
        config = config.replace(f":{wish}", f":{port}")
    (tmp_path / "drover.yaml").write_text(config)
    (start,) = blocks(name, "sh", 3, 4)
    create, fill, usage = blocks(name, "sh", 4, 5)

    running = Gateway(tmp_path)
    running.port, running.admin_port = ports.values()
    with open(tmp_path / "drover.log", "ab") as log:
        running.process = subprocess.Popen(["bash", "-c", start.replace("build/drover serve",
                                                                        "exec build/drover serve")],
                                           cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=log)
    try:
        running.wait_until_listening()
        known = create.splitlines()[0] + "\n"
        account = paste(create, tmp_path, ports).split()[0]
        answer = paste(known + re.sub(r"acc_\w+", account, fill), tmp_path, ports)
        assert "  50 USD  my-team" in answer and "key: sk-drover-" in answer
        assert paste(known + usage.splitlines()[0], tmp_path, ports).startswith("day ")
        assert running.stop() == 0, running.log()
        answer = paste("build/drover account list --data drover-data", tmp_path, ports)
        assert "50 USD  my-team" in answer
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGKILL)
