// What a trigger hands on and an action gives back, as examples: shown before anything real is there.

const records = require('./records');

const AROUND = { contact_id: 'contact', event_id: 'event' };

const exampleOf = (fields) => Object.fromEntries(fields.map(([key, , example]) => [key, example]));

/** Amounts stand there twice: in minor units, and as people write them. */
const amounts = (fields) =>
  fields
    .filter(([key]) => key.endsWith('_cents'))
    .map(([key, label, cents]) => [
      key.replace(/_cents$/, ''),
      label.replace(' in Minor Units', ''),
      (cents / 100).toFixed(2),
    ]);

/** The records around one: [name, its fields]. */
const around = (fields) =>
  fields.filter(([key]) => key in AROUND).map(([key]) => [AROUND[key], records[AROUND[key]]]);

const dataSample = (fields) => ({
  ...exampleOf([...fields, ...amounts(fields)]),
  ...Object.fromEntries(around(fields).map(([name, theirs]) => [name, exampleOf(theirs)])),
});

/** A trigger's payload, live or sample, for a record with fields of its own event (`more`). */
const payloadSample = (event, fields, more = {}) => ({
  id: '0b0f5e9c-7a7e-4c55-9c43-5d0d8f5a4f1e',
  type: event,
  occurred_at: '2026-05-04T09:30:00.123456+00:00',
  org_id: '0f8fad5b-d9cb-469f-a165-70867728950e',
  data: { ...dataSample(fields), ...more },
});

/** What an action gives back. */
const resultSample = (object, fields) => ({ object, ...exampleOf(fields) });

module.exports = { amounts, around, payloadSample, resultSample };
