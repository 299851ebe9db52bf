// The platform's records: [field, label, example, type]. Without a type it is a text.

const SOME_ID = '6f9619ff-8b86-4d01-b42d-00cf4fc964ff';
const AT = '2026-05-04T09:30:00.123456+00:00';

const BEGINNING = [
  ['id', 'ID', SOME_ID],
  ['org_id', 'Organization ID', '0f8fad5b-d9cb-469f-a165-70867728950e'],
];
const ENDING = [
  ['created_at', 'Created At', AT, 'datetime'],
  ['updated_at', 'Updated At', AT, 'datetime'],
];
const CONTACT_ID = ['contact_id', 'Contact ID', '7c9e6679-7425-40de-944b-e07fc1f90ae7'];
const COMPANY_ID = ['company_id', 'Company ID', '16fd2706-8baf-433b-82eb-8c7fada847da'];
const EVENT_ID = ['event_id', 'Event ID', '886313e1-3b8a-4372-9b90-0c9aee199e5d'];
const CURRENCY = ['currency', 'Currency', 'eur'];

const contact = [
  ...BEGINNING,
  COMPANY_ID,
  ['first_name', 'First Name', 'Ada'],
  ['last_name', 'Last Name', 'Lovelace'],
  ['email', 'Email', 'ada@example.com'],
  ['phone', 'Phone', '+442079460958'],
  ['time_zone', 'Time Zone', 'Europe/London'],
  ['locale', 'Locale', 'en-GB'],
  ...ENDING,
];
const lead = [
  ...BEGINNING,
  CONTACT_ID,
  ['name', 'Name', 'Ada Lovelace'],
  ['email', 'Email', 'ada@example.com'],
  ['phone', 'Phone', '+442079460958'],
  ['source', 'Source', 'zapier'],
  ['status', 'Status', 'new'],
  ...ENDING,
];
const deal = [
  ...BEGINNING,
  CONTACT_ID,
  COMPANY_ID,
  ['name', 'Name', 'Summer gala, catering'],
  ['amount_cents', 'Amount in Minor Units', 1250000, 'integer'],
  CURRENCY,
  ['status', 'Status', 'open'],
  ['closed_at', 'Closed At', AT, 'datetime'],
  ...ENDING,
];
const event = [
  ...BEGINNING,
  ['name', 'Name', 'Summer Gala'],
  ['description', 'Description', 'An evening by the river.'],
  ['location', 'Location', 'Old Harbour Hall'],
  ['time_zone', 'Time Zone', 'Europe/London'],
  ['starts_at', 'Starts At', '2026-06-20T17:00:00+00:00', 'datetime'],
  ['ends_at', 'Ends At', '2026-06-20T22:00:00+00:00', 'datetime'],
  ['status', 'Status', 'published'],
  ...ENDING,
];
const registration = [
  ...BEGINNING,
  EVENT_ID,
  CONTACT_ID,
  ['status', 'Status', 'confirmed'],
  ['payment_status', 'Payment Status', 'paid'],
  ['amount_cents', 'Amount in Minor Units', 4500, 'integer'],
  CURRENCY,
  ...ENDING,
];
const invoice = [
  ...BEGINNING,
  CONTACT_ID,
  COMPANY_ID,
  ['number', 'Number', 'INV-2026-0042'],
  ['status', 'Status', 'paid'],
  ['amount_cents', 'Amount in Minor Units', 1250000, 'integer'],
  ['amount_paid_cents', 'Amount Paid in Minor Units', 1250000, 'integer'],
  CURRENCY,
  ['due_on', 'Due On', '2026-06-01'],
  ['paid_at', 'Paid At', AT, 'datetime'],
  ...ENDING,
];
const task = [
  ...BEGINNING,
  EVENT_ID,
  ['assignee_id', 'Assignee ID', CONTACT_ID[2]],
  ['title', 'Title', 'Book the hall'],
  ['description', 'Description', 'Ask for the river side.'],
  ['status', 'Status', 'completed'],
  ['due_at', 'Due At', '2026-05-11T15:00:00+00:00', 'datetime'],
  ['completed_at', 'Completed At', AT, 'datetime'],
  ...ENDING,
];
const note = [
  ...BEGINNING,
  ['record_type', 'Record Type', 'contacts'],
  ['record_id', 'Record ID', CONTACT_ID[2]],
  ['body', 'Text', 'Prefers to be called in the morning.'],
  ...ENDING,
];
const tagging = [
  ['id', 'ID', SOME_ID],
  ['tag', 'Tag', 'vip'],
  ['record_type', 'Record Type', 'contacts'],
  ['record_id', 'Record ID', CONTACT_ID[2]],
  ['tags', 'Tags', ['speaker', 'vip'], 'list'],
];

module.exports = { contact, lead, deal, event, registration, invoice, task, note, tagging };
