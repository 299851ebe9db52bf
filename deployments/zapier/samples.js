// What a trigger hands on and an action gives back, as examples: shown before anything real is there.

const records = require('./records');

// Of the records that one points to, what goes along with it.
const AROUND = {
  contact_id: ['contact', ['id', 'first_name', 'last_name', 'email', 'phone']],
  event_id: ['event', ['id', 'name', 'location', 'starts_at', 'ends_at', 'time_zone']],
};

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
  fields
    .filter(([key]) => key in AROUND)
    .map(([key, , id]) => {
      const [name, [, ...others]] = AROUND[key];
      return [name, [['id', 'ID', id], ...records[name].filter(([one]) => others.includes(one))]];
    });

const dataSample = (fields) => ({
  ...exampleOf([...fields, ...amounts(fields)]),
  ...Object.fromEntries(around(fields).map(([name, theirs]) => [name, exampleOf(theirs)])),
});

/** A trigger's payload, live or sample; `more` is what only this event has in its record. */
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
