// The eight actions against a running ATLVS.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { test } = require('node:test');

const { CONNECTIONS, app, create, env, failing, needs, plain, skip, somebody } = require('./connection');

const event_id = env.ATLVS_EVENT_ID;
const needsEvent = {
  skip: skip || (event_id ? false : 'Set ATLVS_EVENT_ID to an event of the organization.'),
};

/** The result has the keys of the sample, and these values. */
const gives = (key, result, values) => {
  assert.deepEqual(Object.keys(result).toSorted(), Object.keys(app.creates[key].operation.sample).toSorted());
  for (const [name, value] of Object.entries(values)) assert.deepEqual(result[name], value, name);
};

const WORKS = {
  contact_create: async (authData) => {
    const given = { ...somebody(), phone: '+44 20 7946 0958', locale: 'en-GB', on_existing: 'return' };
    const made = await create(authData, 'contact_create', given);
    gives('contact_create', made, {
      object: 'contact',
      email: given.email,
      phone: '+442079460958',
      locale: 'en-GB',
    });
  },
  contact_update: async (authData) => {
    const { id, email } = await create(authData, 'contact_create', somebody());
    const byEmail = await create(authData, 'contact_update', { email, first_name: 'Augusta', last_name: '' });
    gives('contact_update', byEmail, { object: 'contact', id, first_name: 'Augusta', last_name: 'Lovelace' });
    const new_email = somebody().email;
    gives('contact_update', await create(authData, 'contact_update', { id, new_email }), {
      id,
      email: new_email,
    });
  },
  lead_create: async (authData) => {
    const lead = await create(authData, 'lead_create', {
      first_name: 'Ada',
      last_name: 'Lovelace',
      email: '',
    });
    gives('lead_create', lead, {
      object: 'lead',
      name: 'Ada Lovelace',
      source: 'zapier',
      status: 'new',
      email: null,
    });
  },
  lead_update: async (authData) => {
    const { id } = await create(authData, 'lead_create', { name: 'Ada' });
    const lead = await create(authData, 'lead_update', { id, status: 'qualified' });
    gives('lead_update', lead, { object: 'lead', id, name: 'Ada', status: 'qualified' });
  },
  task_create: async (authData) => {
    const { id: assignee_id, email: assignee_email } = await create(authData, 'contact_create', somebody());
    const given = {
      title: 'Book the hall',
      description: 'Two\nlines',
      due_at: '2030-01-02T10:00:00+02:00',
      assignee_email,
    };
    const task = await create(authData, 'task_create', given);
    gives('task_create', task, {
      object: 'task',
      title: 'Book the hall',
      description: 'Two\nlines',
      assignee_id,
    });
    assert.equal(Date.parse(task.due_at), Date.parse(given.due_at));
  },
  registration_create: async (authData) => {
    const given = { event_id, ...somebody(), amount: '45.00', currency: 'EUR', status: 'confirmed' };
    const made = await create(authData, 'registration_create', given);
    gives('registration_create', made, {
      object: 'registration',
      event_id,
      amount_cents: 4500,
      currency: 'eur',
    });
    const again = await create(authData, 'registration_create', { event_id, contact_id: made.contact_id });
    assert.equal(again.id, made.id);
  },
  note_create: async (authData) => {
    const { id: record_id } = await create(authData, 'contact_create', somebody());
    const given = { record_type: 'contacts', record_id, body: "{{bundle.x}} '; drop table notes; -- Zoë 🎪" };
    gives('note_create', await create(authData, 'note_create', given), { object: 'note', ...given });
  },
  tag_add: async (authData) => {
    const { id: record_id } = await create(authData, 'lead_create', { name: 'Ada' });
    const record = { record_type: 'leads', record_id };
    await create(authData, 'tag_add', { ...record, tags: ['vip', 'speaker'] });
    const again = await create(authData, 'tag_add', { ...record, tags: ['vip'] });
    gives('tag_add', again, { object: 'tagging', tag: 'vip', ...record });
    assert.deepEqual(again.tags.toSorted(), ['speaker', 'vip']);
  },
};

for (const [name, authData] of CONNECTIONS) {
  for (const key of Object.keys(app.creates)) {
    const needed = key === 'registration_create' && needsEvent.skip ? needsEvent : needs(authData);
    test(`${key} ${name}`, needed, () => WORKS[key](authData));
  }
}

test('a note can be about each kind of record that is offered', { skip }, async () => {
  const [{ choices }] = app.creates.note_create.operation.inputFields;
  for (const record_type of Object.keys(choices)) {
    const error = await failing(create(plain, 'note_create', { record_type, record_id: randomUUID(), body: 'a' }));
    assert.match(error.message, /record_id/, record_type);
  }
});

test('an existing contact is left or changed, as asked', { skip }, async () => {
  const given = somebody();
  const { id } = await create(plain, 'contact_create', given);
  const other = { ...given, email: given.email.toUpperCase(), first_name: 'Augusta' };
  const left = await create(plain, 'contact_create', other);
  assert.deepEqual([left.id, left.first_name], [id, 'Ada']);
  const changed = await create(plain, 'contact_create', { ...other, on_existing: 'update' });
  assert.deepEqual([changed.id, changed.first_name], [id, 'Augusta']);
});

test('a repeated run acts again, unless it names what started it', { skip }, async () => {
  const { id: record_id } = await create(plain, 'contact_create', somebody());
  const given = { record_type: 'contacts', record_id, body: 'Called.' };
  const ids = async (input) => {
    const made = await Promise.all(Array.from({ length: 5 }, () => create(plain, 'note_create', input)));
    return new Set(made.map((one) => one.id)).size;
  };
  assert.equal(await ids(given), 5);
  assert.equal(await ids({ ...given, external_id: randomUUID() }), 1);
});

test('what is refused says which field, and why', { skip }, async () => {
  const refused = async (key, given, status, text) => {
    const error = await failing(create(plain, key, given));
    assert.deepEqual([error.name, error.status], ['AppError', status], error.message);
    assert.match(error.message, text);
  };
  const nobody = randomUUID();
  await refused('contact_create', { email: 'nobody' }, 422, /email/);
  await refused('contact_create', { locale: 'en-GB' }, 422, /email/);
  await refused('contact_update', { id: nobody, first_name: 'A' }, 404, /contact/i);
  await refused('lead_update', { id: 'seven', status: 'new' }, 422, /id/);
  await refused('task_create', { title: 'a', due_at: 'soon' }, 422, /due_at/);
  await refused('task_create', { title: '' }, 422, /title/);
  await refused('registration_create', { event_id: nobody, email: 'ada@example.com' }, 404, /event/);
  await refused('note_create', { record_type: 'secrets', record_id: nobody, body: 'a' }, 422, /record_type/);
  await refused('tag_add', { record_type: 'contacts', record_id: nobody, tags: ['a'] }, 404, /record_id/);
});
