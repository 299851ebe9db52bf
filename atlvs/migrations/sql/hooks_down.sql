delete from integration_adoptions where table_name in ('integration_hooks', 'integration_hook_deliveries',
    'integration_hook_attempts', 'integration_hook_targets', 'integration_actions');
drop table integration_hook_attempts, integration_hook_deliveries, integration_hook_targets, integration_hooks,
    integration_actions;
alter table integration_api_keys drop column signing_secret, drop column owner_email, drop column next_free_at;
drop index integration_outbox_types;
drop index integration_outbox_waiting;
create index integration_outbox_waiting on integration_outbox (due_at, seq) where state = 'waiting';
drop function atlvs_renamed, atlvs_shortened, atlvs_readable;
