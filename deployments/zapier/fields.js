// Labels and types of what comes out, for the steps of a Zap that follow.
// `data__email` is how the platform writes `data.email`.

const { amounts, around } = require('./samples');

const outputField =
  (prefix, before = '') =>
  ([key, label, , type]) => ({
    key: prefix + key,
    label: `${before}${label}`,
    ...(type === 'list' ? { list: true } : { type: type ?? 'string' }),
  });

const PAYLOAD = [
  ['id', 'Change ID'],
  ['type', 'Kind of Change'],
  ['occurred_at', 'Occurred At', null, 'datetime'],
  ['org_id', 'Organization ID'],
];
const NAMES = { contact: 'Contact', event: 'Event' };

/** The fields of a trigger's payload; `more` are those that only this event has. */
const payloadFields = (fields, more = []) => [
  ...PAYLOAD.map(outputField('')),
  ...[...fields, ...amounts(fields), ...more].map(outputField('data__')),
  ...around(fields).flatMap(([name, theirs]) => theirs.map(outputField(`data__${name}__`, `${NAMES[name]} `))),
];

/** The fields of what an action gives back. */
const resultFields = (fields) => [['object', 'Kind of Record'], ...fields].map(outputField(''));

module.exports = { payloadFields, resultFields };
