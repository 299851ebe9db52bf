// A connection is an API key of one organization: `atlvs api-keys create --scope zapier`.

const { ask } = require('./api');

const fields = [
  {
    key: 'base_url',
    label: 'Address of ATLVS',
    helpText: 'Where your ATLVS answers, without a path.',
    placeholder: 'https://app.example.com',
    required: true,
    isNoSecret: true,
  },
  {
    key: 'api_key',
    label: 'API Key',
    type: 'password',
    helpText: 'Starts with atlvs_. Whoever administers ATLVS makes one with `atlvs api-keys create`.',
    required: true,
  },
  {
    key: 'signing_secret',
    label: 'Signing Secret',
    type: 'password',
    helpText: 'Starts with atlvssig_. Needed only for a key that was made as a signed one.',
    required: false,
  },
];

module.exports = {
  type: 'custom',
  fields,
  test: (z, bundle) => ask(z, bundle, 'GET', '/api/zapier/me'),
  connectionLabel: (z, { inputData: { organization, key } }) => [organization, key].filter(Boolean).join(': '),
};
