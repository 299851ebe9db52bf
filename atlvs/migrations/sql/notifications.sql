-- Who is told what, on which channel, and what became of it.
create table integration_rules (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    name text not null,                    -- a shipped rule's name: this row stands instead of it
    event text not null,                   -- the domain event that it listens to
    type text not null,                    -- the notification that it raises
    audience jsonb not null,
    channels text[] not null,
    mode text not null default 'all' check (mode in ('all', 'first')),
    condition jsonb not null default '{}', -- field of the record → value that it must have
    enabled boolean not null default true,
    updated_at timestamptz not null default now(),
    unique (org_id, name)
);

create table integration_notifications (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    key text not null,                     -- raised twice under one key is raised once
    fingerprint text not null,             -- of what was asked: the same key with other content is refused
    type text not null,
    category text not null,
    owed boolean not null default false,   -- asked for, owed or critical: passes preferences, digests, quiet hours
    subject text,
    data jsonb not null default '{}',
    sealed bytea,                          -- variables that are secrets, encrypted; wiped when it has ended
    sealed_people bytea,                   -- people's own of them, until each has a delivery
    audience jsonb not null,
    channels text[] not null,
    mode text not null default 'all' check (mode in ('all', 'first')),
    origin text not null,                  -- event, api, flow, due, command
    record_type text,
    record_id uuid,
    dry_run boolean not null default false,
    state text not null default 'raised'
        check (state in ('raised', 'held', 'sending', 'paused', 'cancelled', 'done', 'refused')),
    position text,                         -- how far the audience is planned; 'end' when it is whole
    reason text,
    decided_by text,                       -- who approved, paused or cancelled
    expires_at timestamptz,                -- from then on it would come too late
    created_at timestamptz not null default clock_timestamp(),
    planned_at timestamptz,
    finished_at timestamptz,
    unique (org_id, key)
);
create index on integration_notifications (org_id, created_at desc);
create index integration_notifications_open on integration_notifications (created_at)
    where state in ('raised', 'sending') and not dry_run;
create index on integration_notifications (record_type, record_id) where record_id is not null;
create index integration_notifications_sealed on integration_notifications (finished_at)
    where state = 'done' and sealed is not null;

create table integration_deliveries (
    id uuid primary key default gen_random_uuid(),
    seq bigint generated always as identity,
    org_id uuid not null references organizations(id),
    notification_id uuid not null references integration_notifications(id) on delete cascade,
    recipient text not null,               -- contact:<id>, or person:<their addresses> where nobody is known
    contact_id uuid,
    channel text not null check (channel in ('slack', 'email', 'sms', 'call')),
    address text,                          -- null: there is none, which is why it is skipped
    data jsonb not null default '{}',      -- the recipient's own variables
    sealed bytea,                          -- those that are secrets, encrypted; wiped with the notification's
    state text not null check (state in ('planned', 'queued', 'sending', 'unknown', 'sent', 'digested',
        'delivered', 'opened', 'bounced', 'undelivered', 'failed', 'suppressed', 'skipped', 'cancelled')),
    reason text,                           -- why not, in words
    code text,                             -- the provider's
    connection_id uuid references integration_connections(id),
    provider_id text,                      -- the provider's id of the message
    earlier_ids text[] not null default '{}',  -- of its messages that were given up, and sent again
    place text,                            -- where it went: the Slack channel of the message
    call_id uuid,                          -- deliveries of one call share their fate
    attempts int not null default 0,
    looks int not null default 0,          -- times that the provider was asked what became of it
    due_at timestamptz not null default now(),
    quiet_at timestamptz,                  -- the recipient's next quiet hours begin
    quiet_for interval,
    digest text,                           -- due deliveries of one digest become one message
    digest_of uuid,
    fallback jsonb not null default '[]',  -- [{channel, address, quiet_at, quiet_for}] to try after a confirmed failure
    segments int,
    cost_micros bigint,                    -- estimate, in millionths of the currency
    lease uuid,
    sending_at timestamptz,
    sent_at timestamptz,
    delivered_at timestamptz,
    opened_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    unique (notification_id, recipient, channel)
);
-- One address gets a notification once, whoever has it.
create unique index integration_deliveries_address on integration_deliveries (notification_id, channel, address);
create index integration_deliveries_due on integration_deliveries (org_id, channel, due_at, seq)
    where state = 'queued' and lease is null;
create index integration_deliveries_leased on integration_deliveries (lease) where lease is not null;
create index integration_deliveries_unknown on integration_deliveries (due_at) where state = 'unknown';
create index integration_deliveries_open on integration_deliveries (notification_id)
    where state in ('queued', 'sending', 'unknown');
create index on integration_deliveries (provider_id) where provider_id is not null;
create index on integration_deliveries (call_id) where state = 'unknown';
create index on integration_deliveries (digest_of) where state = 'digested';
create index on integration_deliveries (org_id, digest) where state = 'queued' and digest is not null;

-- How far a delivery has come: providers' callbacks move it forward only.
create function atlvs_rank(state text) returns int language sql immutable parallel safe as $$
    select case state when 'planned' then 0 when 'queued' then 1 when 'sending' then 2 when 'unknown' then 3
        when 'sent' then 4 when 'digested' then 4
        when 'bounced' then 5 when 'undelivered' then 5 when 'failed' then 5 when 'suppressed' then 5
        when 'delivered' then 6 when 'opened' then 7 else 9 end
$$;

-- What people and providers said about an address: the newest word of a scope counts.
create table integration_consents (
    id bigint generated always as identity primary key,
    org_id uuid not null references organizations(id),
    channel text not null check (channel in ('slack', 'email', 'sms', 'call')),
    address text not null,                 -- lower-case e-mail, E.164 number, Slack user id
    scope text not null default 'all',     -- all, optional, or a category of notifications
    verdict text not null check (verdict in ('allowed', 'refused', 'unreachable')),
    reason text not null,                  -- stop, unsubscribe, bounce, spam report, invalid number, …
    source text not null,                  -- who told us: twilio, sendgrid, slack, page, person
    event_id text not null default gen_random_uuid()::text,  -- told twice is written once
    contact_id uuid,
    occurred_at timestamptz not null default clock_timestamp(),
    recorded_at timestamptz not null default clock_timestamp(),
    unique (org_id, source, event_id)
);
create index integration_consents_newest on integration_consents (org_id, channel, address, scope, occurred_at desc, id desc);

create table integration_preferences (
    org_id uuid not null references organizations(id),
    contact_id uuid not null,
    category text not null,
    channel text not null,
    wanted boolean not null default true,
    digest text check (digest in ('hourly', 'daily')),
    updated_at timestamptz not null default now(),
    primary key (contact_id, category, channel)
);

create table integration_quiet_hours (
    org_id uuid not null references organizations(id),
    contact_id uuid primary key,
    begins time not null,
    ends time not null,
    time_zone text,                        -- null: the contact's, else the organization's
    updated_at timestamptz not null default now()
);

-- An organization's own limits and habits; missing means the shipped ones.
create table integration_notification_settings (
    org_id uuid primary key references organizations(id),
    approve_above_recipients int not null default 500 check (approve_above_recipients >= 0),
    approve_above_cost_cents int not null default 5000 check (approve_above_cost_cents >= 0),
    quiet_begins time not null default '21:00',
    quiet_ends time not null default '08:00',
    region text not null default 'US',     -- for numbers without a country code
    updated_at timestamptz not null default now()
);

-- What the providers' own lists say.
create table slack_users (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    slack_user_id text not null,
    email text,
    name text,
    real_name text,
    time_zone text,
    is_bot boolean not null default false,
    deactivated boolean not null default false,
    livemode boolean,
    raw jsonb not null,
    fetched_at timestamptz not null,
    deleted_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (connection_id, slack_user_id)
);
create index on slack_users (org_id, lower(email));
create table slack_channels (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    slack_channel_id text not null,
    name text,
    is_private boolean not null default false,
    is_archived boolean not null default false,
    is_member boolean not null default false,
    members int,
    livemode boolean,
    raw jsonb not null,
    fetched_at timestamptz not null,
    deleted_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (connection_id, slack_channel_id)
);
create table sendgrid_suppressions (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    suppression_key text not null,         -- list:address
    list text not null,                    -- bounces, blocks, spam_reports, invalid_emails, unsubscribes, group:<id>
    email text not null,
    reason text,
    status text,
    suppressed_at timestamptz,
    livemode boolean,
    raw jsonb not null,
    fetched_at timestamptz not null,
    deleted_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (connection_id, suppression_key)
);
create table sendgrid_templates (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    sendgrid_template_id text not null,
    name text,
    subject text,
    version_id text,
    template_updated_at timestamptz,
    livemode boolean,
    raw jsonb not null,
    fetched_at timestamptz not null,
    deleted_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (connection_id, sendgrid_template_id)
);
create table twilio_messages (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    twilio_sid text not null,
    kind text not null default 'message',  -- message, call
    direction text,
    from_number text,
    to_number text,
    status text not null,
    error_code int,
    segments int,
    price_micros bigint,                   -- what it cost, positive, in millionths of the currency
    price_unit text,
    delivery_id uuid,
    twilio_created_at timestamptz,
    sent_at timestamptz,
    livemode boolean,
    raw jsonb not null,                    -- without the text of the message
    fetched_at timestamptz not null,
    deleted_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (connection_id, twilio_sid)
);
create index on twilio_messages (connection_id, twilio_created_at);

-- What happened before anybody was listening is history.
update integration_outbox set state = 'done', done_at = clock_timestamp() where state = 'waiting';

-- Told once a statement, so that ten thousand rows wake the drainer once.
create function integration_notifications_told() returns trigger language plpgsql as $$
begin
    perform pg_notify('integration_notifications', '');
    return null;
end $$;
create trigger integration_notifications_told after insert on integration_notifications
    for each statement execute function integration_notifications_told();

-- Who wipes a notification's secrets wipes those of its recipients.
create function integration_notifications_wiped() returns trigger language plpgsql as $$
begin
    update integration_deliveries set sealed = null where notification_id = new.id and sealed is not null;
    return null;
end $$;
create trigger integration_notifications_wiped after update of sealed on integration_notifications
    for each row when (old.sealed is not null and new.sealed is null)
    execute function integration_notifications_wiped();

do $$
declare ours text;
begin
    foreach ours in array array['integration_rules', 'integration_notifications', 'integration_deliveries',
        'integration_consents', 'integration_preferences', 'integration_quiet_hours',
        'integration_notification_settings', 'slack_users', 'slack_channels', 'sendgrid_suppressions',
        'sendgrid_templates', 'twilio_messages']
    loop
        perform atlvs_adopt(ours::regclass, 'org_id', true);
    end loop;
end $$;
-- Finding which organization has something to do.
select atlvs_cross('integration_notifications', 'select');
select atlvs_cross('integration_deliveries', 'select');
