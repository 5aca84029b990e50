"""Recorded answers of Anthropic and Gemini through a running gateway: to OpenAI's clients they must say, over
JSON, event streams and WebSockets, what the golden texts' own reader finds in them. And what is asked of these
providers, what they refuse, how they fail, and how a turn with tools goes on.
DROVER_ALL_CUTS=1 cuts as in test_recordings.py."""

import asyncio
import collections
import itertools
import json
import math
import random
import re
import sys
import urllib.parse

import openai
import pytest

from rig import wait_for
from socket_chat import ask, open_socket
from test_recordings import (CONNECTIONS, HAS_ALL_CUTS, LONG_CUTS, PRICE, TEST, House, Recorded, Replay,
                             fixture_of, make, read_by_sdk, sdk, split_answer)

sys.path.insert(0, str(TEST / "golden"))
import make_providers  # noqa: E402  the golden texts' reader

FOLDERS = ("anthropic", "gemini")
READERS = {"anthropic": make_providers.anthropic_lines, "gemini": make_providers.gemini_lines}


def first_message(entry, raw):
    """The lines of the first message: some recordings go on with another answer behind the end."""
    if entry["folder"] == "anthropic" and entry["status"] == 200:
        return list(next(iter(make_providers.anthropic_messages(entry, raw))).lines())
    return list(READERS[entry["folder"]](entry, raw))


class ProviderRecording(Recorded):
    def __init__(self, folder, entry, number):
        super().__init__(folder, entry, number)
        self.golden = first_message(entry | {"folder": folder}, self.body)
        self.error = next((line.removeprefix("error ").split(" | ") for line in self.golden
                           if line.startswith("error ")), None)
        self.is_ended = "end" in self.golden or not self.is_stream

    @property
    def model(self):
        return f"{self.folder}:{self.number}/chunk/0"

    def lines(self, kind):
        return [line for line in self.golden if re.match(kind + " ", line)]


class Spoken(ProviderRecording):
    """An answer of our own making; `stall` says half of it and no more."""

    def pieces(self, how, cut):
        if how != "stall":
            return super().pieces(how, cut)
        half = self.body[:len(self.body) // 2]
        return [self.head("chunk") + b"%x\r\n%s\r\n" % (len(half), half)]

    def __init__(self, name, folder, number, body, status=200, headers=()):
        self.name = name
        self.folder = folder
        self.number = number
        self.status = status
        self.is_stream = not body.startswith(b"{") or status != 200
        self.body = body
        self.headers = {"content-type": "text/event-stream" if self.is_stream else "application/json"}
        self.headers.update(headers)


numbers = itertools.count()
RECORDINGS = [ProviderRecording(folder, entry, next(numbers)) for folder in FOLDERS
              for entry in json.loads((TEST / "fixtures" / folder / "INDEX.json").read_text())]


def spoken(name, folder, *events, **options):
    body = b"".join(each if isinstance(each, bytes) else b"data: %s\n\n" % json.dumps(each).encode()
                    for each in events)
    made = Spoken(name, folder, next(numbers), body, **options)
    SPOKEN[name] = made
    return made


SPOKEN = {}
START = {"type": "message_start", "message": {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
    "stop_reason": None, "usage": {"input_tokens": 40, "output_tokens": 1}}}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
STOP = [{"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"output_tokens": 9}},
        {"type": "message_stop"}]


def text(words, index=0):
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": words}}


def part(**what):
    return {"responseId": "r1", "modelVersion": "gemini-x", "candidates": [
        {"index": 0, "content": {"role": "model", "parts": [what]}}],
        "usageMetadata": {"promptTokenCount": 40, "candidatesTokenCount": 4, "totalTokenCount": 44}}


FINISHED = {"responseId": "r1", "candidates": [{"index": 0, "finishReason": "STOP"}], "usageMetadata": {
    "promptTokenCount": 40, "candidatesTokenCount": 9, "totalTokenCount": 49}}
GOOD = spoken("good", "anthropic", START, BLOCK, text("good "), text("day"), *STOP)
GOOD_GEMINI = spoken("good-gemini", "gemini", part(text="good "), part(text="day"), FINISHED)
spoken("pings", "anthropic", b"event: ping\ndata: {\"type\": \"ping\"}\n\n", START, {"type": "ping"}, BLOCK,
       {"type": "vertex_event"}, text("good "), {"type": "ping"}, text("day"), *STOP)
spoken("cut", "anthropic", START, BLOCK, text("good "), text("day"))
spoken("cut-before-stop", "anthropic", START, BLOCK, text("good "), *STOP[:2])
spoken("cut-gemini", "gemini", part(text="good "), part(text="day"))
spoken("broken", "anthropic", START, BLOCK, text("good "), b"data: {\"type\":\"content_blo\n\n", *STOP)
spoken("broken-gemini", "gemini", part(text="good "), b"data: {\"candidates\":[\n\n", FINISHED)
spoken("broken-first", "anthropic", b"data: {\"type\":\n\n")
spoken("utf-8", "anthropic", START, BLOCK, text("good "), b'data: {"type":"content_block_delta","index":0,"delta":'
       b'{"type":"text_delta","text":"\xff\xfe day"}}\n\n', *STOP)
spoken("utf-8-gemini", "gemini", part(text="good "), b'data: {"candidates":[{"content":{"parts":'
       b'[{"text":"\xc3("}]}}]}\n\n', FINISHED)
# Out of order: a delta before the message and of a block that never began, a jump of the index.
spoken("disorder", "anthropic", BLOCK, START, text("good ", 7), text("day", 0), *STOP)
spoken("jump", "anthropic", START, {"type": "content_block_start", "index": 9, "content_block": {
    "type": "tool_use", "id": "toolu_9", "name": "look", "input": {}}},
    {"type": "content_block_delta", "index": 9, "delta": {
        "type": "input_json_delta", "partial_json": "{\"at\":1}"}},
    {"type": "content_block_stop", "index": 9},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"})
LOOK = {"type": "content_block_start", "index": 1, "content_block": {
    "type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}}
# Blocks behind the reason to stop, a call that nobody could carry out, two calls at once.
spoken("behind", "anthropic", START, BLOCK, text("good day"), *STOP[:2], BLOCK, text("to you"), LOOK, STOP[2])
spoken("nameless", "anthropic", START, BLOCK, text("good day"),
       LOOK | {"content_block": LOOK["content_block"] | {"name": ""}}, *STOP)
spoken("two-calls", "anthropic", START, LOOK, LOOK | {"index": 2}, *STOP)
spoken("unfinished-gemini", "gemini", part(text="good "), {"candidates": [
    {"index": 1, "content": {"role": "model", "parts": [{"text": "day"}]}}]}, FINISHED)
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
spoken("overloaded-first", "anthropic", OVERLOADED)
spoken("overloaded-later", "anthropic", START, BLOCK, text("good "), OVERLOADED)
spoken("too-long", "anthropic", b'{"type":"error","error":{"type":"invalid_request_error","message":'
       b'"prompt is too long: 210000 tokens > 200000 maximum"}}', status=400)
spoken("no-credit", "anthropic", b'{"type":"error","error":{"type":"invalid_request_error","message":'
       b'"Your credit balance is too low to access the Anthropic API."}}', status=400)
spoken("busy", "anthropic", b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}',
       status=429, headers={"retry-after": "17"})
# What speaks of the gateway's own account, and what hides in an answer that HTTP called good.
spoken("spent", "anthropic", b'{"type":"error","error":{"type":"invalid_request_error","message":"You have reached '
       b'your specified API usage limits. You will regain access on 2025-11-01 at 00:00 UTC."}}', status=400)
spoken("location", "gemini", b'{"error":{"code":400,"message":"User location is not supported for the API use.",'
       b'"status":"FAILED_PRECONDITION"}}', status=400)
spoken("quota", "plain", b'{"error":{"message":"You exceeded your current quota (org-4711)","type":'
       b'"insufficient_quota","param":null,"code":"insufficient_quota"}}', status=429, headers={"retry-after": "9"})
spoken("named", "plain", b'{"error":{"message":"Rate limit reached in organization org-AbCdEf on tokens per min",'
       b'"type":"tokens","param":null,"code":"rate_limit_exceeded"}}', status=429, headers={"retry-after-ms": "20500"})
spoken("reset", "anthropic", b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}', status=429,
       headers={"anthropic-ratelimit-requests-reset": "2099-01-01T00:00:00Z",
                "anthropic-ratelimit-requests-remaining": "0"})
spoken("too-long-plain", "plain", b'{"error":{"message":"maximum context length is 65536 tokens","type":'
       b'"invalid_request_error","param":null,"code":"invalid_request_error"}}', status=400)
spoken("quoted", "plain", b'{"error":{"message":"Unrecognized request argument supplied: API key not valid","type":'
       b'"invalid_request_error","param":null,"code":"unknown_parameter"}}', status=400)
spoken("numbered", "plain", b'{"error":{"message":"Bad parameter","code":"1210"}}', status=400)
spoken("too-large", "anthropic", b"<html><title>413 Request Entity Too Large</title></html>", status=413)
spoken("late", "anthropic", b'{"type":"error","error":{"type":"timeout_error","message":"too slow"}}', status=504)
spoken("cancelled", "gemini", b'{"error":{"code":499,"message":"cancelled","status":"CANCELLED"}}', status=499)
spoken("too-long-within", "anthropic", {"type": "error", "error": {
    "type": "invalid_request_error", "message": "prompt is too long: 2 tokens > 1 maximum"}})
spoken("key-within", "anthropic", {"type": "error", "error": {
    "type": "authentication_error", "message": "invalid x-api-key sk-ant-SECRET"}})
spoken("key-within-gemini", "gemini", {"error": {
    "code": 400, "message": "API key not valid: AIzaSECRET", "status": "INVALID_ARGUMENT",
    "details": [{"reason": "API_KEY_INVALID"}]}})
spoken("busy-within", "plain", {"error": {"message": "Slow down", "code": 429}})
spoken("busy-whole", "plain", b'{"error":{"message":"Slow down, try again in 20s","code":429}}')
spoken("no-counts", "gemini", {"candidates": [{"content": {"parts": [{"text": "good day"}]},
                                               "finishReason": "STOP"}]})
spoken("thinking", "anthropic", START,
       {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
       {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me "}},
       {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "look."}},
       {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "SEAL=="}},
       {"type": "content_block_stop", "index": 0},
       {"type": "content_block_start", "index": 1, "content_block": {
           "type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}},
       {"type": "content_block_delta", "index": 1, "delta": {
           "type": "input_json_delta", "partial_json": "{\"at\":"}},
       {"type": "content_block_delta", "index": 1, "delta": {
           "type": "input_json_delta", "partial_json": "1}"}},
       {"type": "content_block_stop", "index": 1},
       {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
       {"type": "message_stop"})
# As newer models think by default: their words are not shown.
spoken("unshown", "anthropic", START,
       {"type": "content_block_start", "index": 0, "content_block": {
           "type": "thinking", "thinking": "", "signature": ""}},
       {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "SEAL=="}},
       {"type": "content_block_stop", "index": 0},
       {"type": "content_block_start", "index": 1, "content_block": {
           "type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}},
       {"type": "content_block_delta", "index": 1, "delta": {
           "type": "input_json_delta", "partial_json": "{\"at\":1}"}},
       {"type": "content_block_stop", "index": 1},
       {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
       {"type": "message_stop"})
spoken("call-gemini", "gemini", part(functionCall={"name": "look", "args": {"at": 1}},
                                     thoughtSignature="U0VBTA=="), FINISHED)
spoken("plain", "plain", {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
    {"index": 0, "delta": {"role": "assistant", "content": "good day"}, "finish_reason": None}]}, {
    "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
        {"index": 0, "delta": {}, "finish_reason": "stop"}]}, b"data: [DONE]\n\n")
# What is reported is not what is charged, or stands where it is not looked for; a prompt that was blocked.
EXPLAINED = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "This cannot be " * 9}}
spoken("no-start", "anthropic", BLOCK, text("good "), text("day"), *STOP)
spoken("refused", "anthropic", START, {"type": "message_delta", "delta": EXPLAINED, "usage": {"output_tokens": 0}},
       STOP[2])
spoken("refused-whole", "anthropic", json.dumps(
    START["message"] | EXPLAINED | {"usage": {"input_tokens": 40, "output_tokens": 0}}).encode())
BLOCKED = {"promptFeedback": {"blockReason": "MODEL_ARMOR", "blockReasonMessage": "The prompt is not " * 9},
           "modelVersion": "gemini-x", "responseId": "r1"}
COUNTED = {"promptTokenCount": 40, "totalTokenCount": 40}
UNCOUNTED = {"trafficType": "ON_DEMAND"}
for name, made in (("blocked", COUNTED), ("blocked-uncounted", UNCOUNTED)):
    spoken(name, "gemini", BLOCKED | {"usageMetadata": made})
    spoken(name + "-whole", "gemini", json.dumps(BLOCKED | {"usageMetadata": made}).encode())
spoken("promptless", "gemini", part(text="good day") | {"usageMetadata": {"candidatesTokenCount": 9}}, {
    "candidates": [{"finishReason": "STOP"}], "usageMetadata": {"candidatesTokenCount": 9}})
spoken("behind-count", "gemini", part(text="good "), part(text="day " * 10) | {"usageMetadata": None}, {
    "candidates": [{"finishReason": "STOP"}]})
# Thoughts are no answer, nor is a candidate without an end.
THOUGHT = part(text="hm", thought=True)
MALFORMED = {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed call"}]}
spoken("mistaken", "gemini", THOUGHT, MALFORMED)
spoken("mistaken-whole", "gemini", json.dumps(THOUGHT | {"candidates": [
    THOUGHT["candidates"][0] | MALFORMED["candidates"][0]]}).encode())
spoken("half-mistaken", "gemini", {"candidates": [MALFORMED["candidates"][0] | {"index": 0}, {
    "index": 1, "content": {"parts": [{"text": "good day"}]}, "finishReason": "STOP"}]})
spoken("endless-whole", "gemini", json.dumps(part(text="half")).encode())
spoken("empty-whole", "gemini", json.dumps({"candidates": [], "usageMetadata": COUNTED}).encode())
spoken("bare-error", "gemini", part(text="good "),
       b'{\n  "error": {\n    "code": 503,\n\n    "message": "The model is overloaded.",\n\n'
       b'    "status": "UNAVAILABLE"\n  }\n}\n')
spoken("call-gemini-whole", "gemini", json.dumps({"candidates": [{"content": {"parts": [
    {"functionCall": {"name": "look", "args": {"at": 1}}}]}, "finishReason": "STOP"}]}).encode())
spoken("plain-whole", "plain", b'{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
       b'"message":{"role":"assistant","content":"good day"},"finish_reason":"stop"}]}')
PLAIN = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
SAID = PLAIN | {"choices": [{"index": 0, "delta": {"content": "good day"}, "finish_reason": None}]}
ENDED = PLAIN | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
spoken("plain-finishless", "plain", SAID, b"data: [DONE]\n\n")
# Calls, and choices of several, that never say how they ended.
FETCH = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def endless(name, *deltas):
    spoken(name, "plain", *(PLAIN | {"choices": [{"index": index, "delta": delta, "finish_reason": reason}]}
                            for index, delta, reason in deltas), b"data: [DONE]\n\n")


endless("finishless-call", (0, {"tool_calls": [FETCH]}, None))
endless("finishless-function", (0, {"function_call": FETCH["function"]}, None))
endless("finishless-second", (0, {"content": "good"}, None), (1, {"content": "day"}, None), (0, {}, "length"))
endless("finishless-call-second", (0, {"content": "good"}, "stop"), (1, {"tool_calls": [FETCH]}, None))
endless("finishless-alone", (0, {"content": "good day"}, None))
for name, count in (("part", {"prompt_tokens": 40, "completion_tokens": 0, "total_tokens": 40}),
                    ("zero", {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
                    ("full", {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49, "odd": 1})):
    spoken("plain-" + name, "plain", SAID, ENDED, PLAIN | {"choices": [], "usage": count}, b"data: [DONE]\n\n")
# One event is rendered larger than what a piece has room for.
LARGE = "\x01\u00e9" * 60000
spoken("large", "anthropic", START, BLOCK, text("good "), text(LARGE), text("day"), *STOP)
# Of one read more is rendered than a piece has room for: each event bears the long name.
NAMED = {"type": "message_start", "message": START["message"] | {"model": "claude-" + "x" * 400}}
MANY = spoken("many", "anthropic", NAMED, BLOCK, *(text(f"word{i} ") for i in range(2000)), *STOP)


class ProviderReplay(Replay):
    recordings = [*RECORDINGS, *SPOKEN.values()]
    asked = []  # (head, body) of each request
    lost = []  # the model of the latest request of each connection that has ended

    def connection_lost(self, _error):
        ProviderReplay.lost.append((self.ask or {}).get("model"))

    def model(self, head):
        ProviderReplay.asked.append((head.decode(), self.ask))
        path = head.split(b" ")[1].decode()
        assert path in ("/v1/messages", "/v1/chat/completions") or re.fullmatch(
            r"/v1beta/models/[^/:]+:(streamGenerateContent\?alt=sse|generateContent)", path), path
        return super().model(head)


class ProviderHouse(House):
    replay = ProviderReplay
    config = f"""
timeouts: {{first_byte: 20s, between_bytes: 20s}}
providers:
  claude: {{dialect: anthropic, base_url: "http://127.0.0.1:PORT", api_keys: [sk-ant-recorded]}}
  google: {{dialect: gemini, base_url: "http://127.0.0.1:PORT", api_keys: [AIza-recorded]}}
  plain: {{dialect: openai, base_url: "http://127.0.0.1:PORT/v1", api_keys: [sk-plain]}}
models:
  "anthropic:*": {{{PRICE}, targets: [{{name: claude, provider: claude, model: "*"}}]}}
  "gemini:*": {{{PRICE}, targets: [{{name: google, provider: google, model: "*"}}]}}
  "plain:*": {{{PRICE}, targets: [{{name: plain, provider: plain, model: "*"}}]}}
  fails:
    {PRICE}
    targets:
      - {{name: claude, provider: claude, model: "anthropic:{SPOKEN['overloaded-first'].number}/chunk/0"}}
      - {{name: plain, provider: plain, model: "plain:{SPOKEN['plain'].number}/chunk/0"}}
  falls:
    {PRICE}
    targets:
      - {{name: plain, provider: plain, model: "plain:{SPOKEN['overloaded-first'].number}/chunk/0"}}
      - {{name: claude, provider: claude, model: "anthropic:{SPOKEN['overloaded-first'].number}/chunk/0"}}
      - {{name: google, provider: google, model: "gemini:{GOOD_GEMINI.number}/chunk/0"}}
  poor:
    {PRICE}
    targets:
      - {{name: spent, provider: claude, model: "anthropic:{SPOKEN['spent'].number}/chunk/0"}}
      - {{name: location, provider: google, model: "gemini:{SPOKEN['location'].number}/chunk/0"}}
      - {{name: quota, provider: plain, model: "plain:{SPOKEN['quota'].number}/chunk/0"}}
      - {{name: key, provider: claude, model: "anthropic:{SPOKEN['key-within'].number}/chunk/0"}}
      - {{name: google, provider: google, model: "gemini:{GOOD_GEMINI.number}/chunk/0"}}
  able:
    {PRICE}
    targets:
      - {{name: claude, provider: claude, model: "anthropic:{GOOD.number}/chunk/0"}}
      - {{name: google, provider: google, model: "gemini:{GOOD_GEMINI.number}/chunk/0"}}
  mistakes:
    {PRICE}
    targets:
      - {{name: mistaken, provider: google, model: "gemini:{SPOKEN['mistaken-whole'].number}/chunk/0"}}
      - {{name: endless, provider: google, model: "gemini:{SPOKEN['endless-whole'].number}/chunk/0"}}
      - {{name: empty, provider: google, model: "gemini:{SPOKEN['empty-whole'].number}/chunk/0"}}
      - {{name: plain, provider: plain, model: "plain:{SPOKEN['plain-whole'].number}/chunk/0"}}
  unable:
    {PRICE}
    targets:
      - {{name: busy, provider: google, model: "gemini:{SPOKEN['busy'].number}/chunk/0"}}
      - {{name: claude, provider: claude, model: "anthropic:{GOOD.number}/chunk/0"}}
"""

    def say(self, name, **wishes):
        """A stream of our own making: (status, headers, lines, body)."""
        status, headers, body = self.post(SPOKEN[name].model if name in SPOKEN else name, **wishes)
        lines = lines_of(body, True) if status == 200 else None
        return status, headers, lines, body

    def post(self, *arguments, **wishes):
        return split_answer(self.post_raw(*arguments, **wishes))

    def post_raw(self, model, stream=True, headers=(), **wishes):
        body = {"model": model, "messages": [{"role": "user", "content": "again"}], "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        return self.post_body(json.dumps(body | wishes), headers)


house = fixture_of(ProviderHouse)


# --- what the client should get


class Answer(make.Answer):
    """With what must be sent back, and sources."""

    def __init__(self):
        super().__init__()
        self.seals = collections.defaultdict(list)
        self.sources = collections.defaultdict(list)
        self.logprobs = collections.Counter()

    def add(self, chunk):
        super().add(chunk)
        for choice in chunk.get("choices") or []:
            said = choice.get("delta") or choice.get("message") or {}
            seals, sources = self.seals[choice["index"]], self.sources[choice["index"]]
            for place, call in enumerate(said.get("tool_calls") or []):
                if "extra_content" in call:
                    seals.append(("call", str(call.get("index", place)),
                                  call["extra_content"]["google"]["thought_signature"]))
            for detail in said.get("reasoning_details") or []:
                if detail.get("signature"):
                    seals.append(("thinking", "0", detail["signature"]))
                elif detail.get("data"):
                    kind = "text" if detail["format"].startswith("google") else "redacted"
                    seals.append((kind, "0", detail["data"]))
            for note in said.get("annotations") or []:
                sources.append((note["url_citation"]["url"], note["url_citation"]["title"]))
            self.logprobs[choice["index"]] += len((choice.get("logprobs") or {}).get("content") or [])

    def lines(self):
        for line in super().lines():
            found = re.match(r"choice (\d+) finish ", line)
            if found:
                number = int(found[1])
                for seal in self.seals[number]:
                    yield f"choice {number} seal " + " | ".join(map(make.plain, seal))
                for source in self.sources[number]:
                    yield f"choice {number} source " + " | ".join(map(make.plain, source))
                if self.logprobs[number]:
                    yield f"choice {number} logprobs {self.logprobs[number]}"
            yield line


def lines_of(body, is_stream):
    answer = Answer()
    if not is_stream:
        answer.add(json.loads(body))
        return list(answer.lines())
    for payload in make.payloads(body):
        assert not answer.is_ended and not answer.error, payload
        if payload == "[DONE]":
            answer.is_ended = True
        else:
            answer.add(json.loads(payload))
    return list(answer.lines())


def same(lines):
    """Without what the dialects differ in by right: ids made up, and the order in which seals stand."""
    lines = [re.sub(r"^(choice \d+ call \d+) call_\S+ ", r"\1 call_* ", line) for line in lines]
    return sorted(line for line in lines if not line.startswith(("usage ", "error ", "end", "id ")))


def expected(recording):
    lines = ["choice 0 finish stop" if line == "choice 0 finish other" else line
             for line in recording.golden]
    if not recording.is_stream and not any(line.startswith("choice ") for line in lines):
        lines += ["choice 0 reasoning -", "choice 0 text -", "choice 0 refusal -", "choice 0 finish stop"]
    return [line if line != "model -" else "model " + recording.model for line in lines]


def expected_refusal(recording):
    """(status, type, code) by INTERFACE section 3."""
    _, word, code, _ = recording.error
    if recording.status == 429:
        return 429, "rate_limit_error", "upstream_rate_limited"
    if recording.status in (503, 529) or code == "overloaded":
        return 503, "server_error", "no_healthy_upstream"
    if (recording.status in (401, 402, 403) or word == "FAILED_PRECONDITION"
            or code in ("invalid_api_key", "insufficient_quota")):
        return 502, "server_error", "upstream_error"
    if recording.status in (400, 404, 413, 422):
        code = "not_found" if code == "-" and recording.status == 404 else code
        return recording.status, "invalid_request_error", "invalid_request" if code == "-" else code
    return 502, "server_error", "upstream_error"


def expected_delay(recording, status):
    """Google asks for it in the body."""
    if status not in (429, 503):
        return None
    in_body = re.search(rb'"retryDelay": ?"([0-9.]+)s"', recording.body)
    return recording.headers.get("retry-after") or (
        str(math.ceil(float(in_body[1]))) if in_body else "1")


def check_receipt(receipt, usage, status):
    """usage: the golden line, or None where the gateway must have estimated."""
    told = receipt["usage"]
    counts = [told[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens",
                                      "cached_tokens", "reasoning_tokens")]
    assert receipt["status"] == status
    if usage:
        assert counts == [int(count) for count in usage.split()[1:6]]
        assert receipt["usage_source"] == "reported"
    prompt, completion, total, cached, _ = counts
    output = max(completion, total - prompt)
    assert receipt["cost"] == ((prompt - cached) * 3000 + cached * 1000 + output * 8000) / 10**9


def reported_usage(recording):
    """The golden line, unless there is none or words came that it does not count."""
    (line,) = recording.lines("usage")
    counts = line.split()[1:]
    has_words = any(re.match(r"choice \d+ (reasoning|text|call) (?!-$)", each) for each in recording.golden)
    return line if len(counts) > 1 and (not has_words or max(
        int(counts[1]), int(counts[2]) - int(counts[0])) > 0) else None


def check_usage_chunk(body, receipt):
    """One, the last, in the answer's name: what is charged."""
    *payloads, done = make.payloads(body)
    chunks = [json.loads(payload) for payload in payloads]
    assert done == "[DONE]" and [bool(chunk.get("usage")) for chunk in chunks] == [False] * (
        len(chunks) - 1) + [True]
    last = chunks[-1]
    assert last["choices"] == [] and len({(chunk["id"], chunk["model"]) for chunk in chunks}) == 1
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"], last["usage"]["total_tokens"],
            last["usage"]["prompt_tokens_details"]["cached_tokens"],
            last["usage"]["completion_tokens_details"]["reasoning_tokens"]) == tuple(
                receipt["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens",
                                                    "cached_tokens", "reasoning_tokens"))


each_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=lambda each: each.name)


@each_recording
def test_a_recording_says_what_it_says(house, recording):
    status, headers, body = house.post(recording.model, recording.is_stream)
    receipt = house.receipt(headers["x-request-id"])
    if recording.status != 200:
        error = json.loads(body)["error"]
        assert (status, error["type"], error["code"]) == expected_refusal(recording)
        assert error["message"].startswith(f"Provider {receipt['attempts'][0]['target']} ")
        assert f"(HTTP {recording.status})" in error["message"]
        if status == 400 or status == 404:
            assert json.loads(json.dumps(recording.error[0]))[:40] in make.plain(error["message"])
        assert headers.get("retry-after") == expected_delay(recording, status)
        check_receipt(receipt, None, status)
        assert receipt["cost"] == 0
        return
    if recording.error or not recording.is_ended:
        check_failed(recording, status, body, receipt)
        return
    assert status == 200
    lines = lines_of(body, recording.is_stream)
    assert same(lines) == same(expected(recording))
    assert not recording.is_stream or lines[-1] == "end"
    usage = reported_usage(recording)
    told = next(line for line in lines if line.startswith("usage "))
    check_receipt(receipt, usage, 200)
    if usage:
        assert told.split() == usage.split()[:6]
    else:
        assert receipt["usage_source"] == "estimated"
    if recording.is_stream:
        check_usage_chunk(body, receipt)
    assert headers["x-drover-target"] == receipt["target"]


def check_failed(recording, status, body, receipt):
    """An error within the answer, or its end missing: told in the client's own form, once."""
    if status == 200:
        lines = lines_of(body, True)
        (error,) = [line for line in lines if line.startswith("error ")]
        without_finish = [line for line in same(expected(recording)) if " finish " not in line]
        assert [line for line in same(lines) if " finish " not in line] == without_finish
        assert "end" not in lines
    else:
        error = json.loads(body)["error"]["message"]
        assert status in (502, 503)
    words = recording.error[0] if recording.error else "ended the connection before the answer"
    assert words[:60] in error
    assert receipt["status"] in (502, 503)


@each_recording
def test_a_recording_says_the_same_over_a_websocket(house, recording):
    if not recording.is_stream:
        house.post(recording.model, False)  # a WebSocket asks for streams only
    with open_socket(house.gateway, house.gateway.key) as socket:
        told = ask(socket, {"model": recording.model, "messages": [{"role": "user", "content": "again"}]})
    if recording.status != 200:
        assert told.error["status"] == expected_refusal(recording)[0]
        return
    if not recording.is_stream:
        assert told.error["status"] == 502  # one body where a stream was asked for
        return
    answer = Answer()
    for frame in told.frames[1:]:
        if not frame.get("done"):
            answer.add({"choices": [{"index": frame.get("index", 0), "delta": frame,
                                     "logprobs": frame.get("logprobs")}]})
    if told.error:
        assert recording.error or not recording.is_ended
        return
    last = told.last
    reasons = last.get("finish_reasons", [last["finish_reason"]])
    answer.add({"model": last["model"], "usage": last["usage"], "choices": [
        {"index": number, "delta": {}, "finish_reason": reason} for number, reason in enumerate(reasons)]})
    assert same(answer.lines()) == same(expected(recording))
    usage = reported_usage(recording)
    if usage:
        assert [last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"],
                last["usage"]["total_tokens"]] == [int(count) for count in usage.split()[1:4]]


@each_recording
def test_the_official_sdk_reads_it(sdk, recording):
    answer = Answer()
    try:
        read_by_sdk(sdk, recording.model, recording.is_stream, answer)
    except openai.APIStatusError as error:
        assert recording.status != 200 or recording.error or not recording.is_ended
        assert error.status_code in (400, 404, 429, 502, 503)
        return
    except openai.APIError:
        assert recording.error or not recording.is_ended
        return
    assert same(answer.lines()) == same(expected(recording))


# --- cut


def plain(body):
    """Without the ids and times that the gateway made."""
    return re.sub(rb'"created":\d+', b"", re.sub(rb'"id":"req_\w+"', b"", body))


def test_wherever_it_is_cut_an_answer_is_the_same(house):
    """Byte by byte, and in two pieces at seeded places, in each framing."""
    seed = random.Random(20261129)
    framings = itertools.cycle(("chunk", "chunks", "length"))
    asks = [(recording, "bytes", 0) for recording in RECORDINGS]
    for recording in RECORDINGS:
        count = LONG_CUTS if HAS_ALL_CUTS else 12
        asks += [(recording, next(framings), seed.randrange(1, len(recording.body)))
                 for _ in range(count)]
    whole, wrong = {}, []

    async def all_of(left, told):
        async def worker():
            wire = await house.connect()
            for recording, how, cut in left:
                status, _, body = await wire.chat(
                    house.gateway.key, f"{recording.folder}:{recording.number}/{how}/{cut}",
                    recording.is_stream)
                told(recording, how, cut, (status, made_alike(recording, body)))
            wire.transport.abort()
        await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))

    house.run(all_of(iter([(recording, "chunk", 0) for recording in RECORDINGS]),
                     lambda recording, how, cut, answer: whole.__setitem__(recording.number, answer)))
    assert len(whole) == len(RECORDINGS)
    house.run(all_of(iter(asks), lambda recording, how, cut, answer: (
        wrong.append((recording.name, how, cut)) if answer != whole[recording.number] else None)))
    assert not wrong, (len(wrong), wrong[:5])


def made_alike(recording, body):
    """The model's name is the gateway's where the provider tells none, and holds how it was cut; ids of calls are
    made up where it gives none, others for each answer."""
    name = rb'"model":"%s:%d/[^"]*"' % (recording.folder.encode(), recording.number)
    return re.sub(rb'"id":"call_[0-9a-f]{16}"', b"", re.sub(name, b"", plain(body)))


# --- what is asked


def last_ask():
    head, body = ProviderReplay.asked[-1]
    lines = head.split("\r\n")
    headers = (line.split(": ", 1) for line in lines[1:])
    return lines[0], {name.lower(): value for name, value in headers}, body


def test_the_ask_is_in_the_providers_words(house):
    wishes = {"messages": [{"role": "system", "content": "Be brief."},
                           {"role": "user", "content": "xin chào"}], "max_tokens": 50}
    house.say("good", **wishes)
    line, headers, body = last_ask()
    assert line == "POST /v1/messages HTTP/1.1"
    assert headers["x-api-key"] == "sk-ant-recorded" and headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in headers and "x-drover-dropped" not in headers
    assert body["stream"] is True and body["max_tokens"] == 50 and body["model"] == GOOD.model
    assert body["messages"][0]["role"] == "user" and "Be brief." in json.dumps(body["system"])
    house.say("good-gemini", **wishes)
    line, headers, body = last_ask()
    name = urllib.parse.quote(GOOD_GEMINI.model, safe="")
    assert line == f"POST /v1beta/models/{name}:streamGenerateContent?alt=sse HTTP/1.1"
    assert headers["x-goog-api-key"] == "AIza-recorded" and "authorization" not in headers
    assert body["contents"] == [{"role": "user", "parts": [{"text": "xin chào"}]}]
    assert body["generationConfig"]["maxOutputTokens"] == 50
    house.post(GOOD_GEMINI.model, stream=False)
    assert last_ask()[0] == f"POST /v1beta/models/{name}:generateContent HTTP/1.1"


def test_what_is_dropped_is_told(house):
    wishes = {"seed": 7, "logit_bias": {"1": 2}, "metadata": {"a": "b"}}
    status, headers, lines, _ = house.say("good", **wishes)
    assert status == 200 and "choice 0 text good day" in lines
    assert sorted(headers["x-drover-dropped"].split(", ")) == ["logit_bias", "metadata", "seed"]
    assert "x-drover-dropped" not in house.say("good")[1]
    whole = next(each for each in RECORDINGS if each.folder == "gemini" and not each.is_stream
                 and each.status == 200 and not each.error)
    status, headers, _ = house.post(whole.model, stream=False, **wishes)
    assert status == 200 and sorted(headers["x-drover-dropped"].split(", ")) == ["logit_bias", "metadata"]
    with open_socket(house.gateway, house.gateway.key) as socket:
        frame = {"model": GOOD.model, "messages": [{"role": "user", "content": "again"}]}
        assert sorted(ask(socket, frame | wishes).last["dropped"]) == ["logit_bias", "metadata", "seed"]
        assert "dropped" not in ask(socket, frame).last


def test_a_resumable_stream_tells_it_in_a_comment(house):
    status, headers, body = house.post(GOOD.model, seed=7, headers=["x-drover-resumable: true"])
    assert status == 200 and "x-drover-dropped" not in headers
    assert b": x-drover-dropped: seed\n\n" in body
    # Each event has a number of its own.
    ids = [int(each) for each in re.findall(rb"^id: (\d+)$", body, re.M)]
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) == 1 + body.count(b"\ndata: ")


def test_what_a_provider_cannot_do_is_refused_by_name(house):
    before = len(ProviderReplay.asked)
    for wish, param in (({"n": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"messages": [
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {
                "data": "AAAA", "format": "wav"}}]}]}, "messages[0].content[0].type")):
        for stream in (True, False):
            status, headers, body = house.post(GOOD.model, stream=stream, **wish)
            error = json.loads(body)["error"]
            assert (status, error["type"], error["code"], error["param"]) == (
                400, "invalid_request_error", "invalid_request", param)
            assert error["message"].startswith(f"'{param}' ") and error["message"].endswith(".")
            receipt = house.receipt(headers["x-request-id"])
            assert receipt["status"] == 400 and receipt["cost"] == 0 and receipt["attempts"] == []
    assert len(ProviderReplay.asked) == before, "nothing was sent"


def test_another_target_takes_what_the_first_cannot(house):
    status, headers, lines, _ = house.say("able", n=2)
    assert (status, headers["x-drover-target"]) == (200, "google") and "choice 0 text good day" in lines
    assert house.say("able")[1]["x-drover-target"] == "claude"
    # Neither the busy one nor the unable one: being busy passes.
    status, headers, _, body = house.say("unable", n=2)
    assert (status, headers["retry-after"]) == (429, "17"), body
    assert house.say("unable")[1]["x-drover-target"] == "claude"


def test_fallback_goes_across_dialects(house):
    status, headers, lines, _ = house.say("falls")
    assert (status, headers["x-drover-target"]) == (200, "google")
    assert "choice 0 text good day" in lines and "model gemini-x" in lines
    receipt = house.receipt(headers["x-request-id"])
    assert [each["target"] for each in receipt["attempts"]] == ["plain", "claude", "google"]
    check_receipt(receipt, "usage 40 9 49 0 0", 200)


def test_an_answer_without_an_end_or_a_word_is_left_to_another_target(house):
    status, headers, body = house.post("mistakes", stream=False)
    assert (status, headers["x-drover-target"]) == (200, "plain") and b"good day" in body
    receipt = house.receipt(headers["x-request-id"])
    assert [each["target"] for each in receipt["attempts"]] == ["mistaken", "endless", "empty", "plain"]
    for name in ("mistaken-whole", "endless-whole", "empty-whole"):
        status, headers, body = house.post(SPOKEN[name].model, stream=False)
        assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_error"), name
        assert house.receipt(headers["x-request-id"])["cost"] == 0


# --- how they fail


@pytest.mark.parametrize("name, words, usage", [
    ("cut", "ended the connection before the answer", 40),
    ("cut-before-stop", "ended the connection before the answer", 40),
    ("cut-gemini", "ended the connection before the answer", 40),
    ("broken", "sent something that is not an answer", 40),
    ("broken-gemini", "sent something that is not an answer", 40),
    ("utf-8", "sent something that is not an answer", 40),
    ("utf-8-gemini", "sent something that is not an answer", 40),
    ("overloaded-later", "is overloaded (HTTP 200): Overloaded", 40),
    ("bare-error", "is overloaded (HTTP 200): The model is overloaded.", 40),
])
def test_a_stream_that_fails_in_the_middle_says_so(house, name, words, usage):
    status, headers, lines, body = house.say(name)
    assert status == 200 and "end" not in lines
    (error,) = [line for line in lines if line.startswith("error ")]
    assert words in error and any(line.startswith("choice 0 text good") for line in lines)
    receipt = house.receipt(headers["x-request-id"])
    assert receipt["status"] in (502, 503) and receipt["usage"]["prompt_tokens"] == usage
    assert receipt["usage"]["completion_tokens"] > 0 and receipt["cost"] > 0
    with open_socket(house.gateway, house.gateway.key) as socket:
        told = ask(socket, {"model": SPOKEN[name].model, "messages": [{"role": "user", "content": "x"}]})
    assert words in told.error["message"] and told.text.startswith("good")


@pytest.mark.parametrize("name, status, code, retry_after, words", [
    ("broken-first", 502, "upstream_error", None, "sent something that is not an answer"),
    ("overloaded-first", 503, "no_healthy_upstream", "1", "is overloaded (HTTP 200): Overloaded"),
    ("too-long", 400, "context_length_exceeded", None, "prompt is too long"),
    ("no-credit", 502, "upstream_error", None, "has no credit left for the gateway's own account"),
    ("spent", 502, "upstream_error", None, "has no credit left for the gateway's own account"),
    ("location", 502, "upstream_error", None, "refused the gateway's own key or account"),
    ("quota", 429, "upstream_rate_limited", "9", "has no credit left for the gateway's own account"),
    ("busy", 429, "upstream_rate_limited", "17", "is rate limited (HTTP 429): Slow down"),
    ("named", 429, "upstream_rate_limited", "21", "Rate limit reached in organization *** on tokens"),
    ("reset", 429, "upstream_rate_limited", "3600", "is rate limited (HTTP 429): Slow down"),
    ("too-long-plain", 400, "context_length_exceeded", None, "maximum context length"),
    ("too-large", 413, "request_too_large", None, "413 Request Entity Too Large"),
    ("late", 504, "upstream_timeout", None, "did not answer in time (HTTP 504): too slow"),
    ("cancelled", 502, "upstream_error", None, "failed (HTTP 499): cancelled"),
    ("too-long-within", 400, "context_length_exceeded", None, "prompt is too long"),
    ("key-within", 502, "upstream_error", None, "refused the gateway's own key or account"),
    ("quoted", 400, "unknown_parameter", None, "refused the request (HTTP 400): Unrecognized request argument"),
    ("numbered", 400, "1210", None, "refused the request (HTTP 400): Bad parameter"),
    ("key-within-gemini", 502, "upstream_error", None, "refused the gateway's own key or account"),
    ("busy-within", 429, "upstream_rate_limited", "1", "is rate limited (HTTP 200): Slow down"),
    ("busy-whole", 429, "upstream_rate_limited", "20", "is rate limited (HTTP 200): Slow down"),
])
def test_causes_are_told_apart(house, name, status, code, retry_after, words):
    told, headers, _, body = house.say(name)
    error = json.loads(body)["error"]
    assert (told, error["code"], headers.get("retry-after")) == (status, code, retry_after)
    receipt = house.receipt(headers["x-request-id"])
    assert error["message"].startswith(f"Provider {receipt['attempts'][0]['target']} ") and words in error["message"]
    assert not re.search("credit balance|specified|location|org-|SECRET", error["message"])
    assert receipt["cost"] == 0


def test_what_speaks_of_the_gateways_own_account_moves_on(house):
    status, headers, lines, _ = house.say("poor")
    assert (status, headers["x-drover-target"]) == (200, "google") and "choice 0 text good day" in lines
    assert [each["status"] for each in house.receipt(headers["x-request-id"])["attempts"]] == [400, 400, 429, 200, 200]


def test_what_a_stream_may_hold_beside_its_words_does_no_harm(house):
    for name in ("pings", "disorder"):
        status, _, lines, body = house.say(name)
        assert status == 200 and "choice 0 text good day" in lines and lines[-1] == "end", name
        assert b"ping" not in body
    _, _, lines, _ = house.say("jump")
    assert 'choice 0 call 0 toolu_9 | look | {"at":1}' in lines and "choice 0 finish tool_calls" in lines


def test_each_choice_ends_once_and_nothing_of_it_comes_behind(house):
    _, _, lines, body = house.say("behind")
    assert "choice 0 text good day" in lines and "choice 0 finish stop" in lines and lines[-1] == "end"
    assert b"toolu_1" not in body
    _, _, lines, _ = house.say("unfinished-gemini")
    assert "choice 0 text good " in lines and "choice 1 text day" in lines
    assert "ended the connection before the answer was complete" in lines[-1]
    assert not any(line.endswith("finish stop") for line in lines)


def test_a_choice_that_failed_leaves_the_others_their_words(house):
    status, _, body = house.post(SPOKEN["half-mistaken"].model, n=2)
    lines = lines_of(body, True)
    assert status == 200 and "choice 1 text good day" in lines and lines[-1] == "end"
    assert "choice 0 finish stop" in lines and "choice 1 finish stop" in lines


def test_a_call_that_nobody_could_carry_out_is_an_error(house):
    _, headers, lines, body = house.say("nameless")
    assert "choice 0 text good day" in lines and "a tool call without a name or an id" in lines[-1]
    assert b"[DONE]" not in body and b"tool_calls" not in body
    assert house.receipt(headers["x-request-id"])["cost"] > 0  # what was delivered


def test_usage_is_shown_when_asked_for_and_estimated_where_there_is_none(house):
    _, _, body = house.post(GOOD.model, stream_options={"include_usage": False})
    assert b'"usage"' not in body and b"[DONE]" in body
    status, headers, lines, _ = house.say("no-counts")
    (usage,) = [line for line in lines if line.startswith("usage ")]
    assert status == 200 and int(usage.split()[2]) == 2
    assert house.receipt(headers["x-request-id"])["usage_source"] == "estimated"


@pytest.mark.parametrize("name, prompt, completion, source", [
    ("no-start", None, 9, "estimated"),
    ("refused", 40, 0, "reported"),
    ("blocked", 40, 0, "reported"),
    ("blocked-uncounted", 0, 0, "reported"),
    ("promptless", 0, 9, "reported"),
    ("behind-count", 40, 4 + 10, "estimated"),
    ("plain-part", 40, 2, "estimated"),
    ("plain-zero", None, 2, "estimated"),
    ("plain-full", 40, 9, "reported"),
    ("plain-finishless", None, 2, "estimated"),
])
def test_usage_is_told_once_as_it_is_charged(house, name, prompt, completion, source):
    status, headers, lines, body = house.say(name)
    assert status == 200 and lines[-1] == "end"
    receipt = house.receipt(headers["x-request-id"])
    assert receipt["usage_source"] == source and receipt["usage"]["completion_tokens"] == completion
    assert receipt["usage"]["prompt_tokens"] == prompt or prompt is None and receipt["usage"]["prompt_tokens"] > 0
    check_receipt(receipt, None, 200)
    if name != "plain-full":  # the provider's own words
        check_usage_chunk(body, receipt)
    else:
        assert body.count(b'"odd": 1') == 1 and body.count(b'"usage"') == 1
    # Not asked for, none is told.
    _, _, body = house.post(SPOKEN[name].model, stream_options={"include_usage": False})
    assert b'"usage"' not in body and body.count(b"[DONE]") == 1


@pytest.mark.parametrize("name, prompt", [("refused-whole", 40), ("blocked-whole", 40),
                                          ("blocked-uncounted-whole", 0)])
def test_what_is_said_of_a_blocked_prompt_is_not_charged(house, name, prompt):
    status, headers, body = house.post(SPOKEN[name].model, stream=False)
    answer = json.loads(body)
    (choice,) = answer["choices"]
    assert status == 200 and choice["finish_reason"] == "content_filter" and choice["message"]["refusal"]
    check_receipt(house.receipt(headers["x-request-id"]), f"usage {prompt} 0 {prompt} 0 0", 200)
    assert answer["usage"]["total_tokens"] == prompt and "x-drover-usage" not in headers


def test_a_stream_that_says_no_finish_gets_one(house):
    for wishes in ({}, {"stream_options": {"include_usage": False}}):
        status, _, body = house.post(SPOKEN["plain-finishless"].model, **wishes)
        chunks = [json.loads(payload) for payload in make.payloads(body) if payload != "[DONE]"]
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        assert status == 200 and body.endswith(b"data: [DONE]\n\n")
        assert [choice["finish_reason"] for choice in choices] == [None, "stop"]
        assert len({(chunk["id"], chunk["model"]) for chunk in chunks}) == 1
    with open_socket(house.gateway, house.gateway.key) as socket:
        told = ask(socket, {"model": SPOKEN["plain-finishless"].model,
                            "messages": [{"role": "user", "content": "again"}]})
    assert told.last["finish_reason"] == "stop"


@pytest.mark.parametrize("name, n, reasons", [
    ("finishless-call", 1, ["tool_calls"]),
    ("finishless-function", 1, ["function_call"]),
    ("finishless-second", 2, ["length", "stop"]),
    ("finishless-call-second", 2, ["stop", "tool_calls"]),
    ("finishless-alone", 3, ["stop"]),  # of a server that does not know `n`
])
def test_each_choice_that_says_no_finish_gets_one(house, name, n, reasons):
    for wishes in ({}, {"stream_options": {"include_usage": False}}):
        status, _, body = house.post(SPOKEN[name].model, n=n, **wishes)
        chunks = [json.loads(payload) for payload in make.payloads(body) if payload != "[DONE]"]
        told = [(choice["index"], choice["finish_reason"]) for chunk in chunks for choice in chunk["choices"]
                if choice["finish_reason"]]
        assert status == 200 and sorted(told) == list(enumerate(reasons))
    with open_socket(house.gateway, house.gateway.key) as socket:
        told = ask(socket, {"model": SPOKEN[name].model, "n": n, "messages": [{"role": "user", "content": "again"}]})
    assert told.last["finish_reason"] == reasons[0]
    if n > 1:
        assert told.last["finish_reasons"] == reasons + [None] * (n - len(reasons))


def test_ids_made_up_for_calls_do_not_repeat(house):
    ids = []
    for _ in range(2):
        for name, stream in (("call-gemini", True), ("call-gemini-whole", False)):
            _, _, body = house.post(SPOKEN[name].model, stream=stream, tools=TOOLS)
            ids += re.findall(rb'"id":"(call_[0-9a-f]{16})"', body)
    assert len(ids) == len(set(ids)) == 4


def test_many_events_of_one_read_leave_in_few_writes(house):
    raw = house.post_raw(MANY.model)
    status, _, body = split_answer(raw)
    lines = lines_of(body, True)
    assert status == 200 and lines[-1] == "end"
    assert "".join(f"word{i} " for i in range(2000)) in "".join(lines)
    assert len(re.findall(rb"\r\n[0-9a-f]+\r\n", raw)) < 40
    check_receipt(house.receipt(house.say("many")[1]["x-request-id"]), "usage 40 9 49 0 0", 200)


def test_a_large_event_between_small_ones_comes_whole(house):
    for headers in ((), ["x-drover-resumable: true"]):
        status, _, body = house.post(SPOKEN["large"].model, headers=headers)
        assert status == 200 and body.endswith(b"data: [DONE]\n\n")
        chunks = [json.loads(payload) for payload in make.payloads(body) if payload != "[DONE]"]
        assert "".join(choice["delta"].get("content") or "" for chunk in chunks
                       for choice in chunk["choices"]) == f"good {LARGE}day"


def test_the_older_function_interface_is_answered_in_kind(house):
    _, _, body = house.post(SPOKEN["thinking"].model, functions=[TOOLS[0]["function"]])
    assert last_ask()[2]["tools"][0]["name"] == "look"
    chunks = [json.loads(payload) for payload in make.payloads(body) if payload != "[DONE]"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    calls = [choice["delta"]["function_call"] for choice in choices if "function_call" in choice["delta"]]
    assert calls[0]["name"] == "look"
    assert "".join(call["arguments"] for call in calls) == '{"at":1}'
    assert not any("tool_calls" in choice["delta"] for choice in choices)
    assert choices[-1]["finish_reason"] == "function_call"
    for name, dialect in (("two-calls", "anthropic"), ("call-gemini", "gemini")):  # a second call, a signature
        _, _, body = house.post(SPOKEN[name].model, functions=[TOOLS[0]["function"]])
        deltas = [choice["delta"] for payload in make.payloads(body) if payload != "[DONE]"
                  for choice in json.loads(payload)["choices"]]
        assert [delta["function_call"] for delta in deltas if "function_call" in delta] == [
            {"name": "look", "arguments": '{"at":1}'}], dialect
        assert not any("tool_calls" in delta for delta in deltas), dialect


def test_the_name_of_a_dropped_field_does_not_break_the_header(house):
    status, headers, lines, _ = house.say("good", **{"odd\r\nSet-Cookie: a=b": 1})
    assert status == 200 and lines[-1] == "end" and "set-cookie" not in headers
    assert headers["x-drover-dropped"] == "odd??Set-Cookie??a?b"


# --- a turn with tools goes on

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {
    "type": "object", "properties": {"at": {"type": "integer"}}}}}]
QUESTION = {"role": "user", "content": "where?"}
RESULT = "here"


def collected(chunks):
    """The assistant's message as a client puts it together: texts are joined, lists are collected."""
    message = {"role": "assistant", "content": None, "tool_calls": [], "reasoning_details": []}
    for chunk in chunks:
        for choice in chunk.get("choices", []):
            delta = choice["delta"]
            message["reasoning_details"] += delta.get("reasoning_details", [])
            for call in delta.get("tool_calls", []):
                if call["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append({"id": call["id"], "type": "function", "function": {
                        "name": call["function"]["name"], "arguments": ""}})
                kept = message["tool_calls"][call["index"]]
                kept["function"]["arguments"] += call["function"]["arguments"]
                if "extra_content" in call:
                    kept["extra_content"] = call["extra_content"]
    return message


def check_second_turn(name):
    _, _, body = last_ask()
    if name != "call-gemini":
        words = "Let me look." if name == "thinking" else ""
        asked, answered = body["messages"][1], body["messages"][2]
        assert asked["content"] == [
            {"type": "thinking", "thinking": words, "signature": "SEAL=="},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}]
        (result,) = answered["content"]
        assert result["type"] == "tool_result" and result["tool_use_id"] == "toolu_1"
        assert RESULT in json.dumps(result["content"])
    else:
        asked, answered = body["contents"][1], body["contents"][2]
        (call,) = asked["parts"]
        assert call["functionCall"]["args"] == {"at": 1} and call["thoughtSignature"] == "U0VBTA=="
        assert answered["parts"][0]["functionResponse"]["name"] == "look"
        assert RESULT in json.dumps(answered["parts"][0]["functionResponse"]["response"])


@pytest.mark.parametrize("name", ["thinking", "unshown", "call-gemini"])
@pytest.mark.parametrize("way", ["sse", "ws", "session"])
def test_a_turn_with_tools_goes_on(house, name, way):
    ask_first = {"model": SPOKEN[name].model, "messages": [QUESTION], "tools": TOOLS}
    if way == "sse":
        _, _, _, body = house.say(name, messages=[QUESTION], tools=TOOLS)
        message = collected(json.loads(payload) for payload in make.payloads(body) if payload != "[DONE]")
        house.say(name, tools=TOOLS, messages=[QUESTION, message, {
            "role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": RESULT}])
        check_second_turn(name)
        return
    with open_socket(house.gateway, house.gateway.key) as socket:
        if way == "session":
            ask_first["session"] = "tools-" + name
        told = ask(socket, ask_first)
        assert told.last["finish_reason"] == "tool_calls", told.last
        message = collected({"choices": [{"delta": frame}]} for frame in told.frames)
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": RESULT}
        new = [result] if way == "session" else [QUESTION, message, result]
        told = ask(socket, ask_first | {"messages": new})
        assert told.error is None
    check_second_turn(name)


SEALS = {"thinking": "messages.reasoning_details", "unshown": "messages.reasoning_details",
         "call-gemini": "messages.tool_calls.extra_content"}


def second_ask(message):
    return [QUESTION, message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": RESULT}]


@pytest.mark.parametrize("name", SEALS)
@pytest.mark.parametrize("target", ["plain", "fails"])
def test_seals_stay_behind_when_another_provider_takes_the_next_turn(house, name, target):
    """A strict one would refuse what it does not know."""
    _, _, _, body = house.say(name, messages=[QUESTION], tools=TOOLS)
    message = collected(json.loads(payload) for payload in make.payloads(body) if payload != "[DONE]")
    status, headers, lines, _ = house.say(target, messages=second_ask(message), tools=TOOLS, temperature=0.70,
                                          user="\u00e9\n")
    assert status == 200 and "choice 0 text good day" in lines and headers["x-drover-target"] == "plain"
    assert headers["x-drover-dropped"] == SEALS[name]
    _, _, asked = last_ask()
    del message["reasoning_details"]
    for call in message["tool_calls"]:
        call.pop("extra_content", None)
    assert asked == {"model": SPOKEN["plain"].model, "messages": second_ask(message), "tools": TOOLS, "stream": True,
                     "stream_options": {"include_usage": True}, "temperature": 0.7, "user": "\u00e9\n"}


@pytest.mark.parametrize("name", SEALS)
def test_seals_stay_behind_in_a_session_whose_model_changes(house, name):
    with open_socket(house.gateway, house.gateway.key) as socket:
        told = ask(socket, {"model": SPOKEN[name].model, "messages": [QUESTION], "tools": TOOLS,
                            "session": "moves-" + name})
        message = collected({"choices": [{"delta": frame}]} for frame in told.frames)
        told = ask(socket, {"model": SPOKEN["plain"].model, "messages": second_ask(message)[2:], "tools": TOOLS,
                            "session": "moves-" + name})
    assert told.error is None and told.text == "good day" and told.last["dropped"] == [SEALS[name]]
    _, _, asked = last_ask()
    assert "reasoning_details" not in asked["messages"][1]
    assert "extra_content" not in asked["messages"][1]["tool_calls"][0]


def test_what_others_call_by_the_same_names_passes(house):
    message = {"role": "assistant", "content": "so", "reasoning_details": [
        {"type": "reasoning.text", "format": "MiniMax-response-v1", "text": "hm"}], "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}, "extra_content": {"a": 1}}]}
    status, headers, _, _ = house.say("plain", messages=second_ask(message))
    assert status == 200 and "x-drover-dropped" not in headers
    assert last_ask()[2]["messages"][1] == message


# --- life


@pytest.mark.threads
def test_a_client_that_leaves_ends_the_providers_request(house):
    """And pays for what it got, by the provider's own count of the prompt."""
    slow = f"anthropic:{MANY.number}/stall/0"
    with open_socket(house.gateway, house.gateway.key) as socket:
        socket.send(json.dumps({"id": "a", "model": slow, "messages": [QUESTION]}))
        frames = []
        while not frames or "content" not in frames[-1]:
            frames.append(json.loads(socket.recv(timeout=20)))
        socket.send(json.dumps({"type": "cancel", "id": "a"}))
        while not frames[-1].get("done"):
            frames.append(json.loads(socket.recv(timeout=20)))
    assert frames[-1]["finish_reason"] == "cancelled"
    receipt = house.receipt(frames[-1]["request_id"])
    assert receipt["cancelled"] and receipt["usage"]["prompt_tokens"] == 40
    assert 1900 < receipt["usage"]["completion_tokens"] < 2000
    wait_for(lambda: slow in ProviderReplay.lost, what="the end of the provider's connection")
