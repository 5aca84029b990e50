// The OpenAI SDK for Node and the Vercel AI SDK with all four models. What each model says through the gateway must be
// what the simulation says when it is asked straight in OpenAI's API. test_models_node.py runs this file once and makes
// each client, scenario and model a test of its own: one line of JSON for each goes to stdout.

import assert from 'node:assert/strict';

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { Output, generateText, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';

const { GATEWAY, WITNESS, KEY } = process.env;
const MODELS = JSON.parse(process.env.MODELS);
const HELLO = [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Xin chào, bạn khỏe không?' }];
const BOTH = [{ role: 'user', content: 'The weather and the time, both please.' }];
const RESULTS = { weather: '{"sky":"clear","degrees":31}', time: 'noon' };
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const PHOTO = 'https://example.com/photo.jpg';
const WEATHER = z.object({ city: z.string(), days: z.number().int().min(1).max(7) });
const TIME = z.object({ zone: z.enum(['UTC', 'ICT']) });
const PERSON = z.object({
  name: z.string(),
  age: z.number().int(),
  email: z.string().nullable(),
  homes: z.array(z.object({ street: z.string() })),
});
const TOOLS = [['weather', WEATHER], ['time', TIME]].map(([name, schema]) => (
  { type: 'function', function: { name, description: `Tells the ${name}.`, parameters: z.toJSONSchema(schema) } }));

const countsOf = (usage) => ({
  prompt: usage.prompt_tokens,
  completion: usage.completion_tokens,
  total: usage.total_tokens,
  cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
  reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
});

// Each scenario gives its steps: {said, headers, isStream}; `said` is what is compared.
class OpenAIClient {
  constructor(baseURL, model) {
    this.sdk = new OpenAI({ baseURL, apiKey: KEY, maxRetries: 0, timeout: 20000 }).chat.completions;
    this.model = model;
  }

  async ask(wishes) {
    const { data, response } = await this.sdk.create({ model: this.model, ...wishes }).withResponse();
    return { data, headers: response.headers };
  }

  step(answer, headers, isStream = false) {
    const [{ message, finish_reason: finish }] = answer.choices;
    return {
      said: {
        text: message.content ?? '',
        finish,
        usage: countsOf(answer.usage),
        calls: (message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
        parsed: message.parsed ?? null,
      },
      headers,
      isStream,
    };
  }

  async whole(wishes) {
    const { data, headers } = await this.ask(wishes);
    return this.step(data, headers);
  }

  async chat() {
    return [await this.whole({ messages: HELLO })];
  }

  async stream() {
    const { data, headers } = await this.ask(
      { messages: HELLO, stream: true, stream_options: { include_usage: true } });
    const said = { text: '', finish: null, usage: null, calls: [], parsed: null };
    for await (const chunk of data) {
      said.text += chunk.choices[0]?.delta.content ?? '';
      said.finish ??= chunk.choices[0]?.finish_reason ?? null;
      said.usage ??= chunk.usage ? countsOf(chunk.usage) : null;
    }
    return [{ said, headers, isStream: true }];
  }

  async tools() {
    const { data, headers } = await this.ask({ messages: BOTH, tools: TOOLS });
    const joined = await this.sdk.stream(
      { model: this.model, messages: BOTH, tools: TOOLS, stream_options: { include_usage: true } })
      .finalChatCompletion();
    const steps = [this.step(data, headers)];
    assert.deepEqual(this.step(joined, headers).said, steps[0].said);
    for (const { message } of [data.choices[0], joined.choices[0]]) {
      assert.equal(new Set(message.tool_calls.map((call) => call.id)).size, 2);
      const results = message.tool_calls.map((call) => (
        { role: 'tool', tool_call_id: call.id, content: RESULTS[call.function.name] }));
      steps.push(await this.whole({ messages: [...BOTH, message, ...results], tools: TOOLS }));
    }
    return steps;
  }

  // What is thought before calls comes back with their results, and the model thinks on. The stream's helper keeps the
  // last piece of what it does not know: what was sealed is lost then, and the model answers without thinking.
  async thinking(isClaude) {
    const wish = { tools: TOOLS, reasoning_effort: 'low' };
    const { data } = await this.ask({ ...wish, messages: BOTH });
    const joined = await this.sdk.stream({ ...wish, model: this.model, messages: BOTH }).finalChatCompletion();
    for (const [answer, isJoined] of [[data, false], [joined, true]]) {
      const { message } = answer.choices[0];
      const results = message.tool_calls.map((call) => (
        { role: 'tool', tool_call_id: call.id, content: RESULTS[call.function.name] }));
      const second = await this.ask({ ...wish, messages: [...BOTH, message, ...results] });
      assert.match(second.data.choices[0].message.content, /The tool said/);
      assert.deepEqual(second.headers.get('x-drover-dropped')?.split(', ').sort(), !isClaude
        ? ['messages.reasoning_content'] // summaries are not sealed
        : isJoined ? ['messages.reasoning_content', 'messages.reasoning_details', 'reasoning_effort'] : undefined);
      assert.equal(countsOf(second.data.usage).reasoning, isClaude && isJoined ? 0 : 64);
    }
  }

  async structured() {
    const step = await this.whole({
      messages: HELLO,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'person', strict: true, schema: z.toJSONSchema(PERSON) },
      },
    });
    step.said.parsed = PERSON.parse(JSON.parse(step.said.text));
    return [step];
  }

  async image() {
    return [await this.whole({
      messages: [{
        role: 'user',
        content: [
          { type: 'text', text: 'What is on these?' },
          { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } },
          { type: 'image_url', image_url: { url: PHOTO } },
        ],
      }],
    })];
  }
}

class VercelClient {
  constructor(baseURL, model) {
    this.wish = {
      model: createOpenAICompatible(
        { name: 'drover', baseURL, apiKey: KEY, includeUsage: true, supportsStructuredOutputs: true })(model),
      maxRetries: 0,
      abortSignal: AbortSignal.timeout(20000),
    };
    this.hello = { system: HELLO[0].content, messages: HELLO.slice(1) };
    this.toolWish = {
      ...this.wish,
      messages: BOTH,
      tools: {
        weather: tool({ description: 'Tells the weather.', inputSchema: WEATHER, execute: () => RESULTS.weather }),
        time: tool({ description: 'Tells the time.', inputSchema: TIME, execute: () => RESULTS.time }),
      },
      stopWhen: stepCountIs(3),
    };
  }

  step(answer, isStream = false) {
    const { usage } = answer;
    return {
      said: {
        text: answer.text,
        finish: answer.finishReason,
        usage: {
          prompt: usage.inputTokens,
          completion: usage.outputTokens,
          total: usage.totalTokens,
          cached: usage.inputTokenDetails.cacheReadTokens,
          reasoning: usage.outputTokenDetails.reasoningTokens,
        },
        calls: answer.toolCalls.map((call) => [call.toolName, call.input]),
        parsed: null,
      },
      headers: new Headers(answer.response.headers),
      isStream,
    };
  }

  async chat() {
    return [this.step(await generateText({ ...this.wish, ...this.hello }))];
  }

  async stream() {
    const answer = streamText({ ...this.wish, ...this.hello, onError: () => {} });
    let text = '';
    for await (const piece of answer.textStream) text += piece;
    const [step] = (await answer.steps).map((each) => this.step(each, true));
    assert.equal(step.said.text, text);
    return [step];
  }

  // The SDK runs the loop by itself, once over whole answers and once over streams.
  async tools() {
    const whole = await generateText(this.toolWish);
    const streamed = streamText({ ...this.toolWish, onError: () => {} });
    await streamed.consumeStream();
    return [
      ...whole.steps.map((each) => this.step(each)),
      ...(await streamed.steps).map((each) => this.step(each, true)),
    ];
  }

  // This SDK sends thoughts back without what sealed them.
  async thinking(isClaude) {
    const wish = { ...this.toolWish, providerOptions: { drover: { reasoningEffort: 'low' } } };
    const whole = await generateText(wish);
    const streamed = streamText({ ...wish, onError: () => {} });
    await streamed.consumeStream();
    for (const steps of [whole.steps, await streamed.steps]) {
      assert.equal(steps.length, 2);
      assert.match(steps[0].reasoningText, /^A simulated thought:/);
      assert.match(steps[1].text, /The tool said/);
      assert.equal(steps[1].usage.outputTokenDetails.reasoningTokens, isClaude ? 0 : 64);
      assert.equal(/reasoning_effort/.test(steps[1].response.headers['x-drover-dropped']), isClaude);
    }
  }

  async structured() {
    const answer = await generateText({ ...this.wish, ...this.hello, output: Output.object({ schema: PERSON }) });
    const step = this.step(answer);
    step.said.parsed = PERSON.parse(answer.output);
    return [step];
  }

  // This SDK fetches addresses by itself and sends the bytes.
  async image() {
    return [this.step(await generateText({
      ...this.wish,
      messages: [{
        role: 'user',
        content: [
          { type: 'text', text: 'What is on these?' },
          { type: 'image', image: Buffer.from(PIXEL, 'base64') },
          { type: 'image', image: `data:image/png;base64,${PIXEL}` },
        ],
      }],
    }))];
  }
}

const CLIENTS = { openai: OpenAIClient, vercel: VercelClient };

// An id's receipt may come a moment after the answer.
async function receiptOf(requestId) {
  const deadline = Date.now() + 10000;
  for (;;) {
    const answer = await fetch(`${GATEWAY}/receipts/${requestId}`, { headers: { Authorization: `Bearer ${KEY}` } });
    if (answer.status === 200) return answer.json();
    assert.equal((await answer.json()).error.code, 'receipt_not_found');
    assert.ok(Date.now() < deadline, `no receipt of ${requestId}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// Prices in thousandths of a dollar per million tokens are billionths per token.
function costOf([input, output, cached], usage) {
  return (usage.prompt - usage.cached) * input + usage.cached * cached + usage.completion * output;
}

// Whole numbers have limits in zod's schemas, which Anthropic takes of tools, but not of answers. DeepSeek is told the
// schema in words, and cannot be held to it.
const DROPPED = {
  'claude-sonnet-4.5': 'response_format.json_schema.schema',
  'deepseek-v3.2': 'response_format.json_schema.strict',
};
const droppedOf = (step, model) => (step.said.parsed && DROPPED[model]) || null;

async function check(step, model) {
  const receipt = await receiptOf(step.headers.get('x-request-id'));
  const { usage } = step.said;
  assert.equal(step.headers.get('x-drover-target'), `t-${model}`);
  assert.equal(step.headers.get('x-drover-dropped'), droppedOf(step, model));
  assert.equal(receipt.target, `t-${model}`);
  assert.equal(receipt.transport, step.isStream ? 'sse' : 'http');
  assert.deepEqual(Object.keys(usage).map((count) => receipt.usage[`${count}_tokens`]), Object.values(usage));
  assert.equal(Math.round(receipt.cost * 1e9), costOf(MODELS[model], usage));
}

async function run(Client, scenario, model, witness) {
  const steps = await new Client(GATEWAY, model)[scenario]();
  assert.deepEqual(steps.map((step) => step.said), witness.map((step) => step.said));
  for (const step of steps) await check(step, model);
}

async function report(name, outcome) {
  console.log(JSON.stringify({ name, error: await outcome.then(() => null, (reason) => reason.stack) }));
}

for (const [client, Client] of Object.entries(CLIENTS)) {
  for (const scenario of ['chat', 'stream', 'tools', 'structured', 'image']) {
    const witness = await new Client(WITNESS, 'gpt-4.1')[scenario]();
    for (const model of Object.keys(MODELS)) {
      await report(`${client} ${scenario} ${model}`, run(Client, scenario, model, witness));
    }
  }
  for (const model of ['claude-sonnet-4.5', 'gemini-2.5-flash']) {
    await report(`${client} thinking ${model}`, new Client(GATEWAY, model).thinking(model.startsWith('claude')));
  }
}
