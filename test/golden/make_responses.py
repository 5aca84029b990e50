#!/usr/bin/env python3
"""Writes test/golden/openai-responses/*.txt: what each recording of OpenAI's Responses API is to readers that do not
speak it: its events in their order, the measures of its JSON, and what a reader of chat completions finds in it.

A second witness beside src/net/sse.c, src/base/json.c and src/dialect/openai_answer.c, with nothing but the json
module. Run it by hand when recordings are added, and read the difference before committing it:

    python3 test/golden/make_responses.py
"""
import itertools
import json
import pathlib

import make

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = make.FIXTURES / 'openai-responses'
KINDS = {401: 'key_refused', 429: 'rate_limited'}


def events(raw):
    """(name, data) of each event that has data."""
    name, lines = '', []
    for line in raw.decode('utf-8').replace('\r\n', '\n').split('\n') + ['']:
        field, _, value = line.partition(':')
        value = value.removeprefix(' ')
        if line == '':
            if lines:
                yield name, '\n'.join(lines)
            name, lines = '', []
        elif field == 'event':
            name = value
        elif field == 'data':
            lines.append(value)


class Measure:
    """How deep, how many values and names, how many bytes of text in them."""

    def __init__(self):
        self.depth = self.values = self.names = self.text = 0

    def add(self, value, depth=0):
        self.values += 1
        if isinstance(value, (dict, list)):
            self.depth = max(self.depth, depth + 1)
            for inner in value.values() if isinstance(value, dict) else value:
                self.add(inner, depth + 1)
            for name in value if isinstance(value, dict) else ():
                self.names += 1
                self.text += len(name.encode())
        elif isinstance(value, str):
            self.text += len(value.encode())

    def line(self):
        return f'json depth {self.depth} values {self.values} names {self.names} text {self.text}'


def stream_lines(raw):
    said = list(events(raw))
    measure = Measure()
    deltas = {}
    yield f'events {len(said)}'
    for name, run in itertools.groupby(name for name, _ in said):
        count = len(list(run))
        yield make.plain(name) + (f' x {count}' if count > 1 else '')
    for _, data in said:
        if data == '[DONE]':
            continue
        event = json.loads(data)
        measure.add(event)
        if isinstance(event.get('delta'), str):
            deltas[event['type']] = deltas.get(event['type'], '') + event['delta']
    for kind in deltas:
        yield f'{kind} {make.plain(deltas[kind])}'
    yield measure.line()


def lines_of(entry, raw):
    if entry['response'].endswith('.sse'):
        yield from stream_lines(raw)
    else:
        measure = Measure()
        measure.add(json.loads(raw))
        yield measure.line()
    if entry['status'] != 200:
        yield 'kind ' + ('out_of_credit' if make.error_of(json.loads(raw))[2] == 'insufficient_quota' else
                         KINDS.get(entry['status'], 'rejected'))
        yield from make.lines_of(entry, raw)
    elif entry['response'].endswith('.sse'):
        yield from chat_lines(raw)
    else:
        yield 'chat: an answer without choices'


def chat_lines(raw):
    """Nothing but errors and an end has the form that the other API knows."""
    for _, data in events(raw):
        event = {} if data == '[DONE]' else json.loads(data)
        if event.get('error') or event.get('message'):
            message, kind, code, param = make.error_of(event)
            words = message, kind or event.get('type'), code, param
            yield 'chat: error ' + ' | '.join(map(make.plain, words))
        if data == '[DONE]':
            yield 'chat: end'


def main():
    for entry in json.loads((FOLDER / 'INDEX.json').read_text()):
        raw = (FOLDER / entry['response']).read_bytes()
        text = ''.join(line + '\n' for line in lines_of(entry, raw))
        (HERE / 'openai-responses' / (entry['name'] + '.txt')).write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
