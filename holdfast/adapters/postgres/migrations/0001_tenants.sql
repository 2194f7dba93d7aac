-- The ground of every table: roles, tenants, and the rule that keeps them apart. Row-level security holds for every role
-- that does not own the tables.

do $$
begin
  if not exists (select from pg_roles where rolname = 'holdfast_app') then create role holdfast_app nologin; end if;
  if not exists (select from pg_roles where rolname = 'holdfast_tools') then create role holdfast_tools nologin; end if;
end $$;

create extension if not exists vector with schema public;
grant usage on schema holdfast to holdfast_app, holdfast_tools;

create function current_tenant() returns text language sql stable
  return nullif(current_setting('holdfast.tenant', true), '');

-- Gives a table the tenant rule. The owner is not held to it: it migrates, and the functions that run with its rights look
-- across tenants, each for one purpose. No process serves as the owner.
create procedure keep_tenants_apart(variadic tables regclass[]) language plpgsql as $$
declare
  tbl regclass;
begin
  foreach tbl in array tables loop
    execute format('alter table %s enable row level security', tbl);
    execute format('create policy tenant_rows on %s using (tenant = current_tenant()) with check (tenant = current_tenant())', tbl);
    execute format('grant select, insert, update, delete on %s to holdfast_app', tbl);
  end loop;
end $$;

create table tenants (
  tenant      text primary key,
  title       text not null default '',
  settings    jsonb not null default '{}',
  created_at  timestamptz not null default now()
);
insert into tenants (tenant, title) values ('default', 'Default tenant');

call keep_tenants_apart('tenants');

create function all_tenants() returns setof tenants
language sql security definer set search_path = holdfast as $$ select * from tenants order by tenant $$;
revoke all on function all_tenants() from public;
grant execute on function all_tenants() to holdfast_app;

create function newest_migration() returns text
language sql security definer set search_path = holdfast as $$ select max(name) from migrations $$;

-- Requests that are sent twice ---------------------------------------------------------------------------------------

create table idempotency_keys (
  tenant           text not null,
  route            text not null,
  key              text not null,
  request_digest   text not null,
  response_status  int,
  response         jsonb,
  created_at       timestamptz not null default now(),
  lease_until      timestamptz not null default clock_timestamp(),
  primary key (tenant, route, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);

call keep_tenants_apart('idempotency_keys');

-- The first who comes with a key does the work; so does whoever comes after the holder's lease is over.
create function claim_key(
  p_tenant text, p_route text, p_key text, p_digest text, p_lease_s double precision,
  out outcome text, out since timestamptz, out status int, out response jsonb
) language plpgsql as $$
declare
  k idempotency_keys;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  loop
    insert into idempotency_keys as x (tenant, route, key, request_digest, lease_until)
    values (p_tenant, p_route, p_key, p_digest, clock_timestamp() + make_interval(secs => p_lease_s))
    on conflict (tenant, route, key) do update set lease_until = excluded.lease_until
    where x.request_digest = excluded.request_digest and x.response_status is null
      and x.lease_until < clock_timestamp()
    returning created_at into since;
    if found then outcome := 'new'; return; end if;
    select * into k from idempotency_keys x where x.route = p_route and x.key = p_key;
    exit when found;  -- else its holder gave it up between the two statements
  end loop;
  since := k.created_at; status := k.response_status; response := k.response;
  outcome := case when k.request_digest <> p_digest then 'other'
                  when k.response_status is null then 'in_flight' else 'again' end;
end $$;

create function settle_key(p_tenant text, p_route text, p_key text, p_status int, p_response jsonb) returns void
language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  update idempotency_keys set response_status = p_status, response = p_response
  where route = p_route and key = p_key;
end $$;

create function prune_idempotency_keys(older_than interval) returns bigint
language sql security definer set search_path = holdfast as $$
  with gone as (delete from idempotency_keys where created_at < clock_timestamp() - older_than returning 1)
  select count(*) from gone
$$;
revoke all on function prune_idempotency_keys(interval) from public;
grant execute on function prune_idempotency_keys(interval) to holdfast_app;
