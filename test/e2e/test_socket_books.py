"""Death, drain and reload under WebSocket load: the books hold every answer whose end a client saw, once,
at the cost that it was told."""

import contextlib
import random
import signal
import threading

import pytest
from websockets.exceptions import ConnectionClosed

from rig import ASK, Relay, nano, wait_for
from socket_chat import open_socket, receive, send
from test_crash import Sim, check_books

CLIENTS = 12


class Load:
    """Chats over WebSockets, two requests at once on each, until the gateway ends or `stop` is called."""

    def __init__(self, relay, max_tokens=6):
        self.relay = relay
        self.ask = {**ASK, "max_tokens": max_tokens}
        self.ended = []     # (request_id, cost)
        self.refused = []   # error codes
        self.codes = []     # of closes, one for each client
        self.left_open = []  # accepted, but not ended with the connection
        self.is_over = False
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        asked, begun = {"a", "b"}, set()
        try:
            with open_socket(self.relay, self.relay.key) as socket:
                for name in sorted(asked):
                    send(socket, {**self.ask, "id": name})
                while asked or not self.is_over:
                    self.take(socket, receive(socket), asked, begun)
                self.codes.append(None)
        except ConnectionClosed as closed:
            self.codes.append(closed.rcvd and closed.rcvd.code)
        except (OSError, EOFError, TimeoutError) as error:
            self.codes.append(error)
        self.left_open += sorted(begun)

    def take(self, socket, frame, asked, begun):
        if frame.get("accepted"):
            begun.add(frame["id"])
        if not frame.get("done"):
            return
        asked.discard(frame["id"])
        begun.discard(frame["id"])
        if "error" in frame:
            self.refused.append(frame["error"]["code"])
            return
        self.ended.append((frame["request_id"], round(frame["cost"] * 10 ** 9)))
        if not self.is_over:
            asked.add(frame["id"])
            with contextlib.suppress(ConnectionClosed):  # what came before is still to be read
                send(socket, {**self.ask, "id": frame["id"]})

    def wait_for(self, count):
        wait_for(lambda: len(self.ended) >= count, 20, "the load")

    def join(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(30)
        assert len(self.codes) == CLIENTS


@pytest.fixture
def relay(tmp_path):
    sim = Sim(tmp_path)
    made = Relay(tmp_path, sim.url, upstream_model="gpt-4.1")
    yield made
    sim.close()
    if made.process and made.process.poll() is None:
        made.kill()


def test_kill_9_loses_and_doubles_nothing(relay):
    seeded = random.Random(20261124)
    ended = []
    for _ in range(2):
        relay.start()
        load = Load(relay)
        load.wait_for(20)
        # Not a wait for anything: the moment of death is to be any.
        threading.Event().wait(seeded.uniform(0.02, 0.25))
        relay.kill()
        load.join()
        ended += load.ended
        rows = check_books(relay, ended)
    assert {row["transport"] for row in rows} == {"ws"} and len(ended) > 40


def test_a_drain_lets_answers_end_and_says_1012(relay):
    relay.start()
    load = Load(relay, max_tokens=60)
    load.wait_for(20)
    relay.process.send_signal(signal.SIGTERM)
    assert relay.process.wait(30) == 0, relay.log()
    load.join()
    assert load.codes == [1012] * CLIENTS
    assert load.left_open == [] and set(load.refused) <= {"draining"}
    rows = check_books(relay, load.ended)
    served = {row["request_id"] for row in rows if row["status"] == 200}
    assert served == {request_id for request_id, _ in load.ended}
    assert sorted(row["status"] for row in rows if row["status"] != 200) == [503] * len(load.refused)


def test_reloads_that_change_the_price_charge_what_was_told(relay):
    relay.start()
    load = Load(relay)
    for number in range(1, 7):
        load.wait_for(len(load.ended) + 15)
        relay.file.write_text(relay.file.read_text().replace(
            *(("8.00", "16.00") if number % 2 else ("16.00", "8.00"))))
        relay.hang_up()
        wait_for(lambda: relay.log().count("server.reloaded") == number, what="the reload")
    load.wait_for(len(load.ended) + 15)
    load.join()
    assert relay.stop() == 0, relay.log()
    assert load.codes == [None] * CLIENTS and load.refused == [] and load.left_open == []
    rows = check_books(relay, load.ended)
    assert len(rows) == len(load.ended)
    prices = {nano(row["cost"]) // int(row["usage"]["total_tokens"]) for row in rows}
    assert prices == {8000, 16000}
