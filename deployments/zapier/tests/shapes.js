// Which keys an object has, all the way down.

/** Paths to all that is not an object: `data.contact.email`. */
const paths = (value, path = '') =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? Object.keys(value)
        .sort()
        .flatMap((key) => paths(value[key], path ? `${path}.${key}` : key))
    : [path];

const at = (value, path) => path.split('.').reduce((inner, key) => inner?.[key], value);

/** `given`, where a record around it may be missing (null), has exactly the keys of `sample`. */
const sameKeys = (assert, given, sample, free = []) => {
  const missing = paths(given).filter((path) => at(given, path) === null);
  const open = (path) => [...missing, ...free].some((one) => path === one || path.startsWith(`${one}.`));
  const fixed = (value) => [...new Set(paths(value).filter((path) => !open(path)))];
  assert.deepEqual(fixed(given), fixed(sample));
  for (const path of missing) assert.notEqual(at(sample, path), undefined, `${path} is not in the sample`);
};

module.exports = { paths, sameKeys };
