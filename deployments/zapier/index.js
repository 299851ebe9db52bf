// What an organization pushes to Zapier: sixteen triggers and eight actions around the API of ATLVS.
// https://docs.zapier.com/integrations/build-cli/overview

const { version: platformVersion } = require('zapier-platform-core');

const { version } = require('./package.json');
const authentication = require('./authentication');
const { authorize, explain } = require('./middleware');
const triggers = require('./triggers');
const creates = require('./creates');

module.exports = {
  version,
  platformVersion,
  authentication,
  beforeRequest: [authorize],
  afterResponse: [explain],
  triggers,
  creates,
};
