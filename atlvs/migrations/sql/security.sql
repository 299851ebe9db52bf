-- What was done to which table of `public`, so that it can be undone exactly.
create table integration_adoptions (
    table_name text primary key,
    security_enabled_here boolean not null,
    adopted_at timestamptz not null default now()
);

-- Row security for one table, so that it can also be undone. `atlvs_others` keeps the platform's own
-- roles working when we are the first to enable row security on their table.
create function atlvs_adopt(target regclass, org_column text, made_by_us boolean) returns void
language plpgsql as $$
declare
    mine text := format('%I = (select atlvs_org())', org_column);
    secured boolean;
begin
    perform atlvs_release(target);  -- first: what an earlier adoption enabled is not the platform's own
    secured := (select relrowsecurity from pg_class where oid = target);
    insert into integration_adoptions (table_name, security_enabled_here)
    select relname, not secured from pg_class where oid = target;
    execute format('create policy atlvs_org on %s to atlvs_app using (%s) with check (%s)', target, mine, mine);
    if not made_by_us then  -- the platform's own policies must not open more to us
        execute format('create policy atlvs_org_only on %s as restrictive to atlvs_app using (%s)', target, mine);
    end if;
    if not secured and not made_by_us then
        execute format('create policy atlvs_others on %s using (current_user not in (''atlvs_app'', ''atlvs_system''))', target);
    end if;
    execute format('alter table %s enable row level security', target);
    execute format('grant select, insert, update, delete on %s to atlvs_app', target);
end $$;

create function atlvs_release(target regclass) returns void language plpgsql as $$
declare adoption integration_adoptions;
begin
    delete from integration_adoptions where table_name = (select relname from pg_class where oid = target)
    returning * into adoption;
    execute format('drop policy if exists atlvs_org on %s', target);
    execute format('drop policy if exists atlvs_org_only on %s', target);
    execute format('drop policy if exists atlvs_others on %s', target);
    execute format('drop policy if exists atlvs_crossing on %s', target);
    execute format('drop trigger if exists atlvs_created on %s', target);
    execute format('drop trigger if exists atlvs_updated on %s', target);
    execute format('revoke all on %s from atlvs_app, atlvs_system', target);
    if adoption.security_enabled_here then
        execute format('alter table %s disable row level security', target);
    end if;
end $$;

-- The few things that cross organizations: finding whose webhook or key it is, claiming work.
create function atlvs_cross(target regclass, privileges text) returns void language plpgsql as $$
begin
    execute format('drop policy if exists atlvs_crossing on %s', target);
    execute format('create policy atlvs_crossing on %s to atlvs_system using (true) with check (true)', target);
    execute format('grant %s on %s to atlvs_system', privileges, target);
end $$;

do $$
declare ours text;
begin
    for ours in select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
        and (relname like 'integration\_%' or relname like 'stripe\_%')
        and exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'org_id' and not attisdropped)
    loop
        perform atlvs_adopt(ours::regclass, 'org_id', not exists (select from integration_found where table_name = ours));
    end loop;
end $$;
select atlvs_cross('integration_connections', 'select');
select atlvs_cross('integration_inbox', 'select, insert, update');
select atlvs_cross('integration_outbox', 'select, update');
select atlvs_cross('integration_api_keys', 'select, update');
select atlvs_cross('integration_syncs', 'select');
