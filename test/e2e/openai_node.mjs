// The official OpenAI SDK for Node, with only baseURL and apiKey changed. test_openai_node.py runs
// this file once and makes each `test` a test of its own: one line of JSON for each goes to stdout.

import assert from 'node:assert/strict';

import OpenAI from 'openai';

const baseURL = `${process.env.GATEWAY}/v1`;
const KEY = 'sk-drover-demo';
const ask = (apiKey = KEY) => new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20000 });
const client = ask();
const model = 'gpt-4.1';
const messages = [{ role: 'user', content: 'Xin chào, how are you?' }];
const tools = [
  {
    type: 'function',
    function: {
      name: 'weather',
      description: 'Tells the weather of a city.',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1 } },
        required: ['city', 'days'],
      },
    },
  },
  {
    type: 'function',
    function: {
      name: 'time',
      parameters: { type: 'object', properties: { zone: { type: 'string' } }, required: ['zone'] },
    },
  },
];

const tests = new Map();
const test = (name, run) => tests.set(name, run);
const busy = new Map(); // what keeps this thread for long: one behind the other, when the others have ended

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'it should have failed' });
}

// An aborted exchange is settled when the gateway has seen the abort: its receipt is polled for.
async function receiptOf(requestId) {
  const deadline = Date.now() + 10000;
  for (;;) {
    const answer = await fetch(`${baseURL}/receipts/${requestId}`, {
      headers: { Authorization: `Bearer ${KEY}` },
    });
    if (answer.status === 200) return answer.json();
    assert.equal((await answer.json()).error.code, 'receipt_not_found');
    assert.ok(Date.now() < deadline, `no receipt of ${requestId}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function callsOf(chunks) {
  const calls = [];
  for (const chunk of chunks) {
    for (const delta of chunk.choices[0]?.delta.tool_calls ?? []) {
      calls[delta.index] ??= { id: '', name: '', arguments: '' };
      calls[delta.index].id ||= delta.id ?? '';
      calls[delta.index].name += delta.function?.name ?? '';
      calls[delta.index].arguments += delta.function?.arguments ?? '';
    }
  }
  return calls;
}

// ---------------------------------------------------------------- chat and streams

test('a chat is answered whole, with its usage and headers', async () => {
  const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.choices[0].message.role, 'assistant');
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.ok(data.choices[0].message.content.length > 20);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.equal(response.headers.get('x-drover-target'), 'sim');
  assert.ok(Number(response.headers.get('x-drover-cost')) > 0);
  assert.equal((await receiptOf(response.headers.get('x-request-id'))).usage.total_tokens,
    data.usage.total_tokens);
});

test('a stream gives the text of the whole answer', async () => {
  const whole = await client.chat.completions.create({ model, messages });
  const chunks = await all(await client.chat.completions.create({ model, messages, stream: true }));
  assert.equal(textOf(chunks), whole.choices[0].message.content);
  assert.ok(chunks.length > 5);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
});

test('the stream helper of the SDK joins a stream to the whole answer', async () => {
  const whole = await client.chat.completions.create({ model, messages });
  const joined = await client.chat.completions.stream({ model, messages }).finalChatCompletion();
  assert.equal(joined.choices[0].message.content, whole.choices[0].message.content);
});

test('each model of the demo is listed and answers', async () => {
  const listed = (await all(await client.models.list())).map((entry) => entry.id);
  for (const id of ['gpt-4.1', 'claude-sonnet-4.5', 'gemini-2.5-flash', 'deepseek-v3.2']) {
    assert.ok(listed.includes(id), id);
    assert.equal((await client.models.retrieve(id)).id, id);
    const answer = await client.chat.completions.create({ model: id, messages, max_tokens: 3 });
    assert.equal(answer.choices[0].finish_reason, 'length');
    assert.equal(answer.usage.completion_tokens, 3);
  }
});

// ---------------------------------------------------------------- usage

test('usage is the last chunk of a stream that asked for it', async () => {
  const whole = await client.chat.completions.create({ model, messages });
  const chunks = await all(await client.chat.completions.create(
    { model, messages, stream: true, stream_options: { include_usage: true } }));
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.deepEqual(chunks.at(-1).usage, whole.usage);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage == null && chunk.choices.length === 1));
});

test('a stream that did not ask for usage has none', async () => {
  for (const wish of [{}, { stream_options: { include_usage: false } }]) {
    const chunks = await all(await client.chat.completions.create(
      { model, messages, stream: true, ...wish }));
    assert.ok(chunks.every((chunk) => chunk.usage == null && chunk.choices.length === 1));
  }
});

// ---------------------------------------------------------------- tools

test('a forced tool is called with arguments that fit its schema', async () => {
  const wish = { model, messages, tools, tool_choice: { type: 'function', function: { name: 'time' } } };
  const whole = await client.chat.completions.create(wish);
  const [call] = whole.choices[0].message.tool_calls;
  assert.equal(whole.choices[0].message.tool_calls.length, 1);
  assert.equal(call.type, 'function');
  assert.equal(call.function.name, 'time');
  assert.equal(typeof JSON.parse(call.function.arguments).zone, 'string');
  const [streamed] = callsOf(await all(await client.chat.completions.create({ ...wish, stream: true })));
  assert.equal(streamed.name, 'time');
  assert.deepEqual(JSON.parse(streamed.arguments), JSON.parse(call.function.arguments));
});

test('tools left to the model are a loop of two steps', async () => {
  const first = await client.chat.completions.create({ model, messages, tools, tool_choice: 'auto' });
  assert.equal(first.choices[0].finish_reason, 'tool_calls');
  const { message } = first.choices[0];
  const wishes = JSON.parse(message.tool_calls[0].function.arguments);
  assert.equal(message.tool_calls[0].function.name, 'weather');
  assert.ok(typeof wishes.city === 'string' && Number.isInteger(wishes.days) && wishes.days >= 1);
  const results = message.tool_calls.map((call) => (
    { role: 'tool', tool_call_id: call.id, content: 'sunny, 31 degrees' }));
  const second = await client.chat.completions.create(
    { model, messages: [...messages, message, ...results], tools });
  assert.equal(second.choices[0].finish_reason, 'stop');
  assert.ok(second.choices[0].message.content.length > 0);
  assert.equal(second.choices[0].message.tool_calls, undefined);
});

test('several tools are called at once in a stream', async () => {
  const both = [{ role: 'user', content: 'weather and time, both please' }];
  const chunks = await all(await client.chat.completions.create(
    { model, messages: both, tools, stream: true }));
  const calls = callsOf(chunks);
  assert.deepEqual(calls.map((call) => call.name), ['weather', 'time']);
  assert.equal(new Set(calls.map((call) => call.id)).size, 2);
  for (const call of calls) JSON.parse(call.arguments);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'tool_calls');
});

test('the tool runner of the SDK calls a function and gets a text', async () => {
  const asked = [];
  const runner = client.chat.completions.runTools({
    model,
    messages,
    tools: [{
      type: 'function',
      function: {
        ...tools[0].function,
        parse: JSON.parse,
        function: (wishes) => {
          asked.push(wishes);
          return 'rain';
        },
      },
    }],
  });
  assert.ok((await runner.finalContent()).length > 0);
  assert.equal(asked.length, 1);
  assert.equal(typeof asked[0].city, 'string');
});

// ---------------------------------------------------------------- response_format

test('response_format is obeyed, whole and streamed', async () => {
  const schema = {
    type: 'object',
    properties: { name: { type: 'string' }, age: { type: 'integer' }, tags: { type: 'array', items: { type: 'string' } } },
    required: ['name', 'age', 'tags'],
    additionalProperties: false,
  };
  const wish = {
    model,
    messages,
    response_format: { type: 'json_schema', json_schema: { name: 'person', strict: true, schema } },
  };
  const whole = await client.chat.completions.create(wish);
  const person = JSON.parse(whole.choices[0].message.content);
  assert.deepEqual(Object.keys(person).sort(), ['age', 'name', 'tags']);
  assert.ok(Number.isInteger(person.age) && Array.isArray(person.tags));
  const chunks = await all(await client.chat.completions.create({ ...wish, stream: true }));
  assert.deepEqual(JSON.parse(textOf(chunks)), person);
  const parsed = await client.chat.completions.parse(wish);
  assert.deepEqual(parsed.choices[0].message.parsed, person);
  const plain = await client.chat.completions.create(
    { model, messages, response_format: { type: 'json_object' } });
  assert.equal(typeof JSON.parse(plain.choices[0].message.content), 'object');
});

// ---------------------------------------------------------------- errors

test('a wrong key is an AuthenticationError', async () => {
  const wrong = await failure(ask('sk-drover-nonsense').chat.completions.create({ model, messages }));
  assert.ok(wrong instanceof OpenAI.AuthenticationError);
  assert.equal(wrong.status, 401);
  assert.equal(wrong.type, 'authentication_error');
  assert.equal(wrong.code, 'malformed_api_key');
  assert.ok(wrong.requestID);
  const streamed = await failure(
    ask('sk-x').chat.completions.create({ model, messages, stream: true }));
  assert.ok(streamed instanceof OpenAI.AuthenticationError);
  assert.ok(await failure(ask('sk-x').models.list()) instanceof OpenAI.AuthenticationError);
});

// The answer comes amid the body, and has to be read before the connection ends.
busy.set('a large body that is refused says why', async () => {
  const send = (key, megabytes) => failure(ask(key).chat.completions.create({
    model, messages: [{ role: 'user', content: 'x'.repeat(megabytes * 1e6) }] }));
  for (let i = 0; i < 3; i++) {
    for (const megabytes of [3, 10, 34, 100]) {
      const wrong = await send('sk-x', megabytes);
      assert.ok(wrong instanceof OpenAI.AuthenticationError, String(wrong.cause ?? wrong));
      if (megabytes < 34) continue;
      const large = await send(KEY, megabytes);
      assert.equal(large.status, 413, String(large.cause ?? large));
      assert.equal(large.code, 'request_too_large');
      assert.ok(large.requestID);
    }
  }
});

test('an unknown model is a NotFoundError', async () => {
  for (const stream of [false, true]) {
    const error = await failure(client.chat.completions.create({ model: 'gpt-17', messages, stream }));
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.deepEqual([error.status, error.type, error.code, error.param],
      [404, 'invalid_request_error', 'model_not_found', 'model']);
  }
  assert.ok(await failure(client.models.retrieve('gpt-17')) instanceof OpenAI.NotFoundError);
});

test('a wrong field is a BadRequestError that names it', async () => {
  const hot = await failure(client.chat.completions.create({ model, messages, temperature: 7 }));
  assert.ok(hot instanceof OpenAI.BadRequestError);
  assert.equal(hot.param, 'temperature');
  const empty = await failure(client.chat.completions.create({ model, messages: [] }));
  assert.ok(empty instanceof OpenAI.BadRequestError);
  assert.equal(empty.param, 'messages');
});

test('the sixth request of the limited key is a RateLimitError with Retry-After', async () => {
  const limited = ask('sk-drover-demo-limited');
  for (const left of ['4', '3', '2', '1', '0']) {
    const { response } = await limited.chat.completions
      .create({ model, messages, max_tokens: 1 }).withResponse();
    assert.equal(response.headers.get('x-ratelimit-limit-requests'), '5');
    assert.equal(response.headers.get('x-ratelimit-remaining-requests'), left);
  }
  for (const stream of [false, true]) {
    const error = await failure(limited.chat.completions.create({ model, messages, stream }));
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.deepEqual([error.status, error.type, error.code],
      [429, 'rate_limit_error', 'rate_limit_exceeded']);
    const seconds = Number(error.headers.get('retry-after'));
    assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, String(seconds));
  }
});

test('the SDK tries again by itself after a provider that was overloaded once', async () => {
  const patient = new OpenAI({ baseURL, apiKey: KEY, maxRetries: 2 });
  const fault = `status=503,retry_after=1,times=1`;
  const answer = await patient.chat.completions.create(
    { model, messages }, { headers: { 'x-sim-fault': fault } });
  assert.ok(answer.choices[0].message.content);
});

test('an error within a stream is an APIError with the words of the provider', async () => {
  const stream = await client.chat.completions.create(
    { model, messages, stream: true }, { headers: { 'x-sim-fault': 'error_event' } });
  const pieces = [];
  const error = await failure((async () => {
    for await (const chunk of stream) pieces.push(chunk);
  })());
  assert.ok(error instanceof OpenAI.APIError);
  assert.equal(error.error?.code ?? error.code, 'upstream_error');
  assert.ok(pieces.length > 2);
});

// ---------------------------------------------------------------- leaving in mid-stream

// The provider stalls in the middle, so that the answer cannot end before it is left.
async function cancelled(leave) {
  const whole = await client.chat.completions.create({ model, messages });
  const { data: stream, response } = await client.chat.completions
    .create({ model, messages, stream: true }, { headers: { 'x-sim-fault': 'stall_mid' } })
    .withResponse();
  let seen = 0;
  try {
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content && ++seen === 5 && leave(stream)) break;
    }
  } catch (error) {
    assert.ok(error instanceof OpenAI.APIUserAbortError || error.name === 'AbortError', String(error));
  }
  assert.ok(seen >= 5); // what had come already may still be told
  const receipt = await receiptOf(response.headers.get('x-request-id'));
  assert.equal(receipt.cancelled, true);
  assert.equal(receipt.usage_source, 'estimated');
  assert.ok(receipt.usage.completion_tokens > 0);
  assert.ok(receipt.usage.completion_tokens < whole.usage.completion_tokens);
  assert.ok(receipt.cost > 0);
}

test('an abort in mid-stream is charged for the tokens so far', () => cancelled((stream) => {
  stream.controller.abort();
  return false;
}));

test('a loop that is left in mid-stream is charged for the tokens so far', () => cancelled(() => true));

test('a request that is aborted before its answer costs nothing', async () => {
  const controller = new AbortController();
  const promise = client.chat.completions.create(
    { model, messages },
    { headers: { 'x-sim-fault': 'stall' }, signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  assert.ok(await failure(promise) instanceof OpenAI.APIUserAbortError);
  assert.ok((await client.chat.completions.create({ model, messages })).choices.length);
});

// ---------------------------------------------------------------- running

async function report(name, run) {
  let error = null;
  try {
    await run();
  } catch (thrown) {
    error = String(thrown?.stack ?? thrown);
  }
  process.stdout.write(`${JSON.stringify({ name, error })}\n`);
}

await Promise.all([...tests].map(([name, run]) => report(name, run)));
for (const [name, run] of busy) await report(name, run);
