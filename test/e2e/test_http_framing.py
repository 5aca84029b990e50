"""Framing: what RFC 9112 does not allow is refused and never followed by what was smuggled behind it.

Each bad shape is followed by a whole good request whose `user` says so. One answer, a refusal, must
come, then the connection's end; the books at the end of the module must know no such user.
"""

import json
import random
import threading
import time

import h11
import pytest

from conftest import Gateway
from rig import ASK, KEY, PATH, Relay, Wire, answer_always, call, get, parse_lines, post, running
from rig import Provider, wait_for

BODY = json.dumps(ASK).encode()
SMUGGLED = post({**ASK, "user": "smuggled"})
LINE = f"POST {PATH} HTTP/1.1"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
CHUNKED = "Transfer-Encoding: chunked"
LENGTH = f"Content-Length: {len(BODY)}"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A gateway of this module's own, so that its books can be read at the end."""
    gateway = Gateway(tmp_path_factory.mktemp("framing")).start()
    yield gateway
    assert gateway.stop() == 0, gateway.log()
    listed = gateway.command("usage", "--requests", "--json")
    assert listed.returncode == 0, listed.stderr
    rows = parse_lines(listed.stdout)
    assert [row for row in rows if row["user"] == "smuggled"] == []


def shape(*fields, line=LINE, body=BODY, host="Host: gateway"):
    lines = [line, *([host] if host else []), f"Authorization: Bearer {KEY}",
             "Content-Type: application/json", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(body):
    return shape(CHUNKED, body=body)


def line(text):
    return shape(LENGTH, line=text)


def host(*values):
    return shape(*(f"Host: {value}" for value in values), LENGTH, host=None)


def raw_field(data):
    """A field line as it is, before the good ones."""
    return shape(LENGTH).replace(b"\r\n", b"\r\n" + data + b"\r\n", 1)


FIVE = b"5\r\nhello\r\n0\r\n\r\n"
BAD = {
    # the request line
    "no version": (line(f"POST {PATH}"), {400}),
    "HTTP/0.9 without a head": (f"GET {PATH}\r\n\r\n".encode(), {400}),
    "HTTP/0.9 named": (line(f"POST {PATH} HTTP/0.9"), {400, 505}),
    "HTTP/1.2": (line(f"POST {PATH} HTTP/1.2"), {505}),
    "HTTP/2.0": (line(f"POST {PATH} HTTP/2.0"), {505}),
    "HTTP/3.0": (line(f"POST {PATH} HTTP/3.0"), {505}),
    "HTTP/11.1": (line(f"POST {PATH} HTTP/11.1"), {400}),
    "HTTP/1.10": (line(f"POST {PATH} HTTP/1.10"), {400}),
    "HTTP/1": (line(f"POST {PATH} HTTP/1"), {400}),
    "http/1.1 in small letters": (line(f"POST {PATH} http/1.1"), {400}),
    "ICE/1.0": (line("SOURCE / ICE/1.0"), {400}),
    "RTSP/1.0": (line("DESCRIBE / RTSP/1.0"), {400}),
    "a word behind the version": (line(LINE + " x"), {400}),
    "a blank behind the version": (line(LINE + " "), {400}),
    "a tab behind the version": (line(LINE + "\t"), {400}),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "two blanks behind the method": (line(f"POST  {PATH} HTTP/1.1"), {400}),
    "two blanks behind the target": (line(f"POST {PATH}  HTTP/1.1"), {400}),
    "a tab behind the method": (line(f"POST\t{PATH} HTTP/1.1"), {400}),
    "a blank before the method": (line(" " + LINE), {400}),
    "a tab before the method": (line("\t" + LINE), {400}),
    "a small method": (line(f"post {PATH} HTTP/1.1"), {400, 405, 501}),
    "an unknown method": (line(f"SMUGGLE {PATH} HTTP/1.1"), {400, 405, 501}),
    "a method with a colon": (line(f"PO:ST {PATH} HTTP/1.1"), {400}),
    "a method with NUL": (line(f"PO\0ST {PATH} HTTP/1.1"), {400}),
    "no method": (line(f"{PATH} HTTP/1.1"), {400}),
    "an empty target": (line("POST  HTTP/1.1"), {400}),
    "a blank in the target": (line(f"POST {PATH} x HTTP/1.1"), {400}),
    "NUL in the target": (line(f"POST {PATH}\0 HTTP/1.1"), {400}),
    "a tab in the target": (line(f"POST {PATH}\t HTTP/1.1"), {400}),
    "a control byte in the target": (line(f"POST {PATH}\x01 HTTP/1.1"), {400}),
    "DEL in the target": (line(f"POST {PATH}\x7f HTTP/1.1"), {400}),
    "a byte above ASCII in the target": (line(f"POST {PATH}\xe9 HTTP/1.1"), {400}),
    "a bare CR in the target": (line(f"POST {PATH}\r HTTP/1.1"), {400}),
    "a fragment": (line(f"POST {PATH}#x HTTP/1.1"), {400}),
    "< in the target": (line(f"POST {PATH}<x HTTP/1.1"), {400}),
    "a quote in the target": (line(f'POST {PATH}"x HTTP/1.1'), {400}),
    "a backslash in the target": (line("POST \\v1\\chat HTTP/1.1"), {400}),
    "half a percent sign": (line(f"POST {PATH}%4 HTTP/1.1"), {400}),
    "a percent sign before no digits": (line(f"POST {PATH}%zz HTTP/1.1"), {400}),
    "a target without slash": (line("POST v1/chat/completions HTTP/1.1"), {400}),
    "a target of a foreign scheme": (line(f"POST ftp://gateway{PATH} HTTP/1.1"), {400}),
    "an absolute target without host": (line(f"POST http://{PATH} HTTP/1.1"), {400}),
    "an absolute target with another host": (line(f"POST http://other{PATH} HTTP/1.1"), {400}),
    "an absolute target with a user": (line(f"POST http://u@gateway{PATH} HTTP/1.1"), {400}),
    "an absolute target with another port": (line(f"POST http://gateway:81{PATH} HTTP/1.1"), {400}),
    "an asterisk with POST": (line("POST * HTTP/1.1"), {400}),
    "an asterisk with GET": (line("GET * HTTP/1.1"), {400}),
    "CONNECT to a host": (b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", {400, 405, 501}),
    "CONNECT to a path": (line(f"CONNECT {PATH} HTTP/1.1"), {400, 501}),
    "CONNECT without port": (b"CONNECT other HTTP/1.1\r\nHost: other\r\n\r\n", {400, 501}),
    "two empty lines before": (b"\r\n\r\n" + shape(LENGTH), {400}),
    "a bare LF before": (b"\n" + shape(LENGTH), {400}),
    "a bare CR before": (b"\r" + shape(LENGTH), {400}),
    "a blank line of a blank before": (b" \r\n" + shape(LENGTH), {400}),
    "NUL before": (b"\0" + shape(LENGTH), {400}),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),
    "binary": (bytes(range(128, 256)), {400}),
    # Host
    "no Host": (host(), {400}),
    "two Hosts": (host("gateway", "gateway"), {400}),
    "two Hosts that differ": (host("gateway", "other"), {400}),
    "an empty Host": (host(""), {400}),
    "a Host with a blank": (host("a b"), {400}),
    "a Host with a comma": (host("a,b"), {400}),
    "a Host with a slash": (host("gateway/v1"), {400}),
    "a Host with a user": (host("u@gateway"), {400}),
    "a Host with a scheme": (host("http://gateway"), {400}),
    "a Host with a port of letters": (host("gateway:http"), {400}),
    "a Host with a port too high": (host("gateway:65536"), {400}),
    "a Host with two ports": (host("gateway:80:80"), {400}),
    "a Host with an open bracket": (host("[::1"), {400}),
    "a Host with a bracketed name": (host("[gateway]"), {400}),
    "a Host with a tab inside": (host("a\tb"), {400}),
    "a Host with a query": (host("gateway?x"), {400}),
    "a Host with a percent sign": (host("gate%77ay"), {400}),
    # fields
    "a blank before the colon": (raw_field(b"X-A : b"), {400}),
    "a tab before the colon": (raw_field(b"X-A\t: b"), {400}),
    "Content-Length with a blank before the colon": (shape(f"Content-Length : {len(BODY)}"), {400}),
    "Transfer-Encoding with a blank before the colon":
        (shape("Transfer-Encoding : chunked", body=CHUNKS), {400}),
    "a field without colon": (raw_field(b"X-A"), {400}),
    "a field without name": (raw_field(b": b"), {400}),
    "a blank in a name": (raw_field(b"X A: b"), {400}),
    "NUL in a name": (raw_field(b"X\0A: b"), {400}),
    "NUL in a value": (raw_field(b"X-A: b\0c"), {400}),
    "a control byte in a name": (raw_field(b"X\x01A: b"), {400}),
    "a control byte in a value": (raw_field(b"X-A: b\x01c"), {400}),
    "BEL in a value": (raw_field(b"X-A: \x07"), {400}),
    "ESC in a value": (raw_field(b"X-A: \x1b[31m"), {400}),
    "DEL in a value": (raw_field(b"X-A: \x7f"), {400}),
    "a byte above ASCII in a name": (raw_field(b"X-\xc3\xa9: b"), {400}),
    "brackets in a name": (raw_field(b"X[A]: b"), {400}),
    "a quote in a name": (raw_field(b'X"A: b'), {400}),
    "a bare CR in a value": (raw_field(b"X-A: b\rc"), {400}),
    "a bare CR that hides a field": (raw_field(b"X-A: b\rContent-Length: 0"), {400}),
    "a bare CR at a value's end": (raw_field(b"X-A: b\r"), {400}),
    "a bare LF behind a field": (shape(LENGTH).replace(b"gateway\r\n", b"gateway\n", 1), {400}),
    "a bare LF behind the request line": (shape(LENGTH).replace(b"1.1\r\n", b"1.1\n", 1), {400}),
    "bare LFs alone": (shape(LENGTH).replace(b"\r\n", b"\n"), {400}),
    "a bare LF at the head's end": (shape(LENGTH).replace(b"\r\n\r\n", b"\r\n\n", 1), {400}),
    "bare CRs alone": (shape(LENGTH, body=b"").replace(b"\r\n", b"\r") + b"\r\n\r\n", {400}),
    "a folded field": (raw_field(b"X-A: b\r\n c"), {400}),
    "a field folded with a tab": (raw_field(b"X-A: b\r\n\tc"), {400}),
    "a folded Transfer-Encoding":
        (shape("Transfer-Encoding:\r\n chunked", body=CHUNKS), {400}),
    "a folded Content-Length": (shape(f"Content-Length:\r\n {len(BODY)}"), {400}),
    "a fold before the first field": (shape(LENGTH).replace(b"Host", b" Host", 1), {400}),
    "101 fields": (shape(LENGTH, *(f"X-{i}: y" for i in range(97))), {431}),
    "10,000 fields": (shape(LENGTH, *(["X: y"] * 10000)), {431}),
    "a target too long": (line(f"POST /{'x' * 40000} HTTP/1.1"), {414, 431}),
    "a field too long": (shape(LENGTH, "X-A: " + "b" * 40000), {431}),
    "a name too long": (shape(LENGTH, "X" * 40000 + ": b"), {431}),
    "a head without end": (shape(LENGTH, body=b"")[:-2] + b"X-A: b\r\n" * 8000, {431}),
    # Content-Length
    "two lengths": (shape(LENGTH, LENGTH), {400}),
    "two lengths that differ": (shape(LENGTH, "Content-Length: 0"), {400}),
    "a list of lengths": (shape(f"{LENGTH}, {len(BODY)}"), {400}),
    "a list of lengths that differ": (shape(f"{LENGTH}, 0"), {400}),
    "a length with plus": (shape(f"Content-Length: +{len(BODY)}"), {400}),
    "a length with minus": (shape("Content-Length: -1"), {400}),
    "minus nothing": (shape("Content-Length: -0"), {400}),
    "a length with a blank inside": (shape("Content-Length: 1 0"), {400}),
    "a length with a tab inside": (shape("Content-Length: 1\t0"), {400}),
    "a hexadecimal length": (shape(f"Content-Length: 0x{len(BODY):x}"), {400}),
    "a length of letters": (shape("Content-Length: abc"), {400}),
    "a length with a fraction": (shape(f"{LENGTH}.0"), {400}),
    "a length with an exponent": (shape("Content-Length: 1e2"), {400}),
    "a length with an underscore": (shape("Content-Length: 1_0"), {400}),
    "a length with a semicolon": (shape(f"{LENGTH};"), {400}),
    "a quoted length": (shape(f'Content-Length: "{len(BODY)}"'), {400}),
    "an empty length": (shape("Content-Length:"), {400}),
    "a length with NUL": (shape(f"{LENGTH}\0"), {400}),
    "a length in wide digits": (shape("Content-Length: \xef\xbc\x91"), {400}),
    "a length beyond 64 bits": (shape("Content-Length: 18446744073709551616"), {400, 413}),
    "a length of 64 bits": (shape("Content-Length: 18446744073709551615"), {400, 413}),
    "a length beyond 63 bits": (shape("Content-Length: 9223372036854775808"), {400, 413}),
    "a length of fifty digits": (shape("Content-Length: " + "9" * 50), {400, 413}),
    "a length that wraps to the body's":
        (shape(f"Content-Length: {2 ** 64 + len(BODY)}"), {400, 413}),
    "1 GiB by length": (shape("Content-Length: 1073741824", body=b"{"), {413}),
    # Transfer-Encoding
    "chunked beside a length": (shape(CHUNKED, LENGTH, body=CHUNKS), {400}),
    "a length beside chunked": (shape("Content-Length: 4", CHUNKED, body=CHUNKS), {400}),
    "chunked beside a length of nothing": (shape("Content-Length: 0", CHUNKED, body=CHUNKS), {400}),
    "two Transfer-Encodings": (shape(CHUNKED, CHUNKED, body=CHUNKS), {400}),
    "chunked and identity": (shape(CHUNKED, "Transfer-Encoding: identity", body=CHUNKS), {400}),
    "chunked twice": (shape("Transfer-Encoding: chunked, chunked", body=CHUNKS), {400}),
    "gzip before chunked": (shape("Transfer-Encoding: gzip, chunked", body=CHUNKS), {400, 501}),
    "gzip behind chunked": (shape("Transfer-Encoding: chunked, gzip", body=CHUNKS), {400, 501}),
    "gzip alone": (shape("Transfer-Encoding: gzip", body=CHUNKS), {400, 501}),
    "gzip beside a length": (shape("Transfer-Encoding: gzip", LENGTH), {400, 501}),
    "identity": (shape("Transfer-Encoding: identity", LENGTH), {400, 501}),
    "an empty Transfer-Encoding": (shape("Transfer-Encoding:", LENGTH), {400}),
    "an empty Transfer-Encoding with chunks": (shape("Transfer-Encoding:", body=CHUNKS), {400}),
    "a comma before chunked": (shape("Transfer-Encoding: , chunked", body=CHUNKS), {400, 501}),
    "a comma behind chunked": (shape("Transfer-Encoding: chunked,", body=CHUNKS), {400, 501}),
    "xchunked": (shape("Transfer-Encoding: xchunked", LENGTH), {400, 501}),
    "chunkedx": (shape("Transfer-Encoding: chunkedx", LENGTH), {400, 501}),
    "quoted chunked": (shape('Transfer-Encoding: "chunked"', body=CHUNKS), {400, 501}),
    "chunked with a parameter": (shape("Transfer-Encoding: chunked;q=1", body=CHUNKS), {400, 501}),
    "chunked with a vertical tab": (shape("Transfer-Encoding: \x0bchunked", body=CHUNKS), {400}),
    "chunked with NUL": (shape("Transfer-Encoding: chunked\0", body=CHUNKS), {400}),
    "chunked behind a bare CR": (shape("X: y\rTransfer-Encoding: chunked", LENGTH), {400}),
    "cow before chunked in a line of its own":
        (shape("Transfer-Encoding: cow", CHUNKED, body=CHUNKS), {400}),
    "chunked before cow": (shape("Transfer-Encoding: chunked, cow", body=CHUNKS), {400, 501}),
    "chunked between words":
        (shape("Transfer-Encoding: cow chunked bar", body=CHUNKS), {400, 501}),
    "chunk": (shape("Transfer-Encoding: chunk", LENGTH), {400, 501}),
    "chunked in apostrophes": (shape("Transfer-Encoding: 'chunked'", body=CHUNKS), {400, 501}),
    "chunked behind a byte above ASCII":
        (shape("Transfer-Encoding: \xffchunked", body=CHUNKS), {400, 501}),
    "chunked with a no-break space":
        (shape("Transfer-Encoding: chunked\xa0", body=CHUNKS), {400, 501}),
    "chunked with a form feed": (shape("Transfer-Encoding:\x0cchunked", body=CHUNKS), {400}),
    "Transfer Encoding": (shape("Transfer Encoding: chunked", LENGTH), {400}),
    "a CR in the name": (raw_field(b"Transfer\r-Encoding: chunked"), {400}),
    "a field behind a bare LF": (raw_field(b"X: y\nTransfer-Encoding: chunked"), {400}),
    "a field behind LF and CR": (raw_field(b"X: y\n\rTransfer-Encoding: chunked"), {400}),
    "chunked in two words": (shape("Transfer-Encoding: chu nked", body=CHUNKS), {400, 501}),
    "chunked over HTTP/1.0":
        (shape(CHUNKED, line=f"POST {PATH} HTTP/1.0", body=CHUNKS), {400}),
    # chunks
    "a chunk size with 0x": (chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), {400}),
    "a chunk size with plus": (chunked(b"+" + FIVE), {400}),
    "a chunk size with minus": (chunked(b"-" + FIVE), {400}),
    "a chunk size behind a blank": (chunked(b" " + FIVE), {400}),
    "a chunk size behind a tab": (chunked(b"\t" + FIVE), {400}),
    "a chunk size before a blank": (chunked(b"5 \r\nhello\r\n0\r\n\r\n"), {400}),
    "a chunk size before a tab": (chunked(b"5\t\r\nhello\r\n0\r\n\r\n"), {400}),
    "a chunk size with an underscore": (chunked(b"0_5\r\nhello\r\n0\r\n\r\n"), {400}),
    "a chunk size with a comma": (chunked(b"5,5\r\nhello\r\n0\r\n\r\n"), {400}),
    "a chunk size with h": (chunked(b"5h\r\nhello\r\n0\r\n\r\n"), {400}),
    "a chunk size with NUL": (chunked(b"5\0\r\nhello\r\n0\r\n\r\n"), {400}),
    "a chunk size of nothing": (chunked(b"\r\nhello\r\n0\r\n\r\n"), {400}),
    "an extension without size": (chunked(b";a=b\r\nhello\r\n0\r\n\r\n"), {400}),
    "a chunk size beyond 64 bits": (chunked(b"1" + b"0" * 16 + b"\r\n"), {400}),
    "a chunk size that wraps to 5": (chunked(b"1000000000000000" + FIVE), {400}),
    "the largest chunk size": (chunked(b"ffffffffffffffff\r\n"), {400, 413}),
    "a chunk size beyond 63 bits": (chunked(b"8000000000000000\r\n"), {400, 413}),
    "1 GiB in one chunk": (chunked(b"40000000\r\n{"), {413}),
    "a hundred zeros before a size": (chunked(b"0" * 100 + FIVE), {400}),
    "a bare LF behind a size": (chunked(b"5\nhello\r\n0\r\n\r\n"), {400}),
    "a bare CR behind a size": (chunked(b"5\rhello\r\n0\r\n\r\n"), {400}),
    "two CRs behind a size": (chunked(b"5\r\r\nhello\r\n0\r\n\r\n"), {400}),
    "a bare LF behind an extension": (chunked(b"5;a\nhello\r\n0\r\n\r\n"), {400}),
    "a bare CR in an extension": (chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), {400}),
    "NUL in an extension": (chunked(b"5;a\0\r\nhello\r\n0\r\n\r\n"), {400}),
    "LF in a quoted extension": (chunked(b'5;a="\n"\r\nhello\r\n0\r\n\r\n'), {400}),
    "CRLF in a quoted extension":
        (chunked(b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n'), {400}),
    "a quoted extension without end": (chunked(b'5;a="b\r\nhello\r\n0\r\n\r\n'), {400}),
    "blanks around an extension": (chunked(b"5 ; a = b\r\nhello\r\n0\r\n\r\n"), {400}),
    "an extension of LF alone": (chunked(b"5;\nhello\r\n0\r\n\r\n"), {400}),
    "an extension too long": (chunked(b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n"), {400}),
    "an extension without end": (chunked(b"5;" + b"a" * 100000), {400}),
    "a chunk longer than its size": (chunked(b"5\r\nhello!\r\n0\r\n\r\n"), {400}),
    "a chunk shorter than its size": (chunked(b"5\r\nhell\r\n0\r\n\r\n"), {400}),
    "no CRLF behind a chunk": (chunked(b"5\r\nhello0\r\n\r\n"), {400}),
    "a bare LF behind a chunk": (chunked(b"5\r\nhello\n0\r\n\r\n"), {400}),
    "a bare CR behind a chunk": (chunked(b"5\r\nhello\r0\r\n\r\n"), {400}),
    "LF and CR behind a chunk": (chunked(b"5\r\nhello\n\r0\r\n\r\n"), {400}),
    "a bare LF behind the last size": (chunked(b"5\r\nhello\r\n0\n\r\n"), {400}),
    "a bare LF at the end": (chunked(b"5\r\nhello\r\n0\r\n\n"), {400}),
    "no end behind the last chunk": (chunked(b"5\r\nhello\r\n0\r\n"), {400}),
    # trailers
    "a trailing Content-Length": (chunked(FIVE[:-2] + b"Content-Length: 5\r\n\r\n"), {400}),
    "a trailing Transfer-Encoding":
        (chunked(FIVE[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"), {400}),
    "a trailing Host": (chunked(FIVE[:-2] + b"Host: other\r\n\r\n"), {400}),
    "a trailing Authorization": (chunked(FIVE[:-2] + b"Authorization: Bearer x\r\n\r\n"), {400}),
    "a trailing Connection": (chunked(FIVE[:-2] + b"CONNECTION: close\r\n\r\n"), {400}),
    "a trailing Content-Type": (chunked(FIVE[:-2] + b"Content-Type: a/b\r\n\r\n"), {400}),
    "a trailing Content-Encoding": (chunked(FIVE[:-2] + b"Content-Encoding: gzip\r\n\r\n"), {400}),
    "a trailing Trailer": (chunked(FIVE[:-2] + b"Trailer: x\r\n\r\n"), {400}),
    "a trailing Expect": (chunked(FIVE[:-2] + b"Expect: 100-continue\r\n\r\n"), {400}),
    "a trailing Upgrade": (chunked(FIVE[:-2] + b"Upgrade: websocket\r\n\r\n"), {400}),
    "a trailing Cookie": (chunked(FIVE[:-2] + b"Cookie: a=b\r\n\r\n"), {400}),
    "a trailer without colon": (chunked(FIVE[:-2] + b"X\r\n\r\n"), {400}),
    "a trailer with NUL": (chunked(FIVE[:-2] + b"X: \0\r\n\r\n"), {400}),
    "a trailer with a blank before the colon": (chunked(FIVE[:-2] + b"X : y\r\n\r\n"), {400}),
    "a trailer with a bare LF": (chunked(FIVE[:-2] + b"X: y\n\r\n"), {400}),
    "a folded trailer": (chunked(FIVE[:-2] + b"X: y\r\n z\r\n\r\n"), {400}),
    "200 trailers": (chunked(FIVE[:-2] + b"X: y\r\n" * 200 + b"\r\n"), {400, 431}),
    "trailers too long": (chunked(FIVE[:-2] + b"X: " + b"y" * 5000 + b"\r\n\r\n"), {400, 431}),
    # expectations
    "an unknown expectation": (shape("Expect: 200-ok", LENGTH), {417}),
    "an expectation with more": (shape("Expect: 100-continue, x", LENGTH), {417}),
    "an empty expectation": (shape("Expect:", LENGTH), {417}),
    "an expectation behind a word": (shape("Expect: y 100-continue", LENGTH), {417}),
    "an expectation with a blank before the colon": (shape("Expect : 100-continue", LENGTH), {400}),
    "a folded expectation": (shape("Expect:\r\n 100-continue", LENGTH), {400}),
    # what may stand there once
    "two Authorizations": (shape("Authorization: Bearer sk-drover-demo-limited", LENGTH), {400}),
    "two Authorizations that are equal": (shape(f"Authorization: Bearer {KEY}", LENGTH), {400}),
    "two Content-Types": (shape("Content-Type: text/plain", LENGTH), {400}),
    "two expectations": (shape("Expect: 100-continue", "Expect: x", LENGTH), {417}),
}

STATUS_CODES = {408: "request_timeout", 413: "request_too_large", 431: "headers_too_large"}


def refused(port, request, statuses):
    with Wire(port) as wire:
        wire.send(request + SMUGGLED)
        found = wire.answers()
    assert len(found) == 1, found
    answer = found[0]
    assert answer.status in statuses and answer.is_whole
    assert answer.field("connection") == "close"
    error = answer.error
    assert error["type"] == "invalid_request_error"
    assert error["code"] in (STATUS_CODES.get(answer.status, "invalid_request"),
                             "method_not_allowed")


@pytest.mark.parametrize("name", BAD)
def test_bad_framing_is_refused_and_nothing_behind_it_heard(world, name):
    refused(world.port, *BAD[name])


@pytest.mark.threads
def test_bad_framing_in_single_bytes_is_refused_too(own_gateway):
    chosen = ["two Hosts", "a folded field", "chunked beside a length", "a length with plus",
              "a chunk size with 0x", "a bare LF behind a chunk", "a trailing Host",
              "NUL in a value", "an unknown expectation"]
    for name in chosen:
        request, statuses = BAD[name]
        with Wire(own_gateway.port) as wire:
            for at in range(len(request)):
                if not wire.send(request[at:at + 1]):
                    break
            wire.send(SMUGGLED)
            found = wire.answers()
        assert [answer.status in statuses for answer in found] == [True], (name, found)
    own_gateway.kill()
    assert own_gateway.command("usage", "--requests", "--json").stdout.count("smuggled") == 0


@pytest.mark.parametrize("part", [shape(LENGTH)[:30], shape(LENGTH)[:-20], shape(LENGTH, body=b""),
                                  chunked(b"5\r\nhel"), chunked(FIVE[:-2]), b"\r"])
def test_a_request_that_ends_early_is_no_request(world, part):
    with Wire(world.port) as wire:
        wire.send(part)
        wire.socket.shutdown(1)
        assert wire.answers() == []


# --- valid, if odd ---------------------------------------------------------------------------------

ABSOLUTE = f"http://gateway{PATH}"
HALVES = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, BODY[:9], len(BODY) - 9, BODY[9:])
GOOD = {
    "usual": shape(LENGTH),
    "an empty line before": b"\r\n" + shape(LENGTH),
    "small names": shape(LENGTH).replace(b"Host:", b"host:").replace(b"Content-L", b"content-l"),
    "capital names": shape(LENGTH).replace(b"Host:", b"HOST:").replace(b"Content-L", b"CONTENT-L"),
    "no blank behind the colon": shape(LENGTH, body=b"").replace(b": ", b":") + BODY,
    "blanks and tabs around values": shape(f"Content-Length:   {len(BODY)}  ", "X: \t y \t"),
    "an empty value": shape(LENGTH, "X-A:"),
    "a value above ASCII": shape(LENGTH, "X-A: \xc3\xa9"),
    "a strange but legal name": shape(LENGTH, "!#$%&'*+-.^_`|~9: y"),
    "zeros before the length": shape("Content-Length: 000" + str(len(BODY))),
    "a query": line(f"POST {PATH}?a=b&c[]=%20 HTTP/1.1"),
    "Host with a port": host("gateway:8080"),
    "Host as IPv4": host("127.0.0.1:80"),
    "Host as IPv6": host("[::1]:80"),
    "an absolute target": line(f"POST {ABSOLUTE} HTTP/1.1"),
    "an absolute target in capitals": line(f"POST HTTP://GATEWAY{PATH} HTTP/1.1"),
    "an absolute target with its usual port": line(f"POST http://gateway:80{PATH} HTTP/1.1"),
    "chunked": chunked(CHUNKS),
    "Chunked in capitals": shape("Transfer-Encoding: CHUNKED", body=CHUNKS),
    "two chunks": chunked(HALVES),
    "a chunk for each byte":
        chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"),
    "a size in capitals with zeros": chunked(b"000%X\r\n%s\r\n000\r\n\r\n" % (len(BODY), BODY)),
    "chunk extensions":
        chunked(b'%x;a;b=c;d="e;f"\r\n%s\r\n0;last\r\n\r\n' % (len(BODY), BODY)),
    "trailers": chunked(CHUNKS[:-2] + b"X-Checksum: 1\r\nY: z\r\n\r\n"),
    "Upgrade to h2c with a body":
        shape("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA", LENGTH),
    "Upgrade to h2c with chunks":
        shape("Connection: Upgrade", "Upgrade: h2c", CHUNKED, body=CHUNKS),
    "100 fields": shape(LENGTH, *(f"X-{i}: y" for i in range(96))),
    "TE and Trailer": shape("TE: trailers", "Connection: TE", "Trailer: X", LENGTH),
    "Keep-Alive": shape("Connection: keep-alive", "Keep-Alive: timeout=5", LENGTH),
    "the framing named in Connection":
        shape("Connection: keep-alive, Transfer-Encoding", CHUNKED, body=CHUNKS),
    "the length named in Connection": shape("Connection: keep-alive, Content-Length", LENGTH),
    "an underscore is another name":
        shape("Transfer_Encoding: chunked", "Content_Length: 0", LENGTH),
    "TE names chunked": shape("TE: chunked", LENGTH),
    "a method to override with":
        shape("X-HTTP-Method-Override: DELETE", "X-Original-URL: /metrics", LENGTH),
    "an escaped quote in an extension":
        chunked(b'%x;a="b\\"c"\r\n%s\r\n0\r\n\r\n' % (len(BODY), BODY)),
    "an expectation twice":
        shape("Expect: 100-continue", "Expect: 100-continue", LENGTH),
    "Expect in capitals with its body": shape("Expect: 100-Continue", LENGTH),
}
SECOND = get("/v1/models")


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_but_valid_request_is_served_and_the_next_one_too(world, name):
    with Wire(world.port) as wire:
        wire.send(GOOD[name] + SECOND)
        first = wire.answer()
        if first.status == 100:
            first = wire.answer()
        assert first.status == 200 and first.json["choices"], first
        second = wire.answer()
        assert second.status == 200 and second.json["object"] == "list"


@pytest.mark.parametrize("request_bytes", [
    chunked(CHUNKS[:-2] + b"X: y\r\n\r\n").replace(BODY, b'{"model":1}'.ljust(len(BODY))),
    shape(LENGTH, body=b'{"model":1}'.ljust(len(BODY))),
], ids=["chunked", "length"])
def test_a_request_cut_at_every_byte_is_read_the_same(world, request_bytes):
    """The body is refused, so that no provider's answer is waited for."""
    with Wire(world.port) as wire:
        for at in range(1, len(request_bytes)):
            wire.send(request_bytes[:at])
            wire.send(request_bytes[at:])
            answer = wire.answer()
            assert answer.status == 400 and answer.error["param"] == "model", at


def test_pipelined_requests_are_answered_in_order(world):
    with Wire(world.port) as wire:
        bodies = [{**ASK, "messages": [{"role": "user", "content": f"number {i}"}]}
                  for i in range(5)]
        wire.send(b"".join(post(body) + get("/v1/models") for body in bodies) +
                  get("/v1/models/none"))
        statuses = []
        for _ in bodies:
            assert wire.answer().json["choices"]
            assert wire.answer().json["object"] == "list"
            statuses.append(200)
        assert wire.answer().error["code"] == "model_not_found"


def test_a_body_of_a_request_that_needs_none_is_not_the_next_request(world):
    with Wire(world.port) as wire:
        wire.send(get("/healthz", [f"Content-Length: {len(SMUGGLED)}"]) + SMUGGLED +
                  get("/healthz", [CHUNKED]) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED) +
                  get("/none", [f"Content-Length: {len(SMUGGLED)}"]) + SMUGGLED + get("/healthz"))
        assert [wire.answer().status for _ in range(4)] == [200, 200, 404, 200]


def test_the_body_of_a_stranger_is_not_the_next_request(world):
    with Wire(world.port) as wire:
        wire.send(post(SMUGGLED, key="sk-drover-none") + SECOND)
        assert wire.answer().error["code"] == "malformed_api_key"
        assert wire.answer().json["object"] == "list"


def test_a_client_may_wait_for_100_before_its_slow_body(world):
    with Wire(world.port) as wire:
        wire.send(shape("Expect: 100-continue", LENGTH, body=b""))
        assert wire.answer().status == 100
        for at in range(0, len(BODY), 7):
            wire.send(BODY[at:at + 7])
        assert wire.answer().status == 200
        # A refused one is not asked for its body.
        wire.send(post(b"", key="wrong").replace(b"Content-Length: 0",
                                                 b"Content-Length: 9\r\nExpect: 100-continue"))
        assert wire.answer().status == 401
        assert wire.answers() == []


def test_expect_is_unknown_to_http_1_0(world):
    with Wire(world.port) as wire:
        wire.send(shape("Expect: 100-continue", LENGTH, line=f"POST {PATH} HTTP/1.0"))
        assert [answer.status for answer in wire.answers()] == [200]


def test_head_has_the_head_of_get_and_no_body(world):
    with Wire(world.port) as wire:
        for path in ("/healthz", "/v1/models", "/none"):
            wire.send(get(path, method="HEAD"))
            silent = wire.answer("HEAD")
            wire.send(get(path))
            spoken = wire.answer()
            assert silent.status == spoken.status
            assert silent.field("content-length") == str(len(spoken.body)) != "0"
        wire.send(get(PATH, method="HEAD"))
        assert wire.answer("HEAD").status == 405


@pytest.mark.parametrize("path,method,allow", [
    (PATH, "GET", "POST, OPTIONS"), (PATH, "DELETE", "POST, OPTIONS"), (PATH, "PUT", "POST, OPTIONS"),
    ("/v1/models", "POST", "GET, HEAD, OPTIONS"), ("/healthz", "PATCH", "GET, HEAD, OPTIONS")])
def test_a_wrong_method_is_told_the_right_ones(world, path, method, allow):
    with Wire(world.port) as wire:
        wire.send(get(path, method=method))
        answer = wire.answer()
        assert answer.status == 405 and answer.error["code"] == "method_not_allowed"
        assert answer.field("allow") == allow
        wire.send(SECOND)
        assert wire.answer().status == 200


def test_a_browser_may_ask_first(world):
    origin = "http://localhost:3000"
    with Wire(world.port) as wire:
        wire.send(get(PATH, ["Origin: " + origin, "Access-Control-Request-Method: POST",
                             "Access-Control-Request-Headers: authorization,content-type"],
                      method="OPTIONS"))
        allowed = wire.answer()
        assert allowed.status == 204
        assert allowed.field("access-control-allow-origin") == origin
        assert "POST" in allowed.field("access-control-allow-methods")
        assert "authorization" in allowed.field("access-control-allow-headers")
        wire.send(post(fields=["Origin: " + origin]))
        answer = wire.answer()
        assert answer.field("access-control-allow-origin") == origin
        assert answer.field("vary") == "Origin"
        for foreign in ("https://evil.example", "http://localhost.evil.example", "null",
                        "http://127.0.0.1.evil.example", origin + "0" * 20000):
            wire.send(get(PATH, ["Origin: " + foreign], method="OPTIONS"))
            assert wire.answer().field("access-control-allow-origin") is None
        wire.send(get("/healthz", ["Origin: " + origin + "0" * 20000]))
        assert wire.answer().field("content-length") == str(len('{"status":"ok"}'))
        wire.send(get("*", method="OPTIONS"))
        assert wire.answer().status == 204


@pytest.mark.parametrize("version,fields,is_kept", [
    ("1.1", [], True), ("1.1", ["Connection: close"], False), ("1.1", ["Connection: Close, x"], False),
    ("1.0", [], False), ("1.0", ["Connection: keep-alive"], True), ("1.0", ["Connection: close"], False)])
def test_a_connection_is_kept_as_the_client_asked(world, version, fields, is_kept):
    request = post(fields=fields, version=version)
    with Wire(world.port) as wire:
        wire.send(request)
        answer = wire.answer()
        assert answer.status == 200
        if is_kept:
            wire.send(request)
            assert wire.answer().status == 200
        else:
            assert answer.field("connection") == "close"
            assert wire.answers() == []


def test_a_stream_to_http_1_0_ends_with_the_connection(world):
    with Wire(world.port) as wire:
        wire.send(post({**ASK, "stream": True}, version="1.0", fields=["Connection: keep-alive"]))
        answer = wire.answer()
        assert answer.field("transfer-encoding") is None
        assert answer.body.endswith(b"data: [DONE]\n\n")


# --- another reader's opinion -----------------------------------------------------------------------

PIECES = [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b",", b";", b"\0", b"0", b"+", b"-", b"_", b"x",
          b"\x0b", b"\xff", b"chunked", b"HTTP/1.1", b"HTTP/1.0", b"0\r\n\r\n", b"5\r\nhello\r\n",
          b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
          b"Host: x\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n",
          b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]
HEALTH = get("/healthz")


def spoil(seeded, request):
    """One to three changes, most of them at the bytes that frame."""
    data = bytearray(request)
    for _ in range(seeded.randint(1, 3)):
        at = seeded.randrange(len(data))
        if seeded.random() < 0.6:
            at = seeded.choice([i for i, byte in enumerate(data) if byte in b"\r\n: ,;"] or [at])
        change = seeded.random()
        if change < 0.5:
            data[at:at] = seeded.choice(PIECES)
        elif change < 0.75:
            del data[at:at + seeded.randint(1, 2)]
        else:
            data[at] = seeded.randrange(256)
        if not data:
            break
    return bytes(data)


def healthz_seen_by_h11(data):
    """How many of the requests that h11 reads ask for /healthz."""
    count = 0
    while data:
        reader = h11.Connection(h11.SERVER)
        # Of empty lines before a request h11 forgives none, RFC 9112 one.
        reader.receive_data(data.removeprefix(b"\r\n"))
        reader.receive_data(b"")
        event = None
        try:
            while not isinstance(event, h11.EndOfMessage):
                event = reader.next_event()
                if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                    return count
                if isinstance(event, h11.Request):
                    count += event.target == b"/healthz"
        except h11.RemoteProtocolError:
            return count
        if reader.their_state not in (h11.DONE, h11.MIGHT_SWITCH_PROTOCOL):
            return count
        data = bytes(reader.trailing_data[0])
    return count


def test_a_spoiled_request_hides_none_that_another_parser_does_not_see(world):
    """Only /healthz answers 200 here: the others ask for a model that is not there."""
    seeded = random.Random(9112)
    requests = [request for request, _ in BAD.values() if len(request) < 2000]
    requests = [request.replace(b'"gpt-4.1"', b'"gpt-4.x"') for request in [*requests, *GOOD.values()]]
    for _ in range(1000):
        data = spoil(seeded, seeded.choice(requests)) + HEALTH
        with Wire(world.port) as wire:
            wire.send(data)
            wire.socket.shutdown(1)
            served = [answer.status for answer in wire.answers()].count(200)
        assert served <= healthz_seen_by_h11(data), data


# --- bodies ----------------------------------------------------------------------------------------

ANY = '"messages":[{"role":"user","content":"x"}]'


def body(*pairs):
    return ("{" + ",".join(pairs) + "}").encode()


BAD_JSON = {
    "nothing": b"",
    "blanks": b"  \r\n\t",
    "no JSON": b"hello",
    "half an object": b'{"model":"gpt-4.1"',
    "trailing garbage": BODY + b"x",
    "two objects": BODY + BODY,
    "NUL behind": BODY + b"\0",
    "a byte order mark": b"\xef\xbb\xbf" + BODY,
    "UTF-16": BODY.decode().encode("utf-16"),
    "a trailing comma": body('"model":"gpt-4.1"', ANY, ""),
    "a comment": b"/* */" + BODY,
    "single quotes": BODY.replace(b'"', b"'"),
    "NaN": body('"model":"gpt-4.1"', ANY, '"temperature":NaN'),
    "a number with a leading zero": body('"model":"gpt-4.1"', ANY, '"n":01'),
    "100,000 brackets": b"[" * 100000,
    "100,000 matched brackets": b"[" * 100000 + b"]" * 100000,
    "100,000 brackets in a field":
        body('"model":"gpt-4.1"', ANY, '"x":' + "[" * 100000 + "]" * 100000),
    "100,000 objects within": b'{"a":' * 100000 + b"1" + b"}" * 100000,
    "a lone high surrogate": body('"model":"gpt-4.1"', '"messages":[{"role":"user","content":"\\ud800"}]'),
    "a lone low surrogate": body('"model":"gpt-4.1"', '"messages":[{"role":"user","content":"\\udc00 "}]'),
    "surrogates the wrong way round": body('"model":"gpt-4.1"', ANY, '"user":"\\udc00\\ud800"'),
    "half an escape": body('"model":"gpt-4.1"', ANY, '"user":"\\u12"'),
    "invalid UTF-8": BODY.replace(b"count", b"\xff\xfe"),
    "overlong UTF-8": BODY.replace(b"count", b"\xc0\xaf"),
    "a surrogate in UTF-8": BODY.replace(b"count", b"\xed\xa0\x80"),
    "a cut UTF-8 sequence": BODY.replace(b"count", b"\xe2\x82"),
    "a control byte in a string": BODY.replace(b"count", b"a\nb"),
    "NUL in a string": BODY.replace(b"count", b"a\0b"),
}
# JSON, but of a depth that no parser has to follow.
DEEP = {"100,000 matched brackets", "100,000 brackets in a field", "100,000 objects within"}
WRONG = {
    "an array": (b"[]", None),
    "a string": (b'"x"', None),
    "null": (b"null", None),
    "a number": (b"1", None),
    "an empty object": (b"{}", "model"),
    "model twice": (body('"model":"gpt-4.1"', ANY, '"model":"deepseek-v3.2"'), "model"),
    "model twice, escaped": (body('"model":"gpt-4.1"', ANY, '"mod\\u0065l":"x"'), "model"),
    "model twice, the first escaped": (body('"\\u006dodel":"gpt-4.1"', ANY, '"model":"x"'), "model"),
    "an unknown field twice": (body('"model":"gpt-4.1"', ANY, '"x":1', '"x":1'), "x"),
    "no messages": (body('"model":"gpt-4.1"'), "messages"),
    "no message": (body('"model":"gpt-4.1"', '"messages":[]'), "messages"),
    "a message of text": (body('"model":"gpt-4.1"', '"messages":["x"]'), "messages[0]"),
    "an unknown role": (body('"model":"gpt-4.1"', '"messages":[{"role":"boss","content":"x"}]'),
                        "messages[0].role"),
    "a role of a number": (body('"model":"gpt-4.1"', '"messages":[{"role":1,"content":"x"}]'),
                           "messages[0].role"),
    "content of a number": (body('"model":"gpt-4.1"', '"messages":[{"role":"user","content":1}]'),
                            "messages[0].content"),
    "an image without URL":
        (body('"model":"gpt-4.1"', '"messages":[{"role":"user","content":[{"type":"image_url"}]}]'),
         "messages[0].content[0].image_url"),
    "a tool result without id":
        (body('"model":"gpt-4.1"', '"messages":[{"role":"tool","content":"x"}]'),
         "messages[0].tool_call_id"),
    "a tool of text": (body('"model":"gpt-4.1"', ANY, '"tools":["x"]'), "tools[0]"),
    "a tool without function":
        (body('"model":"gpt-4.1"', ANY, '"tools":[{"type":"function"}]'), "tools[0].function"),
    "include_usage of text":
        (body('"model":"gpt-4.1"', ANY, '"stream":true', '"stream_options":{"include_usage":"x"}'),
         "stream_options.include_usage"),
    "five stops": (body('"model":"gpt-4.1"', ANY, '"stop":["a","b","c","d","e"]'), "stop"),
    "a stop of a number": (body('"model":"gpt-4.1"', ANY, '"stop":[1]'), "stop[0]"),
    "a bias of text": (body('"model":"gpt-4.1"', ANY, '"logit_bias":{"1":"x"}'), "logit_bias.1"),
}
# Every field with a value that it can't have, and one beyond its range.
TYPES = {
    "model": ["1", '""', "{}", '"' + "m" * 300 + '"'], "messages": ["1", '"x"', "{}"],
    "stream": ["1", '"true"', "[]"], "stream_options": ["1", '"x"', "[]"],
    "temperature": ['"x"', "-1", "2.5", "1e400", "[]"], "top_p": ['"x"', "-1", "1.5"],
    "n": ['"x"', "0", "-1", "1.5", "129", "1e99"], "seed": ['"x"', "1.5", "99999999999999999999"],
    "max_tokens": ['"x"', "0", "-1", "1.5"], "max_completion_tokens": ['"x"', "0", "-1", "{}"],
    "presence_penalty": ['"x"', "-3", "3"], "frequency_penalty": ['"x"', "-3", "3"],
    "stop": ["1", "{}", "true"], "user": ["1", "[]"], "logit_bias": ["1", "[]", '"x"'],
    "logprobs": ["1", '"x"'], "top_logprobs": ['"x"', "-1", "21"], "metadata": ["1", "[]", '"x"'],
    "tools": ["1", "{}", '"x"'], "tool_choice": ["1", "[]", '"sometimes"'],
    "functions": ["1", "{}"], "function_call": ["1", "[]"], "response_format": ["1", '"json"', "[]"],
    "modalities": ["1", '"text"'], "audio": ["1", "[]"], "prediction": ["1", "[]"],
    "store": ["1", '"x"'], "service_tier": ["1"], "reasoning_effort": ["1"], "verbosity": ["1"],
    "parallel_tool_calls": ["1", '"x"'], "prompt_cache_key": ["1"], "safety_identifier": ["1"],
    "web_search_options": ["1", "[]"], "prompt_cache_retention": ["1"],
}


def test_bodies_that_are_no_json_are_refused_and_the_connection_lives(world):
    with Wire(world.port) as wire:
        for name, data in BAD_JSON.items():
            wire.send(post(data))
            answer = wire.answer()
            assert answer and answer.status == 400, (name, answer)
            code = "invalid_request" if name in DEEP else "invalid_json"
            assert (answer.error["code"], answer.error["param"]) == (code, None), (name, answer)
            wire.send(SECOND)
            assert wire.answer().status == 200, name


def test_wrong_shapes_are_refused_by_name_and_the_connection_lives(world):
    with Wire(world.port) as wire:
        for name, (data, param) in WRONG.items():
            wire.send(post(data))
            answer = wire.answer()
            assert answer and answer.status == 400, (name, answer)
            assert answer.error["param"] == param, (name, answer)
            wire.send(SECOND)
            assert wire.answer().status == 200, name


@pytest.mark.parametrize("field", TYPES)
def test_a_field_of_a_wrong_type_is_named(world, field):
    good = {"model": '"gpt-4.1"', "messages": '[{"role":"user","content":"x"}]'}
    if field == "stream_options":
        good["stream"] = "true"
    with Wire(world.port) as wire:
        for value in TYPES[field]:
            pairs = {**good, field: value}
            wire.send(post(body(*(f'"{name}":{text}' for name, text in pairs.items()))))
            answer = wire.answer()
            assert answer and answer.status == 400, (value, answer)
            assert answer.error["param"] == field, (value, answer)
            assert answer.error["code"] == "invalid_request"


@pytest.mark.parametrize("fields", [
    ["Content-Encoding: gzip"], ["Content-Encoding: br"]])
def test_a_compressed_body_is_not_taken(world, fields):
    answer = call(world.port, post(fields=fields))
    assert answer.status == 415 and answer.error["code"] == "unsupported_media_type"


def test_a_body_of_another_type_is_not_taken(world):
    request = post().replace(b"application/json", b"text/plain")
    with Wire(world.port) as wire:
        wire.send(request + SECOND)
        assert wire.answer().error["code"] == "unsupported_media_type"
        assert wire.answer().status == 200


# --- the unhurried and the endless -----------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    provider = Provider(answer_always)
    relay = Relay(tmp_path_factory.mktemp("strict"), provider.url,
                  timeouts="request_head: 1s, request_body: 1s, idle: 2s",
                  limits="body_bytes: 64KiB, head_bytes: 4KiB, headers: 20")
    with running(relay):
        yield relay
    provider.close()


def drip(wire, data):
    """A byte now and then, never long enough silent for a time-out of each read."""
    for at in range(len(data)):
        wire.socket.settimeout(0.1)
        try:
            if not wire.socket.recv(1, 2):  # MSG_PEEK
                break
            break
        except TimeoutError:
            pass
        if not wire.send(data[at:at + 1]):
            break
    wire.socket.settimeout(10)


def test_slow_heads_and_bodies_meet_the_deadline_of_the_whole(strict):
    request = strict.post()
    split = request.index(b"\r\n\r\n") + 4
    parts = {"head": (b"", request[:200]), "body": (request[:split], request[split:]),
             "chunks": (shape(CHUNKED, body=b"").replace(KEY.encode(), strict.key.encode()),
                        b"1\r\n{\r\n" * 20)}
    found = {}

    def run(name, first, rest):
        with Wire(strict.port) as wire:
            began = time.monotonic()
            wire.send(first)
            drip(wire, rest)
            found[name] = (wire.answers(), time.monotonic() - began)

    threads = [threading.Thread(target=run, args=(name, *part)) for name, part in parts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, (answers, seconds) in found.items():
        assert [answer.status for answer in answers] == [408], (name, answers)
        assert answers[0].error["code"] == "request_timeout"
        assert 0.9 < seconds < 4, (name, seconds)
    assert call(strict.port, strict.post()).status == 200


def test_an_idle_connection_is_closed_without_a_word(strict):
    with Wire(strict.port) as wire:
        wire.send(get("/healthz"))
        assert wire.answer().status == 200
        assert wire.answers() == []


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(strict):
    key = strict.key
    big = shape("Content-Length: 1073741824", body=b"").replace(KEY.encode(), key.encode())
    with Wire(strict.port) as wire:
        wire.send(big)
        answers = wire.answers()
        assert [answer.status for answer in answers] == [413]
        assert answers[0].error["code"] == "request_too_large"
    endless = shape(CHUNKED, body=b"").replace(KEY.encode(), key.encode())
    with Wire(strict.port) as wire:
        wire.send(endless)
        sent = 0
        while sent < 1 << 30 and wire.send(b"1000\r\n" + b" " * 4096 + b"\r\n"):
            sent += 4096
            wire.socket.setblocking(False)
            try:
                wire.kept += wire.socket.recv(65536)
            except (BlockingIOError, ConnectionResetError):
                pass
            finally:
                wire.socket.settimeout(10)
            if wire.kept:
                break
        assert sent < 16 << 20, "a gigabyte was read"
        answers = wire.answers()
        assert [answer.status for answer in answers] == [413]
    # Just within the limit it is served.
    padded = json.dumps(ASK).encode().ljust(65536)
    assert call(strict.port, strict.post(padded)).status == 200
    assert call(strict.port, strict.post(padded + b" ")).status == 413


def test_configured_limits_of_the_head_hold(strict):
    assert call(strict.port, strict.post(fields=["X: y"] * 15)).status == 200
    for fields in (["X: y"] * 25, ["X: " + "y" * 5000]):
        answer = call(strict.port, strict.post(fields=fields))
        assert answer.status == 431 and answer.error["code"] == "headers_too_large"


@pytest.mark.threads
def test_after_all_of_it_no_connection_is_left_and_the_gateway_lives(own_gateway):
    for name in list(BAD)[::9]:
        with Wire(own_gateway.port) as wire:
            wire.send(BAD[name][0])
    for _ in range(50):
        with Wire(own_gateway.port) as wire:
            wire.send(shape(LENGTH)[:-5])
            wire.reset()

    def is_alone():
        lines = open(f"/proc/{own_gateway.process.pid}/net/tcp").read().split("\n")[1:-1]
        port = f":{own_gateway.port:04X}"
        return not [line for line in lines
                    if line.split()[1].endswith(port) and line.split()[3] == "01"]
    wait_for(is_alone, 10, "the end of all connections")
    assert call(own_gateway.port, post()).status == 200
