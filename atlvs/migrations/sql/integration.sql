-- What integrations remember. Every table has org_id and row security (see secure.sql).
create table integration_connections (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    provider text not null,
    name text not null,
    account_id text,                       -- the provider's own id of the account, bound at first contact
    livemode boolean,                      -- bound with it: test and live data never share a connection
    sealed bytea,                          -- the block's fields, encrypted, for when Prefect is away
    sealed_at timestamptz,
    enabled boolean not null default true,
    created_at timestamptz not null default now(),  -- domain events are told from here on
    updated_at timestamptz not null default now(),
    unique (provider, name)
);
create unique index on integration_connections (provider, account_id, livemode) where account_id is not null;

create table integration_inbox (
    id bigint generated always as identity primary key,
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    provider text not null,
    event_id text not null,
    type text not null,
    lane text not null,                    -- events of one lane are handled together, in order
    payload jsonb not null,
    occurred_at timestamptz,
    received_at timestamptz not null default clock_timestamp(),
    state text not null default 'waiting' check (state in ('waiting', 'done', 'ignored', 'dead')),
    attempts int not null default 0,
    due_at timestamptz not null default now(),
    lease_until timestamptz,
    error text,
    done_at timestamptz,
    unique (connection_id, event_id)
);
create index integration_inbox_waiting on integration_inbox (due_at, id) where state = 'waiting';
create index integration_inbox_lanes on integration_inbox (connection_id, lane) where state = 'waiting';
create index integration_inbox_received on integration_inbox (received_at);

create table integration_outbox (
    id uuid primary key default gen_random_uuid(),
    seq bigint generated always as identity unique,
    org_id uuid not null,                  -- no reference: an event never fails the platform's own write
    type text not null,
    record_type text not null,
    record_id uuid not null,
    data jsonb not null,
    changed jsonb,                         -- former values of the fields that changed; null for a new record
    source text not null default 'platform',
    occurred_at timestamptz not null default clock_timestamp(),
    state text not null default 'waiting' check (state in ('waiting', 'done', 'dead')),
    attempts int not null default 0,
    due_at timestamptz not null default now(),
    lease_until timestamptz,
    error text,
    done_at timestamptz
);
create index integration_outbox_waiting on integration_outbox (due_at, seq) where state = 'waiting';
create index integration_outbox_record on integration_outbox (record_type, record_id, seq);

create table integration_links (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    external_type text not null,
    external_id text not null,
    record_type text not null,
    record_id uuid not null default gen_random_uuid(),
    created_at timestamptz not null default now(),
    unique (connection_id, external_type, external_id, record_type)
);
create index on integration_links (record_type, record_id);

create table integration_cursors (
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    stream text not null,
    position jsonb not null,
    updated_at timestamptz not null default now(),
    primary key (connection_id, stream)
);

create table integration_syncs (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    kind text not null check (kind in ('full', 'incremental')),
    state text not null default 'running' check (state in ('running', 'done', 'held', 'abandoned')),
    counts jsonb not null default '{}',
    note text,
    started_at timestamptz not null default now(),
    finished_at timestamptz
);
create unique index on integration_syncs (connection_id, kind) where state = 'running';

create table integration_sync_ranges (
    id uuid primary key,
    org_id uuid not null references organizations(id),
    sync_id uuid not null references integration_syncs(id) on delete cascade,
    entity text not null,
    since timestamptz not null,            -- inclusive
    until timestamptz not null             -- exclusive; moves down as pages are stored, newest first
);
create index on integration_sync_ranges (sync_id, entity);

create table integration_sync_missing (
    org_id uuid not null references organizations(id),
    sync_id uuid not null references integration_syncs(id) on delete cascade,
    entity text not null,
    external_id text not null,
    primary key (sync_id, entity, external_id)
);

create table integration_requests (
    id uuid primary key,
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    operation text not null,
    fingerprint text not null,             -- of the parameters: the same key with others is refused
    version int not null default 1,        -- of the key sent to the provider
    state text not null default 'pending' check (state in ('pending', 'done', 'refused')),
    external_id text,
    result bytea,                          -- sealed
    error jsonb,
    lease_until timestamptz,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    finished_at timestamptz
);

create table integration_calls (
    id bigint generated always as identity primary key,
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id),
    provider text not null,
    operation text not null,
    method text not null,
    path text not null,
    request_id uuid,                       -- ours (integration_requests)
    provider_request_id text,
    status int,
    outcome text not null,                 -- ok, unavailable, unauthorized, rejected, unknown
    records int,
    started_at timestamptz not null,
    duration_ms real not null,
    waited_ms real not null default 0
);
create index on integration_calls (connection_id, started_at);

create table integration_api_keys (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    name text not null,
    prefix text not null,                  -- the visible start, to tell keys apart
    hash bytea not null unique,            -- SHA-256 of 256 random bits: nothing to guess, no salt needed
    scopes text[] not null,
    created_at timestamptz not null default now(),
    used_at timestamptz,
    revoked_at timestamptz
);

create table integration_rate_limits (
    org_id uuid not null references organizations(id),
    connection_id uuid not null references integration_connections(id) on delete cascade,
    bucket text not null,
    next_free_at timestamptz not null default now(),  -- the first moment not yet promised to a caller
    primary key (connection_id, bucket)
);

create function integration_inbox_told() returns trigger language plpgsql as $$
begin
    perform pg_notify('integration_inbox', '');
    return null;
end $$;
create trigger integration_inbox_told after insert on integration_inbox
    for each statement execute function integration_inbox_told();
