-- Who outside hears of domain events, and what became of each post.
create table integration_hooks (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    event text not null,                   -- the domain event that it listens to
    target bytea not null,                 -- the address, sealed: whoever knows it can start the Zap
    target_hash bytea not null,            -- SHA-256 of the address in its plainest form: one subscription an event and address
    shown text not null,                   -- what people may see of it: the host
    api_key_id uuid references integration_api_keys(id),
    zap_id text,                           -- the Zap's own id, as far as it was told
    own_writes boolean not null default false, -- also hears what its own key or Zap has written
    secrets bytea not null,                -- Standard Webhooks secrets, sealed, newest first
    rotated_at timestamptz,                -- the older secret signs too for a day after this
    state text not null default 'active' check (state in ('active', 'paused', 'disabled', 'gone', 'ended')),
    reason text,                           -- why it is not active, in words
    failures int not null default 0,       -- in a row
    failing_since timestamptz,
    rests_until timestamptz,               -- the target asked for a rest, or needs one
    last_success_at timestamptz,
    last_failure_at timestamptz,
    farewell_at timestamptz,               -- the Zap is to be paused (reverse unsubscribe), not before this
    farewells int not null default 0,
    lease uuid,                            -- one process posts to it at a time
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (org_id, event, target_hash)
);
create index on integration_hooks (api_key_id);
create index integration_hooks_leaving on integration_hooks (farewell_at) where farewell_at is not null;
create index integration_hooks_leased on integration_hooks (lease) where lease is not null;

-- One row an event and subscription, made in the transaction that takes the event from the outbox.
create table integration_hook_deliveries (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    hook_id uuid not null references integration_hooks(id) on delete cascade,
    event_id uuid not null references integration_outbox(id) on delete cascade,
    seq bigint not null,                   -- the event's place in the outbox: a record's events go in order
    record_id uuid not null,
    state text not null default 'waiting' check (state in ('waiting', 'sending', 'delivered', 'dead', 'skipped')),
    attempts int not null default 0,
    tries int not null default 0,          -- attempts since it was last asked for: a resend begins anew
    due_at timestamptz not null default now(),
    behind boolean not null default false, -- it was put off for one before it, and holds up those after it
    sending_at timestamptz,
    status int,                            -- of the last answer
    reason text,                           -- why it failed last, or why it is not sent
    done_at timestamptz,
    created_at timestamptz not null default now(),
    unique (hook_id, event_id)
);
create index integration_hook_deliveries_open on integration_hook_deliveries (hook_id, seq)
    where state in ('waiting', 'sending');
create index integration_hook_deliveries_held on integration_hook_deliveries (hook_id, record_id)
    where state = 'sending' or state = 'waiting' and (attempts > 0 or behind);
create index integration_hook_deliveries_failed on integration_hook_deliveries (hook_id, seq) where state = 'dead';
create index on integration_hook_deliveries (event_id);

create table integration_hook_attempts (
    id bigint generated always as identity primary key,
    org_id uuid not null references organizations(id),
    delivery_id uuid not null references integration_hook_deliveries(id) on delete cascade,
    attempt int not null,
    outcome text not null check (outcome in ('delivered', 'gone', 'limited', 'refused', 'failed',
        'no_connection', 'no_answer', 'unknown')),
    status int,
    error text,
    response text,                         -- how the answer begins
    started_at timestamptz not null,
    duration_ms real
);
create index on integration_hook_attempts (delivery_id);

-- When the next post to an address may go out, whoever sends it.
create table integration_hook_targets (
    org_id uuid not null references organizations(id),
    target_hash bytea not null,
    next_free_at timestamptz not null,
    primary key (org_id, target_hash)
);

-- Actions that callers gave a key of their own: done once, answered the same again.
create table integration_actions (
    id uuid not null default gen_random_uuid() unique,
    org_id uuid not null references organizations(id),
    key text not null,
    api_key_id uuid,
    action text not null,
    fingerprint text not null,             -- of the input: the same key with other input is refused
    status int,
    result bytea,                          -- sealed
    created_at timestamptz not null default now(),
    primary key (org_id, key)
);

alter table integration_api_keys
    add column signing_secret bytea,       -- sealed; null: requests need no signature
    add column owner_email bytea,          -- sealed; who hears of trouble with what the key has made
    add column next_free_at timestamptz;   -- its limit of requests

-- A function with a subquery is called for each row, one without becomes part of the statement: what renames
-- columns stands apart, for the platforms that need it. `names` maps each of our columns to theirs: what else
-- their rows have is their own, and never leaves them. Replaces the first atlvs_record in outbox.sql.
create function atlvs_renamed(row_now jsonb, names jsonb) returns jsonb language sql immutable as $$
    select jsonb_object_agg(key, row_now->value) from jsonb_each_text(names)
$$;
create or replace function atlvs_record(row_now jsonb, names jsonb) returns jsonb language sql immutable as $$
    select case when names is null then row_now else atlvs_renamed(row_now, names) end
$$;

-- A large row without its large columns, which are null: more than 256 MB, jsonb does not take.
create function atlvs_shortened(row_now json) returns jsonb language sql immutable as $$
    select jsonb_object_agg(key, case when octet_length(value::text) < 1000000 then value::jsonb end) from json_each(row_now)
$$;

-- A row whose columns of type json have escapes that jsonb does not take: with \ufffd for them.
create function atlvs_readable(row_now json) returns json language sql immutable as $$
    select regexp_replace(replace(row_now::text, '\\', '\u005c'), '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g')::json
$$;

-- Replaces the first version in outbox.sql. No column of the platform's is in sight of our names but inside
-- the innermost selects, where a variable comes before a column of its name, and `n.*` is always the row.
-- What is larger than 500 kB may be 256 MB unpacked. A row under a new id is told as a new record.
-- A transaction that has notified cannot be prepared: where that may be wanted, atlvs.notify has to be on.
create or replace function atlvs_emit() returns trigger language plpgsql security definer
set search_path = public, pg_temp set enable_nestloop = off as $$
#variable_conflict use_variable
declare
    kind text := tg_argv[0];
    names jsonb := nullif(tg_argv[1], '')::jsonb;
    since timestamptz := nullif(current_setting('atlvs.events_since', true), '')::timestamptz;
    told_by text := coalesce(nullif(current_setting('atlvs.source', true), ''), 'platform');
    notify text := nullif(current_setting('atlvs.notify', true), '');
    beyond text := '\\u(0000|[dD][89a-fA-F])';
    has_json boolean := exists (select from pg_attribute where attrelid = tg_relid and attnum > 0
        and atttypid in ('json'::regtype, 'json[]'::regtype));
begin
    if tg_op = 'INSERT' then
        insert into integration_outbox (org_id, type, record_type, record_id, data, source)
        select (r->>'org_id')::uuid, e, kind, (r->>'id')::uuid, r - 'raw', told_by
        from (select atlvs_record(told, names) as r from (select case
            when has_json and row_to_json(n.*)::text ~ beyond then atlvs_shortened(atlvs_readable(row_to_json(n.*)))
            when pg_column_size(n.*) > 500000 then atlvs_shortened(row_to_json(n.*))
            else to_jsonb(n.*) end as told from new_rows as n offset 0) as t offset 0) as x
        cross join lateral unnest(atlvs_domain_events(kind, null, r)) as e
        where e is not null and r->>'org_id' is not null and r->>'id' is not null
            and (since is null or coalesce(atlvs_happened(kind, r), now()) >= since);
    else
        insert into integration_outbox (org_id, type, record_type, record_id, data, changed, source)
        select (r->>'org_id')::uuid, e, kind, (r->>'id')::uuid, r - 'raw', case when w is not null then atlvs_changed(w, r) end, told_by
        from (select atlvs_record(told, names) as r from (select case
            when has_json and row_to_json(n.*)::text ~ beyond then atlvs_shortened(atlvs_readable(row_to_json(n.*)))
            when pg_column_size(n.*) > 500000 then atlvs_shortened(row_to_json(n.*))
            else to_jsonb(n.*) end as told from new_rows as n offset 0) as t offset 0) as a
        left join (select atlvs_record(told, names) as w from (select case
            when has_json and row_to_json(o.*)::text ~ beyond then atlvs_shortened(atlvs_readable(row_to_json(o.*)))
            when pg_column_size(o.*) > 500000 then atlvs_shortened(row_to_json(o.*))
            else to_jsonb(o.*) end as told from old_rows as o offset 0) as t offset 0) as b on r->>'id' = w->>'id'
        cross join lateral unnest(atlvs_domain_events(kind, w, r)) as e
        where e is not null and r->>'org_id' is not null and r->>'id' is not null;
    end if;
    if found and coalesce(notify = 'on', current_setting('max_prepared_transactions') = '0') then
        perform pg_notify('integration_outbox', '');
    end if;
    return null;
end $$;

-- Those that wait, in their order, however many are done.
drop index integration_outbox_waiting;
create index integration_outbox_waiting on integration_outbox (org_id, seq) where state = 'waiting';

-- The newest events of a type, as samples; those of a time range, for a replay.
create index integration_outbox_types on integration_outbox (org_id, type, seq desc);

do $$
declare ours text;
begin
    foreach ours in array array['integration_hooks', 'integration_hook_deliveries', 'integration_hook_attempts',
        'integration_hook_targets', 'integration_actions']
    loop
        perform atlvs_adopt(ours::regclass, 'org_id', true);
    end loop;
end $$;
-- Finding which organization's subscriptions have something to do.
select atlvs_cross('integration_hooks', 'select');
select atlvs_cross('integration_hook_deliveries', 'select');
