-- Roles belong to the cluster, and other databases may use them: they stay.
drop function atlvs_org();
drop table integration_created;
drop schema atlvs_map cascade;
revoke usage on schema public from atlvs_app, atlvs_system;
do $$
begin
    execute format('revoke temporary on database %I from atlvs_app, atlvs_system', current_database());
end $$;
