-- Row changes become domain events in the same transaction, whoever made the change.
-- Settings of a transaction: atlvs.source (who changed it), atlvs.events_since (a new record that
-- happened earlier is history that a first sync brings in, and is not told).

-- Which events a change means. `was` is null for a new record. Nulls in the result mean nothing.
create function atlvs_domain_events(record_type text, was jsonb, row_now jsonb) returns text[]
language sql immutable as $$
    select case record_type
    when 'contacts' then array[
        case when was is null then 'contact.created'
             when was - 'updated_at' <> row_now - 'updated_at' then 'contact.updated' end]
    when 'invoices' then array[
        case when was is null then 'invoice.created' end,
        case when row_now->>'status' = 'paid' and was->>'status' is distinct from 'paid' then 'invoice.paid' end]
    when 'payments' then array[
        case when was is null then 'payment.created' end,
        case when row_now->>'status' in ('completed', 'refunded', 'partially_refunded')
              and coalesce(was->>'status', 'pending') in ('pending', 'failed') then 'payment.received' end,
        case when (row_now->>'refunded_cents')::numeric > coalesce((was->>'refunded_cents')::numeric, 0) then 'payment.refunded' end]
    when 'stripe_payments' then array[
        case when row_now->>'status' = 'requires_payment_method' and row_now->>'failure_code' is not null
              and (was->>'failure_code', was->>'failed_charge_id') is distinct from (row_now->>'failure_code', row_now->>'failed_charge_id')
             then 'payment.failed' end]
    when 'stripe_invoices' then array[
        case when row_now->>'status' = 'paid' and was->>'status' is distinct from 'paid'
              and row_now->>'invoice_id' is null then 'invoice.paid' end,
        case when row_now->>'status' = 'open' and coalesce((row_now->>'attempt_count')::int, 0) > coalesce((was->>'attempt_count')::int, 0)
             then 'invoice.payment_failed' end]
    when 'stripe_subscriptions' then array[
        case when was is null then 'subscription.created' end,
        case when row_now->>'status' = 'canceled' and was->>'status' is distinct from 'canceled' then 'subscription.deleted'
             when was - '{updated_at,fetched_at}'::text[] <> row_now - '{updated_at,fetched_at}'::text[] then 'subscription.updated' end]
    when 'stripe_checkout_sessions' then array[
        case when row_now->>'status' = 'complete' and row_now->>'payment_status' in ('paid', 'no_payment_required')
              and (was->>'status' is distinct from 'complete' or was->>'payment_status' = 'unpaid') then 'checkout.completed' end]
    when 'stripe_disputes' then array[
        case when was is null then 'dispute.opened' end,
        case when row_now->>'status' in ('won', 'lost', 'warning_closed') and was->>'status' is distinct from row_now->>'status'
             then 'dispute.closed' end]
    end
$$;

-- When a new record happened in the world; null where the row's arrival is the happening.
create function atlvs_happened(record_type text, row_now jsonb) returns timestamptz
language sql stable as $$
    select case record_type
        when 'payments' then (row_now->>'paid_at')::timestamptz
        when 'stripe_invoices' then coalesce(row_now->>'paid_at', row_now->>'stripe_created_at')::timestamptz
        when 'stripe_subscriptions' then coalesce(row_now->>'canceled_at', row_now->>'stripe_created_at')::timestamptz
        else (row_now->>'stripe_created_at')::timestamptz
    end
$$;

-- The row in our words, and theirs where we have none: `names` maps ours to theirs.
create function atlvs_record(row_now jsonb, names jsonb) returns jsonb language sql immutable as $$
    select case when names is null then row_now
    else row_now - array(select value from jsonb_each_text(names)) || coalesce((select jsonb_object_agg(key, row_now->value) from jsonb_each_text(names)), '{}') end
$$;

create function atlvs_changed(was jsonb, row_now jsonb) returns jsonb language sql immutable as $$
    select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(was - '{raw,updated_at,fetched_at}'::text[])
    where value is distinct from row_now->key
$$;

-- A row without an organization is the platform's own affair, and must not fail for us.
-- Transition tables have no statistics: without the setting, thousands of rows join row by row.
create function atlvs_emit() returns trigger language plpgsql security definer
set search_path = public, pg_temp set enable_nestloop = off as $$
declare
    kind text := tg_argv[0];
    names jsonb := nullif(tg_argv[1], '')::jsonb;
    since timestamptz := nullif(current_setting('atlvs.events_since', true), '')::timestamptz;
    told_by text := coalesce(nullif(current_setting('atlvs.source', true), ''), 'platform');
begin
    if tg_op = 'INSERT' then
        insert into integration_outbox (org_id, type, record_type, record_id, data, source)
        select (r->>'org_id')::uuid, e, kind, (r->>'id')::uuid, r - 'raw', told_by
        from new_rows n
        cross join lateral (select atlvs_record(to_jsonb(n), names) offset 0) as x(r)
        cross join lateral unnest(atlvs_domain_events(kind, null, r)) as e
        where e is not null and r->>'org_id' is not null and (since is null or coalesce(atlvs_happened(kind, r), now()) >= since);
    else
        insert into integration_outbox (org_id, type, record_type, record_id, data, changed, source)
        select (r->>'org_id')::uuid, e, kind, (r->>'id')::uuid, r - 'raw', atlvs_changed(w, r), told_by
        from (select atlvs_record(to_jsonb(n), names) as r from new_rows n offset 0) as a
        join (select atlvs_record(to_jsonb(o), names) as w from old_rows o offset 0) as b on r->>'id' = w->>'id'
        cross join lateral unnest(atlvs_domain_events(kind, w, r)) as e
        where e is not null and r->>'org_id' is not null;
    end if;
    if found then
        perform pg_notify('integration_outbox', '');
    end if;
    return null;
end $$;

create function atlvs_tell(target regclass, record_type text, names text default '') returns void
language plpgsql as $$
begin
    execute format('drop trigger if exists atlvs_created on %s', target);
    execute format('drop trigger if exists atlvs_updated on %s', target);
    execute format('create trigger atlvs_created after insert on %s referencing new table as new_rows
        for each statement execute function atlvs_emit(%L, %L)', target, record_type, names);
    execute format('create trigger atlvs_updated after update on %s referencing old table as old_rows new table as new_rows
        for each statement execute function atlvs_emit(%L, %L)', target, record_type, names);
end $$;

select atlvs_tell(name::regclass, name) from unnest(array['stripe_payments', 'stripe_invoices',
    'stripe_subscriptions', 'stripe_checkout_sessions', 'stripe_disputes']) as name;
