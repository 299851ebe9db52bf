// The eight actions: a Zap changes something in ATLVS.

const { createHash } = require('node:crypto');

const { ask } = require('./api');
const { resultFields } = require('./fields');
const inputs = require('./inputs');
const records = require('./records');
const { resultSample } = require('./samples');

// [action, what it gives back, label, description]
const ACTIONS = [
  ['contact.create', 'contact', 'Create Contact', 'Creates a contact, or finds the one with this email address.'],
  ['contact.update', 'contact', 'Update Contact', 'Changes a contact that is found by its ID or its email address.'],
  ['lead.create', 'lead', 'Create Lead', 'Creates a lead.'],
  ['lead.update', 'lead', 'Update Lead', 'Changes a lead, such as its status.'],
  ['task.create', 'task', 'Create Task', 'Creates a task, assigned to somebody if you like.'],
  ['registration.create', 'registration', 'Create Registration', 'Registers a contact for an event, once.'],
  ['note.create', 'note', 'Create Note', 'Writes a note about a record.'],
  ['tag.add', 'tagging', 'Add Tag', 'Tags a record. A tag it already has changes nothing.'],
];
const NOUNS = { tagging: 'Tag' };

const filledIn = (inputData) =>
  Object.fromEntries(Object.entries(inputData).filter(([, value]) => value != null && value !== ''));

/** JSON that is the same for the same input, whatever the order of its keys. */
const canonical = (value) => {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const pairs = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${pairs.join()}}`;
};

/** The same for the same action, input and external id. */
const idempotencyKey = (action, given, externalId) =>
  createHash('sha256')
    .update(`${action}\n${canonical(given)}\n${externalId}`)
    .digest('hex');

/** Two equal notes may be wanted: only an external id makes a repeated run the same action. */
const perform = (action) => (z, bundle) => {
  const { external_id: externalId, ...given } = filledIn(bundle.inputData);
  const zap = bundle.meta?.zap?.id;
  return ask(z, bundle, 'POST', '/api/webhooks/zapier', {
    body: { action, data: given, zapId: zap == null ? undefined : String(zap) },
    headers: externalId ? { 'idempotency-key': idempotencyKey(action, given, externalId) } : {},
  });
};

const createFor = ([action, object, label, description]) => ({
  key: action.replace('.', '_'),
  noun: NOUNS[object] ?? object[0].toUpperCase() + object.slice(1),
  display: { label, description },
  operation: {
    inputFields: [...inputs[action], inputs.EXTERNAL_ID],
    perform: perform(action),
    sample: resultSample(object, records[object]),
    outputFields: resultFields(records[object]),
  },
});

module.exports = Object.fromEntries(ACTIONS.map(createFor).map((create) => [create.key, create]));
