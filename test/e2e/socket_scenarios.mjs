// What a client of the WebSocket chat does, written once for every WebSocket of JavaScript: those of
// ws and undici (socket_node.mjs), and a page's own (socket_page.html). Each scenario becomes a test
// in test_socket_clients.py.
//
// `place` says where and with what: {url, cutter, http, key, cuts, open}. `open(url, protocols,
// headers)` makes a socket; headers are undefined where a client can't send any. `cutter` is the same
// gateway behind a proxy that cuts connections at random moments.

const HELLO = [{ role: 'user', content: 'Xin chào, bạn khỏe không?' }];
const ASK = { model: 'gpt-4.1', messages: HELLO, max_tokens: 6 };
const PATIENCE_MS = 30000;

function check(isRight, what) {
  if (!isRight) throw new Error(typeof what === 'string' ? what : JSON.stringify(what));
}

function same(came, expected, what) {
  check(JSON.stringify(came) === JSON.stringify(expected),
    `${what}: ${JSON.stringify(came)} instead of ${JSON.stringify(expected)}`);
}

// ---------------------------------------------------------------- the client

class Chat {
  constructor(socket) {
    this.socket = socket;
    this.frames = [];
    this.code = null; // of the close, once it has come
    this.wake = () => {};
    this.opened = new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      // Of a handshake that fails undici tells only this. Elsewhere `close` follows.
      socket.addEventListener('error', () => reject(new Error('it did not open')));
    });
    this.opened.catch(() => {});
    socket.addEventListener('message', (event) => {
      this.frames.push(JSON.parse(event.data));
      this.wake();
    });
    socket.addEventListener('close', (event) => {
      this.code = event.code;
      this.wake();
    });
  }

  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  // The next frame; null when the connection is closed.
  async next() {
    while (this.frames.length === 0 && this.code === null) {
      await new Promise((resolve) => { this.wake = resolve; });
    }
    return this.frames.shift() ?? null;
  }

  async end() {
    this.socket.close();
    while (await this.next());
  }
}

async function connect(place, { key = place.key, url = place.url, protocols, headers } = {}) {
  const chat = new Chat(place.open(
    url, protocols ?? (key ? ['drover.v1', `drover.key.${key}`] : []), headers));
  await chat.opened;
  return chat;
}

// What the frames of one answer say. Their numbers have no gap and no double.
class Told {
  constructor() {
    this.count = 0;
    this.text = '';
    this.requestId = null;
    this.last = null;
  }

  take(frame) {
    check(this.last === null, frame);
    this.count += 1;
    same(frame.seq, this.count, 'seq');
    if (frame.request_id && this.requestId) same(frame.request_id, this.requestId, 'request_id');
    this.requestId = frame.request_id ?? this.requestId;
    this.text += frame.content ?? '';
    if (frame.done) this.last = frame;
  }
}

// Answers by their ids, when all are done.
async function gather(chat, count) {
  const told = new Map();
  for (let done = 0; done < count;) {
    const frame = await chat.next();
    check(frame, `closed with ${chat.code}`);
    if (!told.has(frame.id)) told.set(frame.id, new Told());
    told.get(frame.id).take(frame);
    if (frame.done) done += 1;
  }
  return told;
}

async function ask(chat, frame) {
  chat.send(frame);
  const [told] = (await gather(chat, 1)).values();
  check(!told.last.error, told.last);
  return told;
}

// What a WebSocket tells of usage; over HTTP the provider's own members pass too.
const counts = (usage) => [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens,
  usage.prompt_tokens_details.cached_tokens, usage.completion_tokens_details.reasoning_tokens];

async function askWhole(place, body) {
  const answer = await fetch(`${place.http}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${place.key}` },
    body: JSON.stringify(body),
  });
  same(answer.status, 200, 'status');
  return answer.json();
}

// ---------------------------------------------------------------- scenarios

const scenarios = {};

scenarios['two requests at once are told apart by their ids'] = async (place) => {
  const chat = await connect(place);
  chat.send({ ...ASK, id: 'first', max_tokens: 30 });
  chat.send({ ...ASK, id: 'second', max_tokens: 30, messages: [{ role: 'user', content: 'other' }] });
  const told = await gather(chat, 2);
  same([...told.keys()].sort(), ['first', 'second'], 'ids');
  check(told.get('first').text !== told.get('second').text, 'one text for both');
  for (const answer of told.values()) same(answer.last.finish_reason, 'length', 'finish_reason');
  await chat.end();
};

scenarios['twelve at once are as one alone'] = async (place) => {
  const chat = await connect(place);
  const asks = Array.from({ length: 12 }, (_, i) => (
    { ...ASK, id: `n${i}`, messages: [{ role: 'user', content: `number ${i}` }] }));
  asks.forEach((each) => chat.send(each));
  const told = await gather(chat, 12);
  await Promise.all(asks.map(async ({ id, ...body }) => {
    const whole = await askWhole(place, body);
    same(told.get(id).text, whole.choices[0].message.content, id);
    same(told.get(id).last.usage.total_tokens, whole.usage.total_tokens, id);
  }));
  await chat.end();
};

scenarios['a cancelled answer ends and what was used is billed'] = async (place) => {
  const chat = await connect(place);
  chat.send({ ...ASK, id: 'x', model: 'sim:stall_mid', max_tokens: 200 });
  const told = new Told();
  while (told.text === '') told.take(await chat.next());
  chat.send({ type: 'cancel', id: 'x' });
  while (told.last === null) told.take(await chat.next());
  same(told.last.finish_reason, 'cancelled', 'finish_reason');
  check(told.last.usage.completion_tokens > 0 && told.last.cost > 0, told.last);
  await ask(chat, { ...ASK, id: 'x' });
  await chat.end();
};

scenarios['a session lives over two turns and two connections'] = async (place) => {
  const session = `s${Math.random()}`;
  const history = [];
  for (const turns of [['one', 'two'], ['three']]) {
    const chat = await connect(place);
    for (const content of turns) {
      const message = { role: 'user', content };
      const told = await ask(chat, { ...ASK, session, messages: [message] });
      history.push(message);
      const whole = await askWhole(place, { ...ASK, messages: history });
      same(told.text, whole.choices[0].message.content, content);
      same(counts(told.last.usage), counts(whole.usage), content);
      history.push({ role: 'assistant', content: told.text });
    }
    await chat.end();
  }
};

// An answer over connections that are cut, which `network` counts.
async function askThroughCuts(place, messages, network) {
  const body = { ...ASK, model: 'sim:slow=60000', max_tokens: 40, messages };
  const told = new Told();
  while (told.last === null) {
    const chat = await connect(place, { url: place.cutter });
    chat.send(told.requestId
      ? { type: 'resume', id: 'again', request_id: told.requestId, after: told.count }
      : { ...body, id: 'first' });
    let frame = null;
    while (told.last === null && (frame = await chat.next())) told.take(frame);
    if (told.last === null && told.requestId) network.cuts += 1;
    check(!told.last?.error, told.last);
    if (told.last) await chat.end();
  }
  return told;
}

scenarios['an answer is whole after a hundred cuts'] = async (place) => {
  const network = { cuts: 0 };
  const lane = async (number) => {
    const messages = [{ role: 'user', content: `lane ${number}` }];
    const whole = await askWhole(place, { ...ASK, max_tokens: 40, messages });
    while (network.cuts < place.cuts) {
      const told = await askThroughCuts(place, messages, network);
      same(told.text, whole.choices[0].message.content, `lane ${number}`);
      same(counts(told.last.usage), counts(whole.usage), `lane ${number}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, number) => lane(number)));
};

scenarios['every way to authenticate'] = async (place) => {
  const { key } = place;
  const ways = [
    { protocols: ['drover.v1', `drover.key.${key}`], spoken: 'drover.v1' },
    { protocols: [`openai-insecure-api-key.${key}`, 'drover.v1'], spoken: 'drover.v1' },
    { key: null, first: { type: 'auth', api_key: key } },
    { key: null, first: { ...ASK, id: 'first', api_key: key } },
    { key: null, headers: { Authorization: `Bearer ${key}` } },
  ];
  for (const { spoken = '', first, ...way } of ways) {
    if (way.headers && !place.sendsHeaders) continue;
    const chat = await connect(place, way);
    same(chat.socket.protocol, spoken, 'protocol');
    if (first) chat.send(first);
    if (first?.model) await gather(chat, 1);
    same((await ask(chat, { ...ASK, id: 'x' })).last.finish_reason, 'length', 'finish_reason');
    await chat.end();
  }
};

scenarios['a wrong key gets one error frame and 4401'] = async (place) => {
  const ways = [
    [{ key: 'sk-nope' }, null, 'malformed_api_key'],
    [{ protocols: ['openai-insecure-api-key.sk-nope', 'drover.v1'] }, null, 'malformed_api_key'],
    [{ key: null }, { type: 'auth', api_key: 'sk-nope' }, 'malformed_api_key'],
    [{ key: null }, { ...ASK, id: 'x', api_key: 'sk-nope' }, 'malformed_api_key'],
    [{ key: null }, { type: 'ping' }, 'missing_api_key'],
  ];
  for (const [way, first, code] of ways) {
    const chat = await connect(place, way);
    if (first) chat.send(first);
    const frame = await chat.next();
    same([frame.error.code, frame.error.status, frame.done], [code, 401, true], 'error');
    same(await chat.next(), null, 'a second frame');
    same(chat.code, 4401, 'code');
  }
  if (!place.sendsHeaders) return;
  const headers = { Authorization: 'Bearer sk-nope' };
  const refused = await connect(place, { key: null, headers }).catch((error) => error);
  check(refused instanceof Error, 'a wrong key in the header opened');
};

// ---------------------------------------------------------------- running them

function within(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done in ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// {name: null, or what went wrong}
export async function runAll(place) {
  const outcome = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
    outcome[name] = await within(scenario(place)).then(() => null, (error) => String(error.stack));
  }
  return outcome;
}
