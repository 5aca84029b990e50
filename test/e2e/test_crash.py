"""Death and a full disk: the books hold every answer whose end a client saw, once, and add up exactly."""

import contextlib
import os
import random
import resource
import subprocess
import threading

import pytest

from conftest import DROVER
from rig import ASK, Provider, Relay, Wire, answer_always, call, get, nano, post, wait_for

KILLS = int(os.environ.get("DROVER_KILLS", "6"))
CLIENTS = 24


class Sim:
    """`drover sim` as a process of its own: it survives the gateway."""

    def __init__(self, folder):
        self.log = folder / "sim.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [DROVER, "sim", "--listen", "127.0.0.1:0", "--first-token-ms", "1",
                 "--token-ms", "1"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        line = wait_for(lambda: "\n" in (text := self.log.read_text()) and text,
                        what="the provider")
        self.url = f"http://127.0.0.1:{line.split()[-1]}/v1"

    def close(self):
        self.process.kill()
        self.process.wait()


class Load:
    """Clients that ask again and again until the gateway dies; notes whose answer's end was seen."""

    def __init__(self, relay):
        self.relay = relay
        self.ended = []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, index):
        body = {**ASK, "max_tokens": 6, "user": f"client {index}"}
        if index % 2:
            body["stream"] = True
        with contextlib.suppress(OSError, AssertionError), Wire(self.relay.port) as wire:
            while wire.send(self.relay.post(body)):
                status, fields = wire.head() or (None, None)
                if status != 200:
                    return
                fields = dict(fields)
                if index % 2:
                    # The end is [DONE]; whether the last chunk followed is not the client's matter.
                    found = b""
                    for piece in wire.chunks():
                        if piece is None:
                            break
                        found += piece
                    if b"data: [DONE]" not in found:
                        return
                    cost = None
                else:
                    count = int(fields["content-length"])
                    if len(wire.take(count)) < count:
                        return
                    cost = nano(fields["x-drover-cost"])
                self.ended.append((fields["x-request-id"], cost))

    def join(self):
        for thread in self.threads:
            thread.join(30)


def check_books(relay, ended, topped_up=100):
    """Everything seen is there once, and the balance is what is left."""
    rows = relay.usage()
    costs = {row["request_id"]: nano(row["cost"]) for row in rows}
    assert len(costs) == len(rows), "an exchange is in the books twice"
    missing = [request_id for request_id, _ in ended if request_id not in costs]
    assert missing == [], f"{len(missing)} of {len(ended)} answers are not in the books"
    assert all(cost in (None, costs[request_id]) for request_id, cost in ended)
    account = relay.command_json("account", "show", relay.account)
    balance = nano(account.get("credits", account.get("balance")))
    assert balance == topped_up * 10 ** 9 - sum(costs.values())
    return rows


def test_kill_9_under_load_loses_and_doubles_nothing(tmp_path):
    seeded = random.Random(20261124)
    sim = Sim(tmp_path)
    relay = Relay(tmp_path, sim.url, upstream_model="gpt-4.1")
    ended = []
    try:
        for number in range(KILLS):
            relay.start()
            before = relay.usage_over_http()
            load = Load(relay)
            wait_for(lambda: len(load.ended) > 20, 20, "the load")
            # Not a wait for anything: the moment of death is to be any.
            threading.Event().wait(seeded.uniform(0.02, 0.25))
            relay.kill()
            load.join()
            ended += load.ended
            rows = check_books(relay, ended)
            assert len(rows) >= before + len(load.ended)
        relay.start()
        assert relay.usage_over_http() == len(rows)
        assert call(relay.port, relay.post()).status == 200
        assert relay.stop() == 0, relay.log()
    finally:
        sim.close()
        if relay.process.poll() is None:
            relay.kill()
    rows = check_books(relay, ended)
    assert {row["status"] for row in rows} <= {200, 499, 502}
    print(f"{KILLS} kills: {len(ended)} ends seen, {len(rows)} exchanges in the books")


# --- a full disk -----------------------------------------------------------------------------------


class Tmpfs:
    """A small disk, filled by a file beside the books."""

    def __init__(self, folder):
        self.data = folder / "disk"
        self.data.mkdir()
        self.is_mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", self.data],
            capture_output=True).returncode == 0

    def fill(self, _relay):
        free = os.statvfs(self.data)
        left = free.f_bavail * free.f_frsize - 3 * 1024 * 1024
        with open(self.data / "filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, left)

    def free(self, _relay):
        (self.data / "filler").unlink()

    def close(self):
        subprocess.run(["umount", self.data], check=True)


class Taken:
    """Where nobody may mount: the journal's folder is away, so that no segment can be made."""

    def __init__(self, folder):
        self.data = folder / "data"

    def fill(self, _relay):
        (self.data / "journal").rename(self.data / "away")

    def free(self, _relay):
        (self.data / "away").rename(self.data / "journal")

    def close(self):
        pass


@pytest.fixture(params=["mounted", "taken"])
def disk(request, tmp_path):
    found = Tmpfs(tmp_path) if request.param == "mounted" else None
    if found is None or not found.is_mounted:
        found = Taken(tmp_path)
    yield found
    found.close()


def fill_journal(relay, seen):
    """Refused exchanges of the largest size, in a long row, until there is no room for more.

    Returns how many were answered 404."""
    request = relay.post({"model": "m" * 256, "user": "u" * 256, "messages": ASK["messages"]})
    count = 0
    with Wire(relay.port) as wire:
        while count < 100000:
            wire.send(request * 40)
            for _ in range(40):
                answer = wire.answer()
                if answer.status == 503:
                    seen.append(answer)
                else:
                    assert answer.status == 404, answer
                    count += 1
            if seen:
                return count
    raise AssertionError("the journal takes everything")


def test_a_full_disk_is_told_and_books_stay_right(tmp_path, disk):
    go = threading.Event()

    def serve(visit):
        while (ask := visit.ask()) is not None:
            if ask.get("stream"):
                visit.begin_stream()
                visit.send_event({"content": "Hello"})
                go.wait(60)
                visit.end_stream()
            else:
                visit.send_json()

    provider = Provider(serve)
    relay = Relay(tmp_path, provider.url, data=disk.data, workers=1)
    relay.start()
    try:
        ended = []
        streams = []
        for _ in range(10):
            wire = Wire(relay.port, timeout=60)
            wire.send(relay.post({**ASK, "stream": True}))
            ended.append((dict(wire.head()[1])["x-request-id"], None))
            pieces = wire.chunks()
            next(pieces)
            streams.append((wire, pieces))
        disk.fill(relay)
        refused = []
        answered = fill_journal(relay, refused)

        for answer in [*refused[:3], call(relay.port, relay.post())]:
            assert answer.status == 503 and answer.error["code"] == "storage_full"
            assert "disk" in answer.error["message"]
        unready = call(relay.port, get("/readyz"))
        assert unready.status == 503 and unready.json == {"status": "storage_full"}
        assert int(unready.field("retry-after")) >= 1
        assert call(relay.port, get("/healthz")).status == 200
        # Room for those that run was reserved: they end, and are charged.
        go.set()
        for wire, pieces in streams:
            assert b"[DONE]" in b"".join(pieces)
            wire.close()

        disk.free(relay)
        wait_for(lambda: call(relay.port, get("/readyz")).status == 200, what="readiness")
        for _ in range(5):
            answer = call(relay.port, relay.post())
            assert answer.status == 200
            ended.append((answer.field("x-request-id"), nano(answer.field("x-drover-cost"))))
        wait_for(lambda: relay.usage_over_http() == answered + len(ended), 20, "the books")
        relay.kill()
    finally:
        if relay.process.poll() is None:
            relay.kill()
        provider.close()
    rows = check_books(relay, ended)
    assert len(rows) == answered + len(ended)


def test_a_start_on_a_full_disk_says_so(tmp_path):
    provider = Provider(answer_always)
    disk = Tmpfs(tmp_path)
    folder = disk.data if disk.is_mounted else tmp_path / "data"
    relay = Relay(tmp_path, provider.url, data=folder)
    try:
        relay.write()
        relay.create_key()
        if disk.is_mounted:
            disk.fill(relay)
        else:
            (folder / "journal").write_text("in the way")
        relay.launch()
        assert relay.process.wait(timeout=30) == 1, relay.log()
        assert "could not start" in relay.log() and "journal" in relay.log(), relay.log()
        if disk.is_mounted:
            assert "disk is full" in relay.log()
    finally:
        if disk.is_mounted:
            disk.close()
        provider.close()


def test_a_limit_on_files_refuses_requests_and_kills_nothing(own_gateway):
    """`ulimit -f`, set while it runs: the system's signal for it would end the gateway."""
    def ask():
        return call(own_gateway.port, post())

    def limit(length):
        _, hard = resource.prlimit(own_gateway.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(own_gateway.process.pid, resource.RLIMIT_FSIZE, (length, hard))

    limit(4096)
    for _ in range(8):
        refused = ask()
        assert refused.status == 503 and refused.error["code"] == "storage_full"
    limit(resource.RLIM_INFINITY)
    for _ in range(3):
        wait_for(lambda: ask().status == 200, what="an answer")
    assert own_gateway.stop() == 0, own_gateway.log()
