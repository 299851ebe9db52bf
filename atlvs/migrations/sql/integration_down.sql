do $$
declare adopted text;
begin
    for adopted in select viewname from pg_views where schemaname = 'atlvs_map' loop
        execute format('drop view atlvs_map.%I', adopted);
    end loop;
    for adopted in select table_name from integration_adoptions
        where to_regclass(format('public.%I', table_name)) is not null
    loop
        perform atlvs_release(format('public.%I', adopted)::regclass);
    end loop;
end $$;

-- Tables that the platform had before us lose what we added, and stay.
drop index if exists integration_stripe_payments_unmatched, integration_stripe_payments_source,
    integration_stripe_payments_customer;
do $$
declare added record;
begin
    for added in
        select table_name, attname from integration_found
        join pg_attribute on attrelid = format('public.%I', table_name)::regclass
        where attnum > 0 and not attisdropped and attname <> all(columns)
    loop
        execute format('alter table %I drop column %I', added.table_name, added.attname);
    end loop;
end $$;
do $$
declare mirror text;
begin
    foreach mirror in array array['stripe_customers', 'stripe_payments', 'stripe_charges', 'stripe_refunds',
        'stripe_invoices', 'stripe_invoice_payments', 'stripe_subscriptions', 'stripe_products', 'stripe_prices',
        'stripe_disputes', 'stripe_balance_transactions', 'stripe_payouts', 'stripe_checkout_sessions'] loop
        if not exists (select from integration_found where table_name = mirror) then
            execute format('drop table %I', mirror);
        end if;
    end loop;
end $$;
drop table integration_inbox, integration_outbox, integration_links, integration_cursors, integration_sync_missing,
    integration_sync_ranges, integration_syncs, integration_requests, integration_calls, integration_api_keys,
    integration_rate_limits, integration_connections, integration_adoptions, integration_found;
drop function integration_inbox_told, atlvs_emit, atlvs_tell, atlvs_domain_events, atlvs_happened, atlvs_record,
    atlvs_changed, atlvs_cross, atlvs_adopt, atlvs_release;
