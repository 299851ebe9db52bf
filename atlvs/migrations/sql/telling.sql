-- The other core tables tell as well, whatever types the platform's own columns have: nothing here may fail
-- its write. Replaces the first version in outbox.sql.
create or replace function atlvs_domain_events(record_type text, was jsonb, row_now jsonb) returns text[]
language sql immutable as $$
    select case record_type
    when 'contacts' then array[
        case when was is null then 'contact.created'
             when was - 'updated_at' <> row_now - 'updated_at' then 'contact.updated' end]
    when 'registrations' then array[
        case when was is null then 'registration.created' end,
        case when row_now->>'status' = 'confirmed' and was->>'status' is distinct from 'confirmed' then 'registration.confirmed' end,
        case when row_now->>'status' in ('cancelled', 'canceled') and coalesce(was->>'status', '') not in ('cancelled', 'canceled')
             then 'registration.cancelled' end]
    when 'leads' then array[
        case when was is null then 'lead.created'
             when row_now->>'status' is distinct from was->>'status' then 'lead.status_changed' end]
    when 'deals' then array[
        case when was is null then 'deal.created' end,
        case when row_now->>'status' = 'won' and was->>'status' is distinct from 'won' then 'deal.won' end,
        case when row_now->>'status' = 'lost' and was->>'status' is distinct from 'lost' then 'deal.lost' end]
    when 'tasks' then array[
        case when was is null then 'task.created' end,
        case when row_now->>'assignee_id' is not null and was->>'assignee_id' is distinct from row_now->>'assignee_id'
             and coalesce(row_now->>'status', '') not in ('completed', 'done', 'cancelled') then 'task.assigned' end,
        case when row_now->>'status' in ('completed', 'done') and coalesce(was->>'status', '') not in ('completed', 'done')
             then 'task.completed' end]
    when 'events' then array[
        case when was is null then 'event.created' end,
        case when row_now->>'status' = 'published' and was->>'status' is distinct from 'published' then 'event.published' end]
    when 'approvals' then array[
        case when row_now->>'status' = 'pending' and was->>'status' is distinct from 'pending' then 'approval.requested'
             when was->>'status' = 'pending' and row_now->>'status' <> 'pending' then 'approval.decided' end]
    when 'incidents' then array[
        case when was is null then 'incident.reported'
             when (was->>'status', was->>'severity') is distinct from (row_now->>'status', row_now->>'severity') then 'incident.updated' end]
    when 'invoices' then array[
        case when was is null then 'invoice.created' end,
        case when row_now->>'status' = 'paid' and was->>'status' is distinct from 'paid' then 'invoice.paid' end]
    when 'payments' then array[
        case when was is null then 'payment.created' end,
        case when row_now->>'status' in ('completed', 'refunded', 'partially_refunded')
              and coalesce(was->>'status', 'pending') in ('pending', 'failed') then 'payment.received' end,
        case when case when jsonb_typeof(row_now->'refunded_cents') = 'number' then (row_now->>'refunded_cents')::numeric end
              > case when jsonb_typeof(was->'refunded_cents') = 'number' then (was->>'refunded_cents')::numeric else 0 end then 'payment.refunded' end]
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
