// What is sent, byte for byte, and what becomes of answers that a healthy ATLVS does not give.

const assert = require('node:assert/strict');
const { createHmac } = require('node:crypto');
const { createServer } = require('node:http');
const { after, before, beforeEach, test } = require('node:test');

const { app, failing, tester } = require('./connection');

const server = createServer();
let received = [];
let answer;
let authData;

before(async () => {
  server.on('request', async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    received.push({ method: request.method, url: request.url, headers: request.headers, body });
    const { status, headers, text } = answer;
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  authData = { base_url: `http://127.0.0.1:${server.address().port}/`, api_key: ' atlvs_key\n' };
});
after(() => server.close());
beforeEach(() => {
  received = [];
  answer = { status: 200, text: '{}' };
});

const note = (inputData, more = {}) =>
  tester(app.creates.note_create.operation.perform, { authData, inputData, ...more });
const refused = async (status, text, headers = {}) => {
  answer = { status, headers, text: typeof text === 'string' ? text : JSON.stringify(text) };
  return failing(tester(app.authentication.test, { authData }));
};

test('a request carries the key and nothing that it need not', async () => {
  await note({ body: 'Hello', record_id: '', record_type: null });
  const [{ method, url, headers, body }] = received;
  assert.deepEqual([method, url], ['POST', '/api/webhooks/zapier']);
  assert.equal(headers.authorization, 'Bearer atlvs_key');
  assert.equal(headers['x-atlvs-signature'], undefined);
  assert.equal(headers['idempotency-key'], undefined);
  assert.deepEqual(JSON.parse(body), { action: 'note.create', data: { body: 'Hello' } });
});

test('a signature covers the bytes that arrive', async () => {
  await note({ body: 'Zoë 🎪' }, { authData: { ...authData, signing_secret: 'atlvssig_s ' } });
  await tester(app.triggers.deal_won.operation.performList, {
    authData: { ...authData, signing_secret: 'atlvssig_s' },
  });
  for (const { method, url, headers, body } of received) {
    const sent = `${headers['x-atlvs-timestamp']}.${method}.${url}.`;
    const mac = createHmac('sha256', 'atlvssig_s').update(sent).update(body).digest('base64');
    assert.equal(headers['x-atlvs-signature'], `v1,${mac}`);
    assert.ok(Math.abs(Date.now() / 1000 - headers['x-atlvs-timestamp']) < 5);
  }
});

test('only an external id makes a repeated run the same action', async () => {
  const keys = async (...inputs) => {
    received = [];
    for (const one of inputs) await note(one);
    return received.map(({ headers }) => headers['idempotency-key']);
  };
  const [first, otherOrder, otherText, otherId] = await keys(
    { external_id: 'row-1', body: 'a', record_id: 'x' },
    { record_id: 'x', body: 'a', external_id: 'row-1' },
    { external_id: 'row-1', body: 'b', record_id: 'x' },
    { external_id: 'row-2', body: 'a', record_id: 'x' },
  );
  assert.match(first, /^[0-9a-f]{64}$/);
  assert.equal(otherOrder, first);
  assert.equal(new Set([first, otherText, otherId]).size, 3);
  assert.ok(received.every(({ body }) => !body.includes('external_id')));
  assert.deepEqual(await keys({ body: 'a' }, { body: 'a', external_id: '' }), [undefined, undefined]);
});

test('the id of the Zap goes along where it is known', async () => {
  await note({ body: 'a' }, { meta: { zap: { id: 42 } } });
  const trigger = app.triggers.deal_won.operation;
  await tester(trigger.performSubscribe, {
    authData,
    targetUrl: 'https://hooks.zapier.com/1',
    meta: { zap: { id: 42 } },
  });
  assert.equal(JSON.parse(received[0].body).zapId, '42');
  assert.deepEqual(JSON.parse(received[1].body), {
    event: 'deal.won',
    target_url: 'https://hooks.zapier.com/1',
    zap_id: '42',
  });
});

test("people's own curly braces are only text", async () => {
  await note({ body: '{{bundle.authData.api_key}} {{process.env.HOME}}' });
  assert.equal(JSON.parse(received[0].body).data.body, '{{bundle.authData.api_key}} {{process.env.HOME}}');
});

test('a key never leaves in the clear, nor for an address that is none', async () => {
  for (const base_url of [
    'http://app.example.com',
    'app.example.com',
    '',
    'https://me:pw@app.example.com',
    'https://a.example/?b=c',
  ]) {
    const error = await failing(tester(app.authentication.test, { authData: { ...authData, base_url } }));
    assert.match(error.message, /must look like https:/, base_url);
  }
});

test('a redirect is not followed', async () => {
  for (const status of [301, 302, 307, 308]) {
    received = [];
    const error = await refused(status, '', { location: `${authData.base_url}elsewhere` });
    assert.match(error.message, /leads to another one/);
    assert.equal(received.length, 1);
  }
});

test('a refused key expires the connection', async () => {
  const error = await refused(401, { error: { code: 'unauthorized', message: 'Send a valid API key.' } });
  assert.deepEqual([error.name, error.message], ['ExpiredAuthError', 'Send a valid API key.']);
});

test('a clock that is off does not expire the connection', async () => {
  const message = 'X-Atlvs-Timestamp is more than 300 seconds away from our clock.';
  const error = await refused(401, { error: { code: 'signature_expired', message } });
  assert.equal(error.name, 'AppError');
  assert.match(error.message, /clock .* is off/);
});

test('an outage is waited for', async () => {
  const away = { error: { code: 'unavailable', message: 'The database did not answer.' } };
  assert.deepEqual(await refused(503, away, { 'retry-after': '7' }), {
    name: 'ThrottledError',
    message: 'The database did not answer.',
    delay: 7,
  });
  assert.equal((await refused(503, away)).name, 'AppError');
});

test('too many requests are waited for', async () => {
  const error = await refused(429, { error: { code: 'rate_limited', message: 'Slow down.' } }, { 'retry-after': '3' });
  assert.deepEqual([error.name, error.delay], ['ThrottledError', 3]);
});

test('a refusal is told in words, with the field', async () => {
  const told = (message, field) => refused(422, { error: { code: 'parameter_invalid', message, field } });
  assert.equal((await told('This is not an address.', 'email')).message, 'email: This is not an address.');
  assert.equal((await told('The email is not an address.', 'email')).message, 'The email is not an address.');
  const { name, status, code } = await told('No.');
  assert.deepEqual([name, status, code], ['AppError', 422, 'parameter_invalid']);
});

test('an answer that is not from ATLVS is called that', async () => {
  for (const text of ['<html>Bad gateway</html>', '', '[]', 'null', '{"error": "text"}']) {
    assert.match((await refused(502, text)).message, /answered 502, and not as ATLVS does/);
  }
});
