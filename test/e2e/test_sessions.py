"""Conversations kept by the gateway: what the provider is sent, over turns, connections and workers."""

import json
import threading

import pytest

from rig import Provider, Relay, running, wait_for
from socket_chat import gather, open_socket, ask, receive, send


def said(text):
    return {"role": "user", "content": text}


class Echo:
    """A provider that keeps every ask, and answers as the last message wishes."""

    def __init__(self):
        self.asks = []
        self.go = threading.Event()
        self.provider = Provider(self.serve)

    def serve(self, visit):
        while (body := visit.ask()) is not None:
            self.asks.append(body["messages"])
            wish = body["messages"][-1]["content"]
            visit.begin_stream()
            if wish == "call":
                visit.send_event({"tool_calls": [{"index": 0, "id": "c1", "type": "function",
                                                  "function": {"name": "f", "arguments": "{\"a\""}}]})
                visit.send_event({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]})
            else:
                visit.send_event({"content": f"on \"{wish}\": "})
                visit.send_event({"content": "xin chào"})
            if wish == "fail":
                visit.send_chunk(b'data: {"error":{"message":"out of luck"}}\n\n')
                return
            if wish == "wait":
                self.go.wait(20)
            if wish == "leave":
                visit.wait_until_left()
            visit.end_stream()


def reply(wish):
    return {"role": "assistant", "content": f"on \"{wish}\": xin chào"}


@pytest.fixture
def echo():
    made = Echo()
    yield made
    made.go.set()
    made.provider.close()


def frame(text, session="s", **more):
    return {"model": "gpt-4.1", "session": session, "messages": [said(text)], **more}


@pytest.mark.threads
def test_a_session_lives_over_turns_connections_and_workers(tmp_path, echo):
    with running(Relay(tmp_path, echo.provider.url)) as relay:
        expected = []
        for number in range(8):
            with open_socket(relay, relay.key) as socket:
                for text in (f"{number}a", f"{number}b"):
                    assert ask(socket, frame(text)).text == reply(text)["content"]
                    expected += [said(text), reply(text)]
        with open_socket(relay, relay.key) as socket:
            ask(socket, frame("other", "t"))
            ask(socket, frame("none", None))
    assert echo.asks[15] == expected[:-1]
    assert echo.asks[16] == [said("other")] and echo.asks[17] == [said("none")]


def test_tool_calls_are_kept_and_their_results_follow(tmp_path, echo):
    with running(Relay(tmp_path, echo.provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            assert ask(socket, frame("call")).calls[0]["arguments"] == "{\"a\":1}"
            result = {"role": "tool", "tool_call_id": "c1", "content": "42"}
            ask(socket, {**frame("x"), "messages": [result, said("and now?")]})
    assert echo.asks[1] == [said("call"), {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
        result, said("and now?")]


@pytest.mark.threads
def test_requests_of_a_session_run_one_after_another(tmp_path, echo):
    with running(Relay(tmp_path, echo.provider.url)) as relay:
        with open_socket(relay, relay.key) as one, open_socket(relay, relay.key) as two:
            send(one, frame("wait", id="w"))
            wait_for(lambda: len(echo.asks) == 1, what="the first ask")
            for name in "abc":
                send(one, frame(name, id=name))
            send(two, frame("d", id="d"))
            send(two, frame("e", id="e"))
            send(two, frame("other", "t", id="t"))
            assert gather(two)["t"].text == reply("other")["content"]
            send(one, {"type": "cancel", "id": "b"})
            while (cancelled := receive(one))["id"] != "b":
                pass
            assert cancelled["finish_reason"] == "cancelled" and cancelled["cost"] == 0
            two.socket.close()  # d and e will never be sent
            echo.go.set()
            done = set()
            while done < {"w", "a", "c"}:
                told = receive(one)
                if told.get("done"):
                    assert told["finish_reason"] == "stop"
                    done.add(told["id"])
            ask(one, frame("last", id="last"))
    # Whether the two turns of a lost connection ran before its end was seen is open.
    order = [turn[-1]["content"] for turn in echo.asks if turn[0] == said("wait")]
    assert [text for text in order if text not in "de"] == ["wait", "a", "c", "last"]
    last = echo.asks[-1]
    assert [said("wait"), reply("wait"), said("a"), reply("a"), said("c"), reply("c")] == [
        each for each in last[:-1] if each not in (said("d"), reply("d"), said("e"), reply("e"))]


def test_what_was_delivered_is_kept_of_a_cancelled_turn_nothing_of_a_failed_one(tmp_path, echo):
    with running(Relay(tmp_path, echo.provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            ask(socket, frame("one"))
            assert ask(socket, frame("fail")).error["code"] == "upstream_error"
            send(socket, frame("leave", id="x"))
            text = ""
            while text != reply("leave")["content"]:
                text += receive(socket).get("content", "")
            send(socket, {"type": "cancel", "id": "x"})
            assert receive(socket)["finish_reason"] == "cancelled"
            assert ask(socket, {**frame("x"), "messages": "wrong"}).error["status"] == 400
            ask(socket, frame("two"))
    assert echo.asks[-1] == [said("one"), reply("one"), said("leave"), reply("leave"), said("two")]


def test_a_character_cut_between_two_deltas_is_whole(tmp_path):
    """In what comes, and in what the conversation keeps."""
    asks = []

    def serve(visit):
        while (body := visit.ask()) is not None:
            asks.append(body["messages"])
            visit.begin_stream()
            for content in ("xin \ud83d", "\ude00 chào \ud83d", "\ude01"):
                visit.send_event({"content": content})
            visit.end_stream()

    provider = Provider(serve)
    with running(Relay(tmp_path, provider.url)) as relay:
        with open_socket(relay, relay.key) as socket:
            for _ in range(2):
                assert ask(socket, frame("x")).text == "xin \U0001f600 chào \U0001f601"
    provider.close()
    assert asks[1][1] == {"role": "assistant", "content": "xin \U0001f600 chào \U0001f601"}


def test_sessions_belong_to_an_account(tmp_path, echo):
    relay = Relay(tmp_path, echo.provider.url)
    relay.create_key()
    first = relay.key
    second = relay.command_json("key", "create", "--account", relay.account)["key"]
    relay.create_key()
    with running(relay):
        for key, count in ((first, 1), (second, 3), (relay.key, 1)):
            with open_socket(relay, key) as socket:
                ask(socket, frame("hello"))
                assert len(echo.asks[-1]) == count


def test_sessions_are_bounded_in_number_bytes_and_time(tmp_path, echo):
    extra = "sessions: {per_account: 2, bytes: 1KiB, idle: 1500ms}\n"
    with running(Relay(tmp_path, echo.provider.url, extra=extra)) as relay:
        with open_socket(relay, relay.key) as socket:
            for name in ("a", "b", "a", "c"):  # c takes the place of b
                ask(socket, frame("x", name))
            assert len(echo.asks[2]) == 3
            ask(socket, frame("x", "a"))
            assert len(echo.asks[-1]) == 5
            long = ask(socket, frame("y" * 1000, "a"))
            assert long.error["code"] == "request_too_large" and long.error["param"] == "session"
            ask(socket, frame("y" * 900, "b"))
            assert len(echo.asks[-1]) == 1
            ended = ask(socket, frame("x", "b"))  # 900 and their echo were too much
            assert ended.error["status"] == 413

            def has_expired():
                ask(socket, frame("z", "c"))
                return len(echo.asks[-1]) == 1
            assert len(echo.asks) == 6
            threading.Event().wait(1.6)  # the time itself is what is tested
            assert has_expired()


@pytest.mark.parametrize("name", ["", 7, "n" * 257, "n" * (1 << 20), [], {}])
def test_a_name_that_is_none_is_refused(gateway, name):
    with open_socket(gateway) as socket:
        refused = ask(socket, frame("hello", name, id="x"))
        assert refused.error["code"] == "invalid_request" and refused.error["param"] == "session"
        assert ask(socket, json.dumps(frame("hello", "fine", max_tokens=2))).text
