do $$
declare told record;
begin
    for told in select tgrelid::regclass as target, tgname from pg_trigger
        where tgname in ('atlvs_created', 'atlvs_updated')
        and split_part(encode(tgargs, 'escape'), '\000', 1)
            in ('registrations', 'leads', 'deals', 'tasks', 'events', 'approvals', 'incidents')
    loop
        execute format('drop trigger %I on %s', told.tgname, told.target);
    end loop;
end $$;
delete from integration_adoptions where table_name in ('integration_rules', 'integration_notifications',
    'integration_deliveries', 'integration_consents', 'integration_preferences', 'integration_quiet_hours',
    'integration_notification_settings', 'slack_users', 'slack_channels', 'sendgrid_suppressions',
    'sendgrid_templates', 'twilio_messages');
drop table integration_deliveries, integration_notifications, integration_rules, integration_consents,
    integration_preferences, integration_quiet_hours, integration_notification_settings, slack_users,
    slack_channels, sendgrid_suppressions, sendgrid_templates, twilio_messages;
drop function integration_notifications_told, integration_notifications_wiped, atlvs_rank;
