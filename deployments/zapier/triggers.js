// The sixteen triggers: ATLVS posts to the Zap when something happens.
// https://docs.zapier.com/integrations/build-cli/overview#rest-hook-triggers

const { ask } = require('./api');
const { payloadFields } = require('./fields');
const records = require('./records');
const { payloadSample } = require('./samples');

// [event, label, description, the record's status then]
const EVENTS = [
  ['registration.created', 'New Registration', 'Triggers when somebody registers for an event.', 'pending'],
  ['registration.confirmed', 'Registration Confirmed', 'Triggers when a registration is confirmed.', 'confirmed'],
  ['registration.cancelled', 'Registration Cancelled', 'Triggers when a registration is cancelled.', 'cancelled'],
  ['contact.created', 'New Contact', 'Triggers when a contact is created.'],
  ['contact.updated', 'Updated Contact', 'Triggers when a contact changes, and tells what changed.'],
  ['lead.created', 'New Lead', 'Triggers when a lead is created.', 'new'],
  ['lead.status_changed', 'Lead Status Changed', 'Triggers when a lead moves to another status.', 'qualified'],
  ['deal.created', 'New Deal', 'Triggers when a deal is created.', 'open'],
  ['deal.won', 'Deal Won', 'Triggers when a deal is won.', 'won'],
  ['deal.lost', 'Deal Lost', 'Triggers when a deal is lost.', 'lost'],
  ['task.created', 'New Task', 'Triggers when a task is created.', 'open'],
  ['task.completed', 'Task Completed', 'Triggers when a task is completed.', 'completed'],
  ['invoice.created', 'New Invoice', 'Triggers when an invoice is created.', 'draft'],
  ['invoice.paid', 'Invoice Paid', 'Triggers when an invoice is paid.', 'paid'],
  ['event.created', 'New Event', 'Triggers when an event is created.', 'draft'],
  ['event.published', 'Event Published', 'Triggers when an event is published.', 'published'],
];

// Fields of `data` that only one event has.
const MORE = {
  'contact.updated': [
    ['changed_fields', 'Changed Fields', ['email'], 'list'],
    ['previous', 'Former Values', { email: 'ada@lovelace.example' }],
  ],
  'lead.status_changed': [
    ['from_status', 'Former Status', 'new'],
    ['to_status', 'New Status', 'qualified'],
  ],
};

const OWN_WRITES = {
  key: 'own_writes',
  label: 'Also for Changes Made by This Connection',
  type: 'boolean',
  required: false,
  helpText:
    'Zaps of this connection can change what they listen to. Left off, their own changes start no Zap, so that none runs in circles.',
};

const subscribe = (event) => (z, bundle) =>
  ask(z, bundle, 'POST', '/api/zapier/hooks', {
    body: {
      event,
      target_url: bundle.targetUrl,
      zap_id: bundle.meta?.zap?.id == null ? undefined : String(bundle.meta.zap.id),
      own_writes: bundle.inputData.own_writes,
    },
  });

const unsubscribe = (z, bundle) =>
  ask(z, bundle, 'DELETE', `/api/zapier/hooks/${encodeURIComponent(bundle.subscribeData.id)}`);

const received = (z, bundle) => [bundle.cleanedRequest].flat();

const list = (event) => (z, bundle) => ask(z, bundle, 'GET', `/api/zapier/samples/${event}?limit=3`);

const triggerFor = ([event, label, description, status]) => {
  const [noun] = event.split('.');
  const more = MORE[event] ?? [];
  return {
    key: event.replace('.', '_'),
    noun: noun[0].toUpperCase() + noun.slice(1),
    display: { label, description },
    operation: {
      type: 'hook',
      inputFields: [OWN_WRITES],
      performSubscribe: subscribe(event),
      performUnsubscribe: unsubscribe,
      perform: received,
      performList: list(event),
      sample: payloadSample(event, records[noun], {
        ...(status && { status }),
        ...Object.fromEntries(more.map(([key, , example]) => [key, example])),
      }),
      outputFields: payloadFields(records[noun], more),
    },
  };
};

module.exports = Object.fromEntries(EVENTS.map(triggerFor).map((trigger) => [trigger.key, trigger]));
