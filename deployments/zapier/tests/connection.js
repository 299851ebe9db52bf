// The running ATLVS that the tests talk to. Without one, the tests that need it are skipped.

// Otherwise the platform's code prints its use of memory.
process.env.NODE_ENV ??= 'test';

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { createAppTester } = require('zapier-platform-core');

const app = require('..');

const { env } = process;
const base_url = env.ATLVS_BASE_URL;
const tester = createAppTester(app);

const plain = { base_url, api_key: env.ATLVS_API_KEY };
const signed = { base_url, api_key: env.ATLVS_SIGNED_KEY, signing_secret: env.ATLVS_SIGNING_SECRET };
const CONNECTIONS = [
  ['with a key', plain],
  ['with a signed key', signed],
];

const skip = base_url && plain.api_key ? false : 'Set ATLVS_BASE_URL and ATLVS_API_KEY to a running ATLVS.';
const needs = (authData) => ({
  skip: skip || (authData.api_key ? false : 'Set ATLVS_SIGNED_KEY and ATLVS_SIGNING_SECRET.'),
});

/** Run a part of the app as the platform does: a throttled one again, after the wait. */
const run = async (part, bundle) => {
  for (;;) {
    try {
      return await tester(part, structuredClone(bundle));
    } catch (error) {
      if (error.name !== 'ThrottledError') throw error;
      await sleep(JSON.parse(error.message).delay * 1000);
    }
  }
};

const create = (authData, key, inputData, meta = {}) =>
  run(app.creates[key].operation.perform, { authData, inputData, meta });

const somebody = () => ({ email: `${randomUUID()}@example.com`, first_name: 'Ada', last_name: 'Lovelace' });

/** What an expected error says. The platform writes JSON into some, and its log below others. */
const failing = async (promise) => {
  const error = await promise.then(
    () => assert.fail('It did not fail.'),
    (reason) => reason,
  );
  const [message] = error.message.split('\n');
  return { name: error.name, ...(message.startsWith('{') ? JSON.parse(message) : { message }) };
};

module.exports = { CONNECTIONS, app, create, env, failing, needs, plain, run, skip, somebody, tester };
