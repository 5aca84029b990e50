#!/usr/bin/env python3
"""Writes test/golden/anthropic/*.txt and test/golden/gemini/*.txt: what each recording of these two says,
in the words of OpenAI's answers, as plain text.

A second witness beside src/dialect/anthropic_answer.c and gemini_answer.c: written from the wire's description
alone, with nothing but the json module. Run it by hand when recordings are added, and read the difference before
committing it:

    python3 test/golden/make_providers.py
"""
import json
import pathlib

from make import FIXTURES, HERE, is_count, payloads, plain


class Message:
    """One answer: what its events add up to."""

    def __init__(self):
        self.id = ''
        self.model = ''
        self.choices = {}
        self.usage = None
        self.error = None
        self.is_ended = False

    def choice(self, number=0):
        return self.choices.setdefault(number, {
            'reasoning': '', 'text': '', 'refusal': '', 'calls': [], 'seals': [], 'sources': [], 'finish': '',
            'logprobs': 0})

    def lines(self):
        yield 'id ' + plain(self.id)
        yield 'model ' + plain(self.model)
        for number in sorted(self.choices):
            said = self.choices[number]
            if not any(said.values()):
                continue
            for name in ('reasoning', 'text', 'refusal'):
                yield 'choice %d %s %s' % (number, name, plain(said[name]))
            for seal in said['seals']:
                yield 'choice %d seal %s' % (number, ' | '.join(map(plain, seal)))
            for place, call in enumerate(said['calls']):
                yield 'choice %d call %d %s' % (number, place, ' | '.join(map(plain, call)))
            for source in said['sources']:
                yield 'choice %d source %s' % (number, ' | '.join(map(plain, source)))
            if said['logprobs']:
                yield 'choice %d logprobs %d' % (number, said['logprobs'])
            yield 'choice %d finish %s' % (number, plain(said['finish']))
        yield 'usage ' + (' '.join(map(str, self.usage)) if self.usage else '-')
        if self.error:
            yield 'error ' + ' | '.join(map(plain, self.error))
        if self.is_ended:
            yield 'end'


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(',', ':'))


# --- Anthropic ---

ANTHROPIC_FINISHES = {'max_tokens': 'length', 'model_context_window_exceeded': 'length', 'refusal': 'content_filter'}


class Anthropic(Message):
    def __init__(self):
        super().__init__()
        self.counts = {}
        self.open = {}      # block number -> [call, has it pieces, was it whole]
        self.has_said = False

    def count(self, usage):
        for name in ('input_tokens', 'cache_creation_input_tokens', 'cache_read_input_tokens', 'output_tokens'):
            if is_count((usage or {}).get(name)):
                self.counts[name] = usage[name]
        thinking = ((usage or {}).get('output_tokens_details') or {}).get('thinking_tokens')
        if is_count(thinking):
            self.counts['thinking'] = thinking

    def tell(self):
        if self.counts:
            written = self.counts.get('cache_creation_input_tokens', 0)
            read = self.counts.get('cache_read_input_tokens', 0)
            asked = self.counts.get('input_tokens', 0) + written + read
            told = self.counts.get('output_tokens', 0)
            self.usage = (asked, told, asked + told, read, min(self.counts.get('thinking', 0), told), written)

    def source(self, citation):
        if citation.get('url'):
            self.choice()['sources'].append((citation['url'], citation.get('title')))

    def block(self, block, is_whole):
        """The call that the block is, if it is one."""
        self.has_said = True
        said = self.choice()
        kind = block.get('type')
        if kind == 'text':
            said['text'] += block.get('text') or ''
            for citation in block.get('citations') or []:
                self.source(citation)
        elif kind == 'thinking':
            said['reasoning'] += block.get('thinking') or ''
            if block.get('signature'):
                said['seals'].append(('thinking', '0', block['signature']))
        elif kind == 'redacted_thinking':
            said['seals'].append(('redacted', '0', block['data']))
        elif kind == 'tool_use':
            given = block.get('input')
            call = [block['id'], block['name'], compact(given) if given else '{}' if is_whole else '']
            said['calls'].append(call)
            return call
        return None

    def finish(self, holder):
        reason = holder.get('stop_reason')
        said = self.choice()
        if reason and not said['finish']:
            said['refusal'] += (holder.get('stop_details') or {}).get('explanation') or ''
            self.stop(reason)

    def stop(self, reason):
        said = self.choice()
        said['finish'] = ANTHROPIC_FINISHES.get(reason, 'tool_calls' if said['calls'] else 'stop')

    def close(self, number):
        call, has_pieces = self.open.pop(number, (None, True))
        if call and not call[2] and not has_pieces:
            call[2] = '{}'

    def close_all(self):
        for number in list(self.open):
            self.close(number)

    def add(self, event):
        kind = event['type']
        said = self.choice() if kind not in ('ping', 'error') else None
        if kind == 'message_start':
            message = event['message']
            if self.id and self.id != message['id'] and self.has_said:
                self.error = ('another message began inside the answer', 'api_error', None, None)
                return
            self.id = message['id']
            self.model = message['model']
            self.count(message.get('usage'))
            self.tell()
            for block in message.get('content') or []:
                self.block(block, True)
            self.finish(message)
        elif kind == 'content_block_start':
            call = self.block(event['content_block'], False)
            self.open[event['index']] = (call, bool(call and call[2]))
        elif kind == 'content_block_delta':
            self.has_said = True
            delta = event['delta']
            if delta['type'] == 'text_delta':
                said['text'] += delta['text']
            elif delta['type'] == 'thinking_delta':
                said['reasoning'] += delta['thinking']
            elif delta['type'] == 'signature_delta':
                said['seals'].append(('thinking', '0', delta['signature']))
            elif delta['type'] == 'citations_delta':
                self.source(delta['citation'])
            elif delta['type'] == 'input_json_delta':
                call, is_given = self.open[event['index']]
                if call and delta['partial_json']:
                    call[2] += delta['partial_json']
        elif kind == 'content_block_stop':
            self.close(event['index'])
        elif kind == 'message_delta':
            self.close_all()
            self.count(event.get('usage'))
            self.finish(event['delta'])
            self.tell()
        elif kind == 'message_stop':
            self.close_all()
            if not said['finish']:
                self.stop('end_turn')
            self.tell()
            self.is_ended = True
        elif kind == 'error':
            self.error = anthropic_words(event['error'])


def anthropic_words(error):
    kind, message = error['type'], error['message']
    code = {'authentication_error': 'invalid_api_key', 'rate_limit_error': 'rate_limit_exceeded',
            'overloaded_error': 'overloaded'}.get(kind)
    if kind == 'not_found_error' and message.startswith('model:'):
        code = 'model_not_found'
    return message, kind, code, None


def anthropic_messages(entry, raw):
    if not entry['response'].endswith('.sse'):
        answer = Anthropic()
        body = json.loads(raw)
        answer.add({'type': 'message_start', 'message': body})
        answer.tell()
        yield answer
        return
    answer = Anthropic()
    has_events = False
    for payload in payloads(raw):
        if not answer.error:
            answer.add(json.loads(payload))
            has_events = True
        if answer.is_ended:
            yield answer
            answer = Anthropic()
            has_events = False
    if has_events:
        yield answer


def anthropic_lines(entry, raw):
    if entry['status'] != 200:
        yield 'error ' + ' | '.join(map(plain, anthropic_words(json.loads(raw)['error'])))
        return
    for answer in anthropic_messages(entry, raw):
        yield from answer.lines()


# --- Gemini ---

FILTERS = {'SAFETY', 'RECITATION', 'LANGUAGE', 'BLOCKLIST', 'SPII', 'PROHIBITED_CONTENT', 'MODEL_ARMOR', 'IMAGE_SAFETY',
           'IMAGE_PROHIBITED_CONTENT', 'NO_IMAGE', 'IMAGE_OTHER', 'IMAGE_RECITATION'}
MISTAKES = {'MALFORMED_FUNCTION_CALL', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS', 'MALFORMED_RESPONSE',
            'MISSING_THOUGHT_SIGNATURE'}


class Gemini(Message):
    def __init__(self):
        super().__init__()
        self.reasons = {}
        self.told = {}
        self.pieces = {}    # choice -> arguments under way

    def part(self, number, part):
        said = self.choice(number)
        call = part.get('functionCall')
        if call is None:
            if 'text' in part:
                said['reasoning' if part.get('thought') else 'text'] += part['text']
                if part.get('thoughtSignature'):
                    said['seals'].append(('text', '0', part['thoughtSignature']))
            return bool(part.get('text')) and not part.get('thought')
        if call.get('name'):
            given = call.get('args')
            # A made-up id is a hash that this witness does not know.
            said['calls'].append([call.get('id') or 'call_*', call['name'], compact(given) if given else '{}'])
            if part.get('thoughtSignature'):
                said['seals'].append(('call', str(len(said['calls']) - 1), part['thoughtSignature']))
            if call.get('willContinue'):
                self.pieces[number] = {}
        elif number in self.pieces:
            # Only recorded with members of the outermost object, and strings.
            for piece in call.get('partialArgs') or []:
                name = piece['jsonPath'][2:]
                self.pieces[number][name] = self.pieces[number].get(name, '') + piece['stringValue']
            if not call.get('willContinue'):
                said['calls'][-1][2] = compact(self.pieces.pop(number))
        return True

    def sources(self, number, kind, sources):
        told = self.told.get((number, kind), 0)
        for source in sources[told:]:
            if source.get('uri'):
                self.choice(number)['sources'].append((source['uri'], source.get('title')))
        self.told[number, kind] = max(told, len(sources))

    def add(self, chunk):
        if self.error:
            return
        if 'error' in chunk:
            self.error = gemini_words(chunk['error'])
            return
        self.id = self.id or chunk.get('responseId') or ''
        self.model = self.model or chunk.get('modelVersion') or ''
        counts = chunk.get('usageMetadata')
        # Zeros are left out: of a chunk without a count the counts are zero, unless there were some before.
        if counts is not None and (not self.usage or any(is_count(count) for count in counts.values())):
            prompt = counts.get('promptTokenCount', 0) + counts.get('toolUsePromptTokenCount', 0)
            thoughts = counts.get('thoughtsTokenCount', 0)
            told = counts.get('candidatesTokenCount', 0) + thoughts
            self.usage = (prompt, told, counts.get('totalTokenCount', prompt + told),
                          counts.get('cachedContentTokenCount', 0), thoughts, 0)
        for place, candidate in enumerate(chunk.get('candidates') or []):
            number = candidate.get('index', place)
            has_said = False
            for part in (candidate.get('content') or {}).get('parts') or []:
                has_said = self.part(number, part) or has_said
            citations = candidate.get('citationMetadata') or {}
            self.sources(number, 'citation', citations.get('citationSources') or citations.get('citations') or [])
            grounding = candidate.get('groundingMetadata') or {}
            self.sources(number, 'grounding', [c.get('web') or {} for c in grounding.get('groundingChunks') or []])
            result = candidate.get('logprobsResult') or {}
            if result.get('chosenCandidates'):
                self.choice(number)['logprobs'] += len(result['chosenCandidates'])
            if candidate.get('finishReason'):
                self.reasons[number] = candidate['finishReason']
                said = self.choice(number)
                if candidate['finishReason'] in MISTAKES and not has_said and not said['text'] and not said['calls']:
                    self.error = (candidate.get('finishMessage') or 'the model called a tool wrongly',
                                  candidate['finishReason'], None, None)
        feedback = chunk.get('promptFeedback') or {}
        if feedback.get('blockReason') or feedback.get('blockReasonMessage'):
            self.choice()['refusal'] += feedback.get('blockReasonMessage') or ''
            self.reasons[0] = 'SAFETY'

    def end(self):
        if self.error:
            return False
        for number, reason in self.reasons.items():
            said = self.choice(number)
            said['finish'] = ('length' if reason == 'MAX_TOKENS' else
                              'content_filter' if reason in FILTERS else
                              'tool_calls' if said['calls'] else
                              'stop' if reason == 'STOP' else 'other')
        return bool(self.reasons)


def gemini_words(error):
    status, message = error.get('status'), error.get('message') or ''
    reasons = [d['reason'] for d in error.get('details') or [] if d.get('reason')]
    code = {'RESOURCE_EXHAUSTED': 'rate_limit_exceeded', 'UNAVAILABLE': 'overloaded'}.get(status)
    if reasons[:1] == ['API_KEY_INVALID']:
        code = 'invalid_api_key'
    elif status == 'INVALID_ARGUMENT' and 'input token count' in message and 'exceeds' in message:
        code = 'context_length_exceeded'
    elif status == 'NOT_FOUND' and ('odel' in message or 'models/' in message):
        code = 'model_not_found'
    return message, status, code, None


def gemini_lines(entry, raw):
    answer = Gemini()
    if entry['status'] != 200:
        body = json.loads(raw)
        yield 'error ' + ' | '.join(map(plain, gemini_words(body['error'])))
        return
    if entry['response'].endswith('.sse'):
        for payload in payloads(raw):
            answer.add(json.loads(payload))
        rest = raw.decode('utf-8')
        if not rest.rstrip().endswith('}') or '\n{' in rest:
            bare = rest[rest.rindex('\n{'):]
            answer.add(json.loads(bare))
        answer.is_ended = answer.end()
    else:
        body = json.loads(raw)
        for chunk in body if isinstance(body, list) else [body]:
            answer.add(chunk)
        if isinstance(body, dict) and 'promptFeedback' in body and not body.get('candidates'):
            answer.choice()
            answer.reasons[0] = 'SAFETY'
        answer.end()
    yield from answer.lines()


FOLDERS = {'anthropic': anthropic_lines, 'gemini': gemini_lines}


def main():
    for folder, lines_of in FOLDERS.items():
        for entry in json.loads((FIXTURES / folder / 'INDEX.json').read_text()):
            raw = (FIXTURES / folder / entry['response']).read_bytes()
            text = ''.join(line + '\n' for line in lines_of(entry, raw))
            (HERE / folder / (entry['name'] + '.txt')).write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
