do $$
declare adopted text;
begin
    for adopted in select table_name from integration_adoptions loop
        perform atlvs_release(adopted::regclass);
    end loop;
end $$;
drop table stripe_customers, stripe_payments, stripe_charges, stripe_refunds, stripe_invoices, stripe_invoice_payments,
    stripe_subscriptions, stripe_products, stripe_prices, stripe_disputes, stripe_balance_transactions,
    stripe_payouts, stripe_checkout_sessions;
drop table integration_inbox, integration_outbox, integration_links, integration_cursors, integration_sync_missing,
    integration_sync_ranges, integration_syncs, integration_requests, integration_calls, integration_api_keys,
    integration_rate_limits, integration_connections, integration_adoptions;
drop function integration_inbox_told, atlvs_emit, atlvs_tell, atlvs_domain_events, atlvs_happened, atlvs_record,
    atlvs_changed, atlvs_cross, atlvs_adopt, atlvs_release;
