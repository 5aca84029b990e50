#!/usr/bin/env python3
"""Writes test/golden/openai/*.txt: what each recording of OpenAI's dialect says, as plain text.

A second witness beside src/dialect/openai_answer.c: written from the wire's description alone, with nothing
but the json module. Run it by hand when recordings are added, and read the difference before committing it:

    python3 test/golden/make.py
"""
import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent / 'fixtures'
FOLDERS = ('openai-chat', 'deepseek', 'openai-compat')


def plain(text):
    """One line, with every control character visible."""
    if text is None or text == '':
        return '-'
    shown = ''
    for letter in text:
        if letter == '\\':
            shown += '\\\\'
        elif ord(letter) < 0x20:
            shown += '\\x%02x' % ord(letter)
        elif 0xD800 <= ord(letter) <= 0xDFFF:
            shown += '\ufffd'
        else:
            shown += letter
    return shown


def payloads(raw):
    """The data of each event of a stream."""
    lines = []
    for line in raw.decode('utf-8').replace('\r\n', '\n').replace('\r', '\n').split('\n') + ['']:
        if line == '' and lines:
            yield '\n'.join(lines)
            lines = []
        elif line.startswith('data:'):
            value = line[len('data:'):]
            lines.append(value[1:] if value.startswith(' ') else value)


def is_count(value):
    return type(value) is int and 0 <= value <= 10**12


def usage_of(value):
    def first(*candidates):
        return next((c for c in candidates if is_count(c) and c > 0), 0)

    if not isinstance(value, dict):
        return None
    if not any(is_count(value.get(k)) for k in
               ('prompt_tokens', 'completion_tokens', 'total_tokens')):
        return None
    prompt = first(value.get('prompt_tokens'))
    completion = first(value.get('completion_tokens'))
    total = value['total_tokens'] if is_count(value.get('total_tokens')) else prompt + completion
    cached = first((value.get('prompt_tokens_details') or {}).get('cached_tokens'),
                   value.get('prompt_cache_hit_tokens'), value.get('cached_tokens'))
    reasoning = first((value.get('completion_tokens_details') or {}).get('reasoning_tokens'),
                      value.get('reasoning_tokens'))
    return prompt, completion, total, min(cached, prompt), reasoning


# OpenAI's code for what others say in words of their own.
CODES = {'max(imum)? context length|too_many_prompt_tokens': 'context_length_exceeded',
         'Insufficient Balance': 'insufficient_quota',
         'authentication_error|invalid_api_key': 'invalid_api_key',
         'RateLimitReached': 'rate_limit_exceeded'}


def code_of(message, kind, code):
    """A status in the code's place is none."""
    for words, known in CODES.items():
        if any(re.search(words, said) for said in (message, kind, code) if isinstance(said, str)):
            return known
    return None if code is None or str(code).isdigit() else code


def words_of(error):
    message, kind = error.get('message'), error.get('type')
    return message, kind, code_of(message, kind, error.get('code')), error.get('param')


def error_of(body):
    """The provider's words in an error body or event."""
    error = body.get('error')
    if isinstance(error, dict):
        return words_of(error)
    if isinstance(error, str):
        return (error, body.get('type'), body.get('code'), body.get('param'))
    if isinstance(body.get('detail'), str):
        return (body['detail'], None, None, None)
    return words_of(body)


class Choice:
    def __init__(self):
        self.text = ''
        self.reasoning = ''
        self.refusal = ''
        self.finishes = []
        self.calls = []       # [id, name, arguments]
        self.latest = {}      # number as sent -> place in calls

    def add_call(self, number, call):
        identity = call.get('id') or ''
        what = call.get('function') or {}
        place = self.latest.get(number)
        if place is None or (identity and self.calls[place][0] and self.calls[place][0] != identity):
            self.calls.append(['', '', ''])
            place = self.latest[number] = len(self.calls) - 1
        if identity:
            self.calls[place][0] = identity
        self.calls[place][1] += what.get('name') or ''
        self.calls[place][2] += what.get('arguments') or ''

    def add(self, delta):
        reasoning = delta.get('reasoning_content') or delta.get('reasoning')
        if isinstance(reasoning, str) and reasoning:
            self.reasoning += reasoning
        else:
            for detail in delta.get('reasoning_details') or []:
                self.reasoning += detail.get('text') or detail.get('summary') or ''
        content = delta.get('content')
        if isinstance(content, str):
            self.text += content
        for part in content if isinstance(content, list) else []:
            if part.get('type') == 'thinking':
                thoughts = part['thinking']
                if isinstance(thoughts, str):
                    thoughts = [{'text': thoughts}]
                self.reasoning += ''.join(t.get('text') or '' for t in thoughts)
            else:
                self.text += part.get('text') or ''
        self.refusal += delta.get('refusal') or ''
        for place, call in enumerate(delta.get('tool_calls') or []):
            number = call.get('index')
            self.add_call(place if number is None else number, call)
        if delta.get('function_call'):
            self.add_call(0, {'function': delta['function_call']})


class Answer:
    def __init__(self):
        self.id = ''
        self.model = ''
        self.choices = {}
        self.usage = None
        self.error = None
        self.is_ended = False

    def add(self, chunk):
        groq = (chunk.get('x_groq') or {}).get('usage')
        self.usage = usage_of(chunk.get('usage')) or usage_of(groq) or self.usage
        if chunk.get('error'):
            self.error = error_of(chunk)
            return
        self.id = self.id or chunk.get('id') or ''
        self.model = self.model or chunk.get('model') or ''
        for place, sent in enumerate(chunk.get('choices') or []):
            choice = self.choices.setdefault(sent.get('index', place), Choice())
            choice.add(sent.get('delta') or sent.get('message') or {})
            if sent.get('finish_reason'):
                choice.finishes.append(sent['finish_reason'])

    def lines(self):
        yield 'id ' + plain(self.id)
        yield 'model ' + plain(self.model)
        for number in sorted(self.choices):
            choice = self.choices[number]
            said = [('reasoning', choice.reasoning), ('text', choice.text),
                    ('refusal', choice.refusal)]
            if not any(text for _, text in said) and not choice.calls and not choice.finishes:
                continue
            for name, text in said:
                yield 'choice %d %s %s' % (number, name, plain(text))
            for place, call in enumerate(choice.calls):
                yield 'choice %d call %d %s' % (number, place, ' | '.join(map(plain, call)))
            yield 'choice %d finish %s' % (number, plain(','.join(choice.finishes)))
        yield 'usage ' + (' '.join(map(str, self.usage)) if self.usage else '-')
        if self.error:
            yield 'error ' + ' | '.join(map(plain, self.error))
        if self.is_ended:
            yield 'end'


def lines_of(entry, raw):
    if entry['status'] != 200:
        yield 'error ' + ' | '.join(map(plain, error_of(json.loads(raw))))
        return
    answer = Answer()
    if entry['response'].endswith('.sse'):
        for payload in payloads(raw):
            if payload.strip() == '[DONE]':
                answer.is_ended = True
            elif payload.strip():
                answer.add(json.loads(payload))
    else:
        answer.add(json.loads(raw))
    yield from answer.lines()


def main():
    for folder in FOLDERS:
        for entry in json.loads((FIXTURES / folder / 'INDEX.json').read_text()):
            raw = (FIXTURES / folder / entry['response']).read_bytes()
            text = ''.join(line + '\n' for line in lines_of(entry, raw))
            (HERE / 'openai' / (entry['name'] + '.txt')).write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
