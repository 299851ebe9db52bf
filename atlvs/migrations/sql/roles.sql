-- Two roles that cannot step around row security. atlvs_app works for one organization at a time;
-- atlvs_system sees the few tables named in crossing.sql and nothing else.
do $$
declare role text;
begin
    foreach role in array array['atlvs_app', 'atlvs_system'] loop
        begin
            execute format('create role %I login noinherit nosuperuser nocreatedb nocreaterole nobypassrls', role);
        exception when duplicate_object or unique_violation then null;  -- roles belong to the cluster
        end;
        -- Since 16 a role's maker is a member who may not become it.
        if not pg_has_role(current_user, role,
            case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end) then
            execute format('grant %I to %I', role, current_user);
        end if;
        execute format('grant usage on schema public to %I', role);
        execute format('grant temporary on database %I to %I', current_database(), role);
    end loop;
end $$;

create schema if not exists atlvs_map;  -- views for tables that an existing platform names differently
grant usage on schema atlvs_map to atlvs_app, atlvs_system;

create function atlvs_org() returns uuid language sql stable parallel safe
    return nullif(current_setting('atlvs.org_id', true), '')::uuid;
comment on function atlvs_org is 'The organization of this transaction; none set means no rows.';

-- Core tables that we made because the platform had none.
create table integration_created (table_name text primary key);
