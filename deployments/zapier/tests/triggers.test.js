// The sixteen triggers against a running ATLVS: subscribed, listed, performed, unsubscribed.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { test } = require('node:test');

const { CONNECTIONS, app, env, failing, needs, plain, run, skip } = require('./connection');
const { sameKeys } = require('./shapes');

// Posts that Zaps have received, by event: how live payloads look.
const LIVE = env.ATLVS_LIVE_PAYLOADS ? JSON.parse(readFileSync(env.ATLVS_LIVE_PAYLOADS)) : {};
const FREE = ['data.previous'];

const eventOf = ({ key }) => key.replace('_', '.');
const newTarget = () => `${env.ATLVS_HOOK_BASE ?? 'https://hooks.zapier.com'}/hooks/standard/1/${randomUUID()}/`;
const subscribe = ({ operation }, authData, targetUrl = newTarget(), inputData = {}) =>
  run(operation.performSubscribe, { authData, targetUrl, inputData });
const unsubscribe = ({ operation }, authData, subscribeData) =>
  run(operation.performUnsubscribe, { authData, subscribeData });
const receive = ({ operation }, cleanedRequest) => run(operation.perform, { authData: plain, cleanedRequest });

for (const [name, authData] of CONNECTIONS) {
  for (const trigger of Object.values(app.triggers)) {
    test(`${trigger.key} ${name}`, needs(authData), async () => {
      const hook = await subscribe(trigger, authData);
      assert.deepEqual([hook.event, hook.status], [eventOf(trigger), 'active']);
      const listed = await run(trigger.operation.performList, { authData });
      assert.ok(listed.length >= 1 && listed.length <= 3);
      for (const one of listed) {
        assert.equal(one.type, eventOf(trigger));
        sameKeys(one, trigger.operation.sample, FREE);
      }
      assert.deepEqual(await receive(trigger, listed[0]), [listed[0]]);
      assert.deepEqual(await receive(trigger, listed), listed);
      assert.deepEqual(await unsubscribe(trigger, authData, hook), { id: hook.id, status: 'ended' });
    });
  }
}

for (const trigger of Object.values(app.triggers)) {
  const posts = LIVE[eventOf(trigger)];
  const unseen = { skip: posts ? false : 'Set ATLVS_LIVE_PAYLOADS to a file of received posts.' };
  test(`${trigger.key} has the keys of what is posted`, unseen, async () => {
    for (const post of posts) {
      const [handedOn] = await receive(trigger, post);
      sameKeys(handedOn, trigger.operation.sample, FREE);
    }
  });
}

test('the same Zap is subscribed once', { skip }, async () => {
  const { deal_won: trigger } = app.triggers;
  const target = newTarget();
  const [first, again] = [await subscribe(trigger, plain, target), await subscribe(trigger, plain, target)];
  assert.equal(again.id, first.id);
  await unsubscribe(trigger, plain, first);
});

test('a Zap is switched off as often as one likes, also one that never was on', { skip }, async () => {
  const { deal_won: trigger } = app.triggers;
  const hook = await subscribe(trigger, plain);
  for (const { id } of [hook, hook, { id: randomUUID() }]) {
    assert.deepEqual(await unsubscribe(trigger, plain, { id }), { id, status: 'ended' });
  }
});

test("a Zap may hear of this connection's own changes", { skip }, async () => {
  const { contact_updated: trigger } = app.triggers;
  for (const own_writes of [true, 'true', false, '', undefined]) {
    const hook = await subscribe(trigger, plain, newTarget(), { own_writes });
    await unsubscribe(trigger, plain, hook);
  }
});

test('an address that ATLVS does not post to is refused, and not repeated in the error', { skip }, async () => {
  for (const target of ['http://hooks.zapier.com/secret-path', 'https://10.0.0.1/secret-path', 'nowhere']) {
    const error = await failing(subscribe(app.triggers.deal_won, plain, target));
    assert.equal(error.status, 422);
    assert.match(error.message, /target/);
    assert.doesNotMatch(error.message, /secret-path|zapier\.com|10\.0/);
  }
});
