// Requests to the organization's own ATLVS.

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

/** The address without a slash at its end; a key never travels in the clear, except on one machine. */
const addressOf = (z, bundle) => {
  const given = String(bundle.authData.base_url ?? '').trim();
  const url = URL.canParse(given) ? new URL(given) : null;
  const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.includes(url.hostname));
  if (!safe || url.username || url.search || url.hash) {
    throw new z.errors.Error('The address must look like https://app.example.com.', 'base_url_invalid', 422);
  }
  return given.replace(/\/+$/, '');
};

/** Ask ATLVS; the answer as an object. Errors become the platform's in middleware.js. */
const ask = async (z, bundle, method, path, { body, headers = {} } = {}) => {
  const response = await z.request({
    method,
    url: addressOf(z, bundle) + path,
    headers: { accept: 'application/json', ...headers },
    body,
    // A redirect would carry the key to another address.
    redirect: 'manual',
    // Otherwise people's own text is searched for {{bundle.…}}, and refused where it is found. The option
    // is not documented: a new version of the platform has to pass tests/requests.test.js.
    merge: false,
  });
  return response.data;
};

module.exports = { ask };
