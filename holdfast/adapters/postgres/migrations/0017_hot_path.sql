-- What every request for a run asks for, each in one round trip: the tenant is named and the question asked in one
-- statement, and its plan is kept.

-- A run as it is told, without its input.
create function told_run(p_tenant text, p_run text) returns jsonb language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return (
    select jsonb_build_object(
      'tenant', r.tenant, 'id', r.id, 'goal', r.goal, 'agent', r.agent, 'agent_version', r.agent_version,
      'environment', r.environment, 'mode', r.mode, 'status', r.status, 'reason', r.reason, 'answer', r.answer,
      'outputs', r.outputs, 'cites', r.cites, 'labels', r.labels, 'thread', r.thread, 'parent', r.parent,
      'forked_from', r.forked_from, 'requested_by', r.requested_by, 'spend_usd', r.spend_usd,
      'created_at', r.created_at, 'started_at', r.started_at, 'ended_at', r.ended_at, 'last_seq', h.last_seq)
    from runs r join run_heads h on h.run_id = r.id where r.id = p_run);
end $$;

-- The row and its first event. A second call with the same id answers the same.
create function create_run(p_tenant text, p_run jsonb, p_input jsonb, p_events jsonb) returns jsonb
language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  insert into runs (tenant, id, goal, agent, agent_version, environment, mode, status, labels, thread, parent,
                    forked_from, requested_by, input)
  values (p_tenant, p_run->>'id', p_run->>'goal', p_run->>'agent', (p_run->>'agent_version')::int,
          p_run->>'environment', p_run->>'mode', 'queued', p_run->'labels', p_run->>'thread', p_run->>'parent',
          p_run->>'forked_from', p_run->>'requested_by', p_input)
  on conflict (id) do nothing;
  insert into run_heads (run_id, tenant) values (p_run->>'id', p_tenant) on conflict do nothing;
  perform tell(p_run->>'id', p_events);
  return told_run(p_tenant, p_run->>'id');
end $$;

-- What a later execution of the run starts with, so that a fork, or an execution after it, starts with that too.
create function change_input(p_tenant text, p_run text, p_changes jsonb) returns void language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  update runs set input = input || p_changes where id = p_run;
end $$;

create function read_agent(p_tenant text, p_name text, p_version int) returns jsonb language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return (select a.spec from agents a where a.name = p_name and (p_version is null or a.version = p_version)
          order by a.version desc limit 1);
end $$;

-- Every version that is offered there.
create function offered_tools(p_tenant text, p_environment text) returns setof jsonb language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return query select t.spec from tools t
    where t.withdrawn_at is null and not exists (
      select from tools_disabled d where d.name = t.name and d.environment in ('*', p_environment))
    order by t.name, t.version;
end $$;

create function active_bundle(p_tenant text) returns text language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return (select digest from policy_heads);
end $$;

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
