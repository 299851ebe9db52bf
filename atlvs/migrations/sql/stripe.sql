-- Mirrors of a Stripe account. Status words and lower-case currencies are Stripe's own; amounts are
-- in the currency's minor unit. The first two may exist in the seed's shape already.
create table integration_found (table_name text primary key, columns text[] not null);
insert into integration_found
select table_name, array_agg(column_name::text) from information_schema.columns
where table_schema = 'public' and table_name in ('stripe_customers', 'stripe_payments') group by table_name;
create table if not exists stripe_customers (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    contact_id uuid references contacts(id) on delete set null,
    company_id uuid references companies(id) on delete set null,
    stripe_customer_id text not null unique,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table if not exists stripe_payments (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id),
    stripe_payment_intent_id text not null unique,
    amount_cents bigint not null,
    currency text not null,
    status text not null,
    source_type text,
    source_id uuid,
    created_at timestamptz default now()
);
alter table stripe_payments alter amount_cents type bigint, alter source_type drop not null, alter source_id drop not null;

create table stripe_charges (stripe_charge_id text not null unique);
create table stripe_refunds (stripe_refund_id text not null unique);
create table stripe_invoices (stripe_invoice_id text not null unique);
create table stripe_invoice_payments (stripe_invoice_payment_id text not null unique);
create table stripe_subscriptions (stripe_subscription_id text not null unique);
create table stripe_products (stripe_product_id text not null unique);
create table stripe_prices (stripe_price_id text not null unique);
create table stripe_disputes (stripe_dispute_id text not null unique);
create table stripe_balance_transactions (stripe_balance_transaction_id text not null unique);
create table stripe_payouts (stripe_payout_id text not null unique);
create table stripe_checkout_sessions (stripe_checkout_session_id text not null unique);

do $$
declare mirror text;
begin
    foreach mirror in array array['stripe_customers', 'stripe_payments', 'stripe_charges', 'stripe_refunds',
        'stripe_invoices', 'stripe_invoice_payments', 'stripe_subscriptions', 'stripe_products', 'stripe_prices',
        'stripe_disputes', 'stripe_balance_transactions', 'stripe_payouts', 'stripe_checkout_sessions'] loop
        execute format('alter table %I
            add column if not exists id uuid primary key default gen_random_uuid(),
            add column if not exists org_id uuid not null references organizations(id),
            add column connection_id uuid references integration_connections(id),
            add column livemode boolean,
            add column stripe_created_at timestamptz,
            add column raw jsonb,
            add column fetched_at timestamptz,
            add column deleted_at timestamptz,
            add column if not exists created_at timestamptz default now(),
            add column if not exists updated_at timestamptz default now()', mirror);
        execute format('create index on %I (connection_id, stripe_created_at)', mirror);
    end loop;
end $$;

alter table stripe_customers
    add column email text,
    add column name text,
    add column phone text,
    add column delinquent boolean;
create index on stripe_customers (org_id, lower(email));
alter table stripe_payments
    add column amount_received_cents bigint,
    add column amount_refunded_cents bigint,
    add column stripe_customer_id text,
    add column stripe_charge_id text,
    add column description text,
    add column failure_code text,
    add column failed_charge_id text,
    add column paid_at timestamptz;
create index integration_stripe_payments_unmatched on stripe_payments (org_id) where source_id is null;
create index integration_stripe_payments_source on stripe_payments (source_id);
create index integration_stripe_payments_customer on stripe_payments (stripe_customer_id);
alter table stripe_charges
    add column stripe_payment_intent_id text,
    add column stripe_customer_id text,
    add column amount_cents bigint not null,
    add column amount_refunded_cents bigint not null,
    add column currency text not null,
    add column status text not null,
    add column refunded boolean not null,
    add column disputed boolean not null,
    add column stripe_balance_transaction_id text,
    add column failure_code text;
create index on stripe_charges (stripe_payment_intent_id);
alter table stripe_refunds
    add column stripe_payment_intent_id text,
    add column stripe_charge_id text,
    add column amount_cents bigint not null,
    add column currency text not null,
    add column status text,
    add column reason text,
    add column failure_reason text;
create index on stripe_refunds (stripe_payment_intent_id);
alter table stripe_invoices
    add column invoice_id uuid references invoices(id) on delete set null,
    add column stripe_customer_id text,
    add column stripe_subscription_id text,
    add column number text,
    add column status text,
    add column amount_due_cents bigint not null,
    add column amount_paid_cents bigint not null,
    add column amount_remaining_cents bigint not null,
    add column total_cents bigint not null,
    add column currency text not null,
    add column attempt_count int,
    add column next_payment_attempt_at timestamptz,
    add column due_at timestamptz,
    add column paid_at timestamptz,
    add column hosted_invoice_url text;
create index on stripe_invoices (stripe_subscription_id);
create index on stripe_invoices (invoice_id);
alter table stripe_invoice_payments
    add column stripe_invoice_id text,
    add column stripe_payment_intent_id text,
    add column stripe_charge_id text,
    add column amount_paid_cents bigint,
    add column currency text,
    add column status text;
create index on stripe_invoice_payments (stripe_payment_intent_id);
create index on stripe_invoice_payments (stripe_invoice_id);
alter table stripe_subscriptions
    add column stripe_customer_id text,
    add column status text not null,
    add column collection_method text,
    add column currency text,
    add column cancel_at_period_end boolean,
    add column current_period_start timestamptz,
    add column current_period_end timestamptz,
    add column canceled_at timestamptz,
    add column ended_at timestamptz,
    add column latest_invoice_id text;
alter table stripe_products
    add column name text,
    add column active boolean,
    add column description text;
alter table stripe_prices
    add column stripe_product_id text,
    add column active boolean,
    add column type text,
    add column currency text,
    add column unit_amount_cents bigint,
    add column recurring_interval text;
alter table stripe_disputes
    add column stripe_charge_id text,
    add column stripe_payment_intent_id text,
    add column amount_cents bigint not null,
    add column currency text not null,
    add column status text not null,
    add column reason text;
alter table stripe_balance_transactions
    add column source_id text,
    add column type text not null,
    add column amount_cents bigint not null,
    add column fee_cents bigint not null,
    add column net_cents bigint not null,
    add column currency text not null,
    add column status text,
    add column available_at timestamptz;
alter table stripe_payouts
    add column amount_cents bigint not null,
    add column currency text not null,
    add column status text not null,
    add column arrives_at timestamptz,
    add column failure_code text;
alter table stripe_checkout_sessions
    add column stripe_customer_id text,
    add column stripe_payment_intent_id text,
    add column stripe_subscription_id text,
    add column client_reference_id text,
    add column mode text,
    add column status text,
    add column payment_status text,
    add column amount_total_cents bigint,
    add column currency text;
create index on stripe_checkout_sessions (stripe_payment_intent_id);
create index on stripe_checkout_sessions (stripe_subscription_id);
