-- The platform's core tables, as far as integrations touch them. Each statement runs only where the
-- table is missing: an existing platform keeps its own (see atlvs/db/platform.py).
create table organizations (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    slug text unique,
    time_zone text not null default 'UTC',
    currency text not null default 'usd',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table companies (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    name text not null,
    email text,
    phone text,
    website text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table contacts (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    company_id uuid references companies(id) on delete set null,
    first_name text,
    last_name text,
    email text,
    phone text,
    time_zone text,
    locale text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index on contacts (org_id, lower(email));
create table leads (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    contact_id uuid references contacts(id) on delete set null,
    name text not null,
    email text,
    phone text,
    source text,
    status text not null default 'new',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table deals (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    contact_id uuid references contacts(id) on delete set null,
    company_id uuid references companies(id) on delete set null,
    name text not null,
    amount_cents bigint,
    currency text not null default 'usd',
    status text not null default 'open',
    closed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table events (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    name text not null,
    description text,
    location text,
    time_zone text not null default 'UTC',
    starts_at timestamptz,
    ends_at timestamptz,
    status text not null default 'draft',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table registrations (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    event_id uuid not null references events(id) on delete cascade,
    contact_id uuid references contacts(id) on delete set null,
    status text not null default 'pending',
    payment_status text not null default 'unpaid',
    amount_cents bigint not null default 0,
    currency text not null default 'usd',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table invoices (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    contact_id uuid references contacts(id) on delete set null,
    company_id uuid references companies(id) on delete set null,
    number text,
    status text not null default 'draft',
    amount_cents bigint not null default 0,
    amount_paid_cents bigint not null default 0,
    currency text not null default 'usd',
    due_on date,
    paid_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table invoice_lines (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    invoice_id uuid not null references invoices(id) on delete cascade,
    description text not null,
    quantity numeric not null default 1,
    amount_cents bigint not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table payments (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    invoice_id uuid references invoices(id) on delete set null,
    registration_id uuid references registrations(id) on delete set null,
    contact_id uuid references contacts(id) on delete set null,
    amount_cents bigint not null,
    refunded_cents bigint not null default 0,
    currency text not null,
    status text not null default 'pending',
    method text,
    paid_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table gl_accounts (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    code text,
    name text not null,
    type text not null,
    currency text not null default 'usd',
    active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table expenses (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    company_id uuid references companies(id) on delete set null,
    gl_account_id uuid references gl_accounts(id) on delete set null,
    event_id uuid references events(id) on delete set null,
    description text,
    amount_cents bigint not null,
    currency text not null default 'usd',
    status text not null default 'open',
    spent_on date,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table tasks (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    event_id uuid references events(id) on delete set null,
    assignee_id uuid references contacts(id) on delete set null,
    title text not null,
    description text,
    status text not null default 'open',
    due_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table approvals (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    approver_id uuid references contacts(id) on delete set null,
    subject text not null,
    status text not null default 'pending',
    due_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table budgets (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    event_id uuid references events(id) on delete cascade,
    name text not null,
    amount_cents bigint not null,
    spent_cents bigint not null default 0,
    currency text not null default 'usd',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table incidents (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    event_id uuid references events(id) on delete set null,
    title text not null,
    description text,
    severity text not null default 'low',
    status text not null default 'open',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table notes (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    record_type text not null,
    record_id uuid not null,
    body text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table tags (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    name text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (org_id, name)
);
create table taggings (
    id uuid primary key default gen_random_uuid(),
    org_id uuid not null references organizations(id) on delete cascade,
    tag_id uuid not null references tags(id) on delete cascade,
    record_type text not null,
    record_id uuid not null,
    created_at timestamptz not null default now(),
    unique (tag_id, record_type, record_id)
);
