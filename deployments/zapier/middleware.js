// Every request shows who asks; every refusal becomes an error that says what to do.

const { createHmac } = require('node:crypto');

/** `v1,` and the HMAC over "<seconds>.<METHOD>.<path and query>.<body>", as ATLVS checks it. */
const signatureOf = (secret, timestamp, method, url, body = '') => {
  const { pathname, search } = new URL(url);
  const mac = createHmac('sha256', secret).update(`${timestamp}.${method}.${pathname}${search}.${body}`);
  return `v1,${mac.digest('base64')}`;
};

/** The address with all of its query: what is left in `params` would be added only after the signature. */
const whole = ({ url, params }) => {
  const address = new URL(url);
  for (const [key, value] of Object.entries(params ?? {})) address.searchParams.append(key, value);
  return address.href;
};

/** The key, and the signature for keys that ask for one. The body is the text that is sent by now. */
const authorize = (req, z, bundle) => {
  const { api_key: key, signing_secret: secret } = bundle.authData;
  req.url = whole(req);
  req.params = {};
  req.headers.authorization = `Bearer ${String(key ?? '').trim()}`;
  if (secret?.trim()) {
    const timestamp = Math.floor(Date.now() / 1000);
    req.headers['x-atlvs-timestamp'] = String(timestamp);
    req.headers['x-atlvs-signature'] = signatureOf(secret.trim(), timestamp, req.method, req.url, req.body);
  }
  return req;
};

const textOf = ({ message, field }, status) => {
  if (!message) return `ATLVS answered ${status}, and not as ATLVS does. Is the address right?`;
  return field && !message.includes(field) ? `${field}: ${message}` : message;
};

// A new connection would not help: the key and its secret are right.
const CLOCKS = 'ATLVS found the signature too old or too new: the clock of its server, or of Zapier, is off by '
  + 'more than five minutes. The connection is well; try again when the clock is set.';

/** A refusal in ATLVS's own words. 429 never comes here: the platform waits by itself. */
const explain = (response, z) => {
  const { status } = response;
  if (status >= 200 && status < 300) return response;
  if (status < 400) {
    throw new z.errors.Error('This address leads to another one: connect with that.', 'redirected', status);
  }
  const error = response.data?.error ?? {};
  const wait = parseInt(response.getHeader('retry-after'), 10);
  if (error.code === 'signature_expired') throw new z.errors.Error(CLOCKS, error.code, status);
  if (status === 401) throw new z.errors.ExpiredAuthError(textOf(error, status));
  if (status === 503 && wait > 0) throw new z.errors.ThrottledError(textOf(error, status), wait);
  throw new z.errors.Error(textOf(error, status), error.code, status);
};

module.exports = { authorize, explain, signatureOf };
