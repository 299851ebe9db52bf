// A connection against a running ATLVS.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { CONNECTIONS, app, failing, needs, plain, run, skip, tester } = require('./connection');

const BURST = 40; // requests that a key has at once
const me = (authData) => run(app.authentication.test, { authData });

for (const [name, authData] of CONNECTIONS) {
  test(`a connection ${name} is accepted`, needs(authData), async () => {
    const told = await me(authData);
    assert.ok(told.org_id && told.organization && told.key && told.scopes.length);
    assert.equal(told.signed, Boolean(authData.signing_secret));
    const label = app.authentication.connectionLabel(null, { inputData: told });
    assert.equal(label, `${told.organization}: ${told.key}`);
  });
}

test('a key that is none is refused', { skip }, async () => {
  const error = await failing(me({ ...plain, api_key: 'atlvs_never' }));
  assert.equal(error.name, 'ExpiredAuthError');
  assert.match(error.message, /API key/);
});

test('a signed key without the right secret is refused', needs(CONNECTIONS[1][1]), async () => {
  const [, [, signed]] = CONNECTIONS;
  for (const signing_secret of [undefined, 'atlvssig_wrong']) {
    const error = await failing(me({ ...signed, signing_secret }));
    assert.equal(error.name, 'ExpiredAuthError');
    assert.match(error.message, /sign/i);
  }
});

test('a secret for a key that needs none does no harm', { skip }, async () => {
  assert.equal((await me({ ...plain, signing_secret: 'atlvssig_any' })).signed, false);
});

test('an address where nothing answers is told', { skip }, async () => {
  const error = await failing(me({ ...plain, base_url: 'http://127.0.0.1:9' }));
  assert.match(error.message, /ECONNREFUSED/);
});

test('more requests than allowed are throttled, with the time to wait', { skip, timeout: 30_000 }, async () => {
  const asked = Array.from({ length: 4 * BURST }, () => tester(app.authentication.test, { authData: plain }));
  const throttled = (await Promise.allSettled(asked)).filter(({ status }) => status === 'rejected');
  assert.ok(throttled.length > 0, 'none of them was');
  for (const { reason } of throttled) {
    assert.equal(reason.name, 'ThrottledError');
    assert.ok(JSON.parse(reason.message).delay >= 1);
  }
  await me(plain);
});
