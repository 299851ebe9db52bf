// The definition by itself: no server, no network.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { validateAppDefinition } = require('zapier-platform-schema');

const app = require('..');
const { dependencies } = require('../package.json');
const { signatureOf } = require('../middleware');
const { paths } = require('./shapes');

const parts = [...Object.values(app.triggers), ...Object.values(app.creates)];
// The platform checks the definition without its code.
const withoutCode = (definition) =>
  JSON.parse(JSON.stringify(definition, (_, value) => (typeof value === 'function' ? '$func$2$f$' : value)));
const errorsOf = (definition) => validateAppDefinition(withoutCode(definition)).errors.map(String);

test('the definition is what the platform expects', () => {
  assert.deepEqual(errorsOf(app), []);
  assert.equal(app.platformVersion, dependencies['zapier-platform-core']);
});

test('a fault in the definition would be seen', () => {
  const { noun, ...broken } = app.triggers.deal_won;
  assert.match(errorsOf({ ...app, triggers: { ...app.triggers, deal_won: broken } }).join(), /noun/);
});

test('there are sixteen triggers and eight actions', () => {
  assert.equal(Object.keys(app.triggers).length, 16);
  assert.deepEqual(Object.keys(app.creates), [
    'contact_create',
    'contact_update',
    'lead_create',
    'lead_update',
    'task_create',
    'registration_create',
    'note_create',
    'tag_add',
  ]);
});

test('each field that comes out is described, and nothing else is', () => {
  for (const { key, operation } of parts) {
    const described = operation.outputFields.map((field) => field.key.replaceAll('__', '.'));
    const shown = paths(operation.sample).map((path) => path.replace(/(\.previous)\..*/, '$1'));
    assert.deepEqual(described.toSorted(), shown.toSorted(), key);
    assert.ok(
      operation.outputFields.every((field) => field.label),
      key,
    );
  }
});

test('examples are of the type that is described', () => {
  const fits = {
    string: (value) => typeof value === 'string' || typeof value === 'object',
    integer: Number.isInteger,
    datetime: (value) => !Number.isNaN(Date.parse(value)) && /(Z|[+-]\d\d:\d\d)$/.test(value),
  };
  for (const { key, operation } of parts) {
    for (const field of operation.outputFields) {
      const value = field.key.split('__').reduce((inner, step) => inner[step], operation.sample);
      assert.ok(field.list ? Array.isArray(value) : fits[field.type](value), `${key}: ${field.key}`);
    }
  }
});

test('people are told what each part does', () => {
  for (const { key, display, operation } of parts) {
    assert.match(display.description, key in app.triggers ? /^Triggers when .+\.$/ : /^[A-Z][a-z]+s .+\.$/, key);
    assert.match(display.label, /^([A-Z][a-z]+ ?)+$/, key);
    for (const field of operation.inputFields) {
      assert.ok(field.label, `${key}: ${field.key}`);
      assert.match(field.helpText, /\.$/, `${key}: ${field.key}`);
    }
  }
});

test('secrets are marked as such', () => {
  const kept = app.authentication.fields.filter((field) => field.type === 'password').map((field) => field.key);
  assert.deepEqual(kept, ['api_key', 'signing_secret']);
});

test('a signature is the HMAC over time, method, path with query and body', () => {
  assert.equal(
    signatureOf(
      'atlvssig_example',
      1700000000,
      'POST',
      'https://app.example.com/api/webhooks/zapier?a=b%20c',
      '{"name":"Zoë"}',
    ),
    'v1,ntwNH8eteZBji5i/JagInyTZXQ2Gc0xITterdODdcSY=',
  );
});
