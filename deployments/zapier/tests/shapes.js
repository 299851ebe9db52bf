// Which keys an object has, all the way down.

const assert = require('node:assert/strict');

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const inside = (path, key) => (path ? `${path}.${key}` : key);

/** Paths to all that is not an object: `data.contact.email`. */
const paths = (value, path = '') =>
  isObject(value) ? Object.keys(value).flatMap((key) => paths(value[key], inside(path, key))) : [path];

/** `given` has exactly the keys of `sample`. A record around it may be missing (null); `free` paths hold any keys. */
const sameKeys = (given, sample, free = [], path = '') => {
  if (given === null || free.includes(path)) return;
  assert.equal(isObject(given), isObject(sample), path);
  if (!isObject(sample)) return;
  assert.deepEqual(Object.keys(given).toSorted(), Object.keys(sample).toSorted(), path);
  for (const key of Object.keys(sample)) sameKeys(given[key], sample[key], free, inside(path, key));
};

module.exports = { paths, sameKeys };
