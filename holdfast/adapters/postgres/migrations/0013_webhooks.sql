-- Webhooks: messages are queued in the transaction that tells the event, so none is lost and none is made up.

create table webhooks (
  id                text primary key,
  tenant            text not null references tenants,
  url               text not null,
  events            text[] not null,
  environments      text[],
  description       text not null default '',
  secret            text not null,
  old_secret        text,
  old_secret_until  timestamptz,
  paused            boolean not null default false,
  version           int not null default 1,
  created_by        text not null default '',
  created_at        timestamptz not null default clock_timestamp()
);
create index webhooks_active on webhooks (tenant) where not paused;

create table webhook_deliveries (
  id          text primary key,
  tenant      text not null,
  webhook_id  text not null references webhooks on delete cascade,
  run_id      text not null references runs on delete cascade,
  seq         bigint not null,
  type        text not null,
  status      text not null default 'pending' check (status in ('pending', 'delivered', 'dead')),
  attempts    int not null default 0,
  last_error  text not null default '',
  created_at  timestamptz not null default clock_timestamp(),
  started_at  timestamptz,
  done_at     timestamptz
) with (fillfactor = 70);
create index webhook_deliveries_by_webhook on webhook_deliveries (webhook_id, created_at desc, id desc);
create index webhook_deliveries_waiting on webhook_deliveries (created_at) where started_at is null;
create index webhook_deliveries_by_run on webhook_deliveries (run_id);

call keep_tenants_apart('webhooks', 'webhook_deliveries');

create function queue_deliveries() returns trigger language plpgsql security definer set search_path = holdfast as $$
begin
  insert into webhook_deliveries (id, tenant, webhook_id, run_id, seq, type)
  select 'msg_' || replace(gen_random_uuid()::text, '-', ''), w.tenant, w.id, n.run_id, n.seq, n.type
  from new_events n
  join webhooks w on w.tenant = n.tenant and not w.paused
    and (n.type = any (w.events) or split_part(n.type, '.', 1) || '.*' = any (w.events) or '*' = any (w.events))
  join runs r on r.id = n.run_id and (w.environments is null or r.environment = any (w.environments));
  return null;
end $$;
create trigger run_events_to_webhooks after insert on run_events
  referencing new table as new_events for each statement execute function queue_deliveries();

-- Across tenants, and for one purpose each ---------------------------------------------------------------------------

create function unstarted_deliveries() returns table (tenant text, id text)
language sql security definer set search_path = holdfast as $$
  select d.tenant, d.id from webhook_deliveries d where d.started_at is null order by d.created_at limit 200
$$;

-- Secrets that are not sealed with the key in force: in clear, from before there was one, or under a retired key.
create function webhooks_to_seal(p_mark text) returns table (tenant text, id text, secret text, old_secret text)
language sql security definer set search_path = holdfast as $$
  select w.tenant, w.id, w.secret, w.old_secret from webhooks w
  where not starts_with(w.secret, p_mark) or (w.old_secret is not null and not starts_with(w.old_secret, p_mark))
  limit 1000
$$;

revoke all on function unstarted_deliveries(), webhooks_to_seal(text) from public;
grant execute on function unstarted_deliveries(), webhooks_to_seal(text) to holdfast_app;
