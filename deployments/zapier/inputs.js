// What people fill in or map for each action. An empty field is not sent.

const field = (key, label, helpText, more = {}) => ({ key, label, helpText, required: false, ...more });
const required = (one) => ({ ...one, required: true });

const EMAIL = field('email', 'Email', 'Such as ada@example.com.');
const FIRST_NAME = field('first_name', 'First Name', 'Such as Ada.');
const LAST_NAME = field('last_name', 'Last Name', 'Such as Lovelace.');
const PHONE = field('phone', 'Phone', 'With the country code, such as +44 20 7946 0958.');
const PERSON = [
  PHONE,
  field('company_id', 'Company ID', 'The ID of a company in ATLVS.'),
  field('time_zone', 'Time Zone', 'Such as Europe/London.'),
  field('locale', 'Locale', 'Language and country, such as en-GB.'),
];
const CONTACT_ID = field('contact_id', 'Contact ID', 'The ID of a contact in ATLVS, such as that of an earlier step.');
const LEAD_NAME = field('name', 'Name', 'Who it is, such as Ada Lovelace.');
const LEAD = [EMAIL, PHONE];
const LEAD_STATUS = field('status', 'Status', 'Such as new, contacted or qualified. A new lead is new.');
const SOURCE = field('source', 'Source', 'Where the lead comes from. A new lead comes from zapier.');
const RECORD = [
  field('record_type', 'Record Type', 'The kind of record.', {
    required: true,
    choices: {
      contacts: 'Contact',
      companies: 'Company',
      leads: 'Lead',
      deals: 'Deal',
      events: 'Event',
      registrations: 'Registration',
      invoices: 'Invoice',
      payments: 'Payment',
      expenses: 'Expense',
      budgets: 'Budget',
      tasks: 'Task',
      approvals: 'Approval',
      incidents: 'Incident',
    },
  }),
  field('record_id', 'Record ID', 'Its ID in ATLVS, such as that of an earlier step.', { required: true }),
];

module.exports = {
  EXTERNAL_ID: field(
    'external_id',
    'External ID',
    'Map the ID of what started the Zap, and a repeated run with the same fields does nothing twice. Left empty, each run acts anew.',
  ),
  'contact.create': [
    EMAIL,
    FIRST_NAME,
    LAST_NAME,
    ...PERSON,
    field('on_existing', 'If the Contact Exists', 'What happens when there is a contact with this email address.', {
      choices: { return: 'Leave it as it is', update: 'Update it' },
      default: 'return',
    }),
  ],
  'contact.update': [
    field('id', 'Contact ID', 'The contact to change. Or give the email address.'),
    field('email', 'Email', 'Finds the contact to change, where no ID is given.'),
    field('new_email', 'New Email', 'Replaces the email address.'),
    FIRST_NAME,
    LAST_NAME,
    ...PERSON,
  ],
  'lead.create': [
    field('name', 'Name', 'Who it is. Or give a first and a last name.'),
    FIRST_NAME,
    LAST_NAME,
    ...LEAD,
    SOURCE,
    LEAD_STATUS,
    CONTACT_ID,
  ],
  'lead.update': [
    field('id', 'Lead ID', 'The ID of the lead to change.', { required: true }),
    LEAD_NAME,
    ...LEAD,
    SOURCE,
    LEAD_STATUS,
    CONTACT_ID,
  ],
  'task.create': [
    required(field('title', 'Title', 'What is to be done.')),
    field('description', 'Description', 'More about it.', { type: 'text' }),
    field('due_at', 'Due At', 'When it is to be done.', { type: 'datetime' }),
    field('event_id', 'Event ID', 'The ID of the event that it belongs to.'),
    field('assignee_id', 'Assignee ID', 'The ID of the contact who is to do it.'),
    field('assignee_email', 'Assignee Email', 'Or the email address of that contact.'),
    field('status', 'Status', 'Such as open. A new task is open.'),
  ],
  'registration.create': [
    required(field('event_id', 'Event ID', 'The ID of the event.')),
    field('contact_id', 'Contact ID', 'The ID of the contact. Or give an email address.'),
    field('email', 'Email', 'Finds the contact, or makes one from these fields.'),
    FIRST_NAME,
    LAST_NAME,
    PHONE,
    field('status', 'Status', 'Such as pending or confirmed.'),
    field('payment_status', 'Payment Status', 'Such as unpaid or paid.'),
    field('amount', 'Amount', 'Such as 45.00.'),
    field('amount_cents', 'Amount in Minor Units', 'Such as 4500, instead of an amount.', {
      type: 'integer',
    }),
    field('currency', 'Currency', 'Three letters, such as eur.'),
  ],
  'note.create': [...RECORD, field('body', 'Text', 'What the note says.', { type: 'text', required: true })],
  'tag.add': [
    ...RECORD,
    field('tags', 'Tags', 'One or more names of tags. New ones are made.', { list: true, required: true }),
  ],
};
