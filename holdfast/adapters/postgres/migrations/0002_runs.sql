-- Runs, their story and what they leave. The functions here and of the ledger are the hot path: each is one round trip
-- and one transaction, runs with the caller's rights, and may be called again without doing anything twice.

create table agents (
  tenant      text not null references tenants,
  name        text not null,
  version     int not null,
  spec        jsonb not null,
  author      text not null,
  created_at  timestamptz not null default now(),
  primary key (tenant, name, version)
);

create table runs (
  tenant        text not null references tenants,
  id            text primary key,
  goal          text not null,
  agent         text not null,
  agent_version int not null,
  environment   text not null,
  mode          text not null,
  status        text not null,
  reason        text not null default '',
  answer        text not null default '',
  outputs       jsonb not null default '{}',
  cites         jsonb not null default '[]',
  labels        jsonb not null default '{}',
  thread        text,
  parent        text,
  forked_from   text,
  requested_by  text not null default '',
  spend_usd     numeric(14, 6) not null default 0,
  input         jsonb not null,
  created_at    timestamptz not null default clock_timestamp(),
  started_at    timestamptz,
  ended_at      timestamptz
) with (fillfactor = 80);
create index runs_by_time on runs (tenant, created_at desc, id desc);
create index runs_by_status on runs (tenant, status, created_at desc);
create index runs_unstarted on runs (created_at) where status = 'queued';
create index runs_by_label on runs using gin (labels jsonb_path_ops);
create index runs_by_thread on runs (tenant, thread, created_at) where thread is not null;
create index runs_by_end on runs (ended_at) where ended_at is not null;
-- Who works for a run is asked when its workflow was lost, and must not take a look at every run there is.
create index runs_by_parent on runs (parent) where parent is not null;

-- Apart from `runs`, because it is written with every batch of events and should stay narrow.
create table run_heads (
  run_id    text primary key references runs on delete cascade,
  tenant    text not null,
  last_seq  bigint not null default 0
) with (fillfactor = 50);

create table run_events (
  run_id   text not null references runs on delete cascade,
  seq      bigint not null,
  tenant   text not null,
  key      text not null,
  type     text not null,
  step_id  text,
  data     jsonb not null default '{}',
  at       timestamptz not null default clock_timestamp(),
  primary key (run_id, seq),
  unique (run_id, key)
);
create index run_events_by_tenant on run_events (tenant, at);

create table artifacts (
  tenant        text not null,
  digest        text not null,
  run_id        text not null references runs on delete cascade,
  content_type  text not null,
  size          bigint not null,
  data          bytea not null,
  created_at    timestamptz not null default now(),
  primary key (run_id, digest)
);
create index artifacts_by_digest on artifacts (tenant, digest);
alter table artifacts alter column data set storage external;

call keep_tenants_apart('agents', 'runs', 'run_heads', 'run_events', 'artifacts');

-- The tools worker touches the ledger, the story and artifacts, and nothing else.
grant select on run_heads, runs to holdfast_tools;
grant select, insert on run_events, artifacts to holdfast_tools;
grant update (last_seq) on run_heads to holdfast_tools;

-- The story ----------------------------------------------------------------------------------------------------------

-- Appends those of the events whose key is new, numbers them without a gap, wakes the listeners.
create function tell(p_run text, p_events jsonb) returns bigint language plpgsql as $$
declare
  head bigint;
  told int;
  owner text;
begin
  select last_seq, tenant into head, owner from run_heads where run_id = p_run for update;
  if not found then
    raise exception 'run % does not exist in this tenant', p_run using errcode = 'HF404';
  end if;
  insert into run_events (run_id, seq, tenant, key, type, step_id, data)
  select p_run, head + row_number() over (order by e.ord), owner,
         e.event->>'key', e.event->>'type', e.event->>'step_id', coalesce(e.event->'data', '{}')
  from jsonb_array_elements(p_events) with ordinality as e (event, ord)
  where not exists (select from run_events x where x.run_id = p_run and x.key = e.event->>'key');
  get diagnostics told = row_count;
  if told > 0 then
    head := head + told;
    update run_heads set last_seq = head where run_id = p_run;
    perform pg_notify('holdfast_events', owner || ' ' || p_run || ' ' || head);
  end if;
  return head;
end $$;

-- A page of a run's story in one round trip: what every open stream asks for, at every event.
create function run_story(p_tenant text, p_run text, p_after bigint, p_limit int)
returns table (tenant text, run_id text, seq bigint, type text, step_id text, data jsonb, at timestamptz)
language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return query select e.tenant, e.run_id, e.seq, e.type, e.step_id, e.data, e.at
    from run_events e where e.run_id = p_run and e.seq > p_after order by e.seq limit p_limit;
end $$;

-- A run --------------------------------------------------------------------------------------------------------------

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

create function has_ended(p_run text) returns boolean language sql stable as $$
  select exists (
    select from runs where id = p_run and status in ('succeeded', 'failed', 'cancelled', 'timed_out', 'rejected'))
$$;

create function is_news(p_run text, p_events jsonb) returns boolean language sql stable as $$
  select exists (
    select from jsonb_array_elements(p_events) e
    where not exists (select from run_events x where x.run_id = p_run and x.key = e->>'key'))
$$;

-- Nothing follows the end of a story. A workflow that was set back in Temporal, or whose last task was lost, goes over what it
-- told; what is news then is told once the run has been taken up again, and so is that it waits.
create function refuse_behind_the_end(p_run text, p_events jsonb, p_waits boolean default false) returns void
language plpgsql as $$
begin
  if has_ended(p_run) and (p_waits or is_news(p_run, p_events)) then
    raise exception 'run % has ended', p_run using errcode = 'HF410';
  end if;
end $$;

-- Whoever writes to several rows of a run locks them in one order: the run, its effects, its questions, and its head last of
-- all, with what is told. Not the keys: whatever else is written of the run asks only that they stay.
create function hold_run(p_run text) returns void language plpgsql as $$
begin
  perform from runs where id = p_run for no key update;
  perform from effects where run_id = p_run and status = 'dispatched' order by action_digest for no key update;
  perform from approvals where run_id = p_run and status = 'pending' order by id for no key update;
end $$;

-- `p_behind` says what becomes of news behind the end: it is refused, dropped, or takes the run up again. What was told
-- before changes nothing there.
create function record_run(
  p_tenant text, p_run text, p_patch jsonb, p_events jsonb, p_behind text default 'refused'
) returns bigint language plpgsql as $$
declare
  ends boolean := p_patch->>'status' in ('succeeded', 'failed', 'cancelled', 'timed_out', 'rejected');
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  if ends then
    perform hold_run(p_run);
  end if;
  if has_ended(p_run) then
    if p_behind = 'refused' then
      perform refuse_behind_the_end(p_run, p_events, p_patch->>'status' in ('paused', 'input_required'));
    end if;
    if p_behind = 'dropped' or not is_news(p_run, p_events) then
      return (select last_seq from run_heads where run_id = p_run);
    end if;
  end if;
  if p_patch is not null then
    update runs set
      status     = coalesce(p_patch->>'status', status),
      reason     = coalesce(p_patch->>'reason', reason),
      answer     = coalesce(p_patch->>'answer', answer),
      outputs    = coalesce(nullif(p_patch->'outputs', 'null'), outputs),
      cites      = coalesce(nullif(p_patch->'cites', 'null'), cites),
      spend_usd  = coalesce((p_patch->>'spend_usd')::numeric, spend_usd),
      started_at = coalesce(started_at, case when p_patch->>'status' = 'running' then clock_timestamp() end),
      ended_at   = case when ends then clock_timestamp() when p_patch->>'status' is not null then null else ended_at end
    where id = p_run;
    if not found then
      raise exception 'run % does not exist in this tenant', p_run using errcode = 'HF404';
    end if;
  end if;
  if ends then
    return tell(p_run, doubt_effects(p_run) || withdraw_questions(p_run) || p_events);
  end if;
  return tell(p_run, p_events);
end $$;

-- The end of a run whose workflow is over without having said so, as when somebody terminated it. Nothing is written
-- where the run's story has gone on since it was looked at.
create function end_lost_run(p_tenant text, p_run text, p_seq bigint, p_patch jsonb, p_events jsonb) returns boolean
language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  perform hold_run(p_run);
  perform from run_heads where run_id = p_run and last_seq = p_seq for update;
  if not found then
    return false;
  end if;
  if has_ended(p_run) then
    return false;
  end if;
  perform record_run(p_tenant, p_run, p_patch, p_events);
  return true;
end $$;

-- A run that goes on after its end is under way from the moment its new execution is accepted, and not only once a worker
-- has begun it. Nothing is written where that execution has spoken for itself already.
create function take_up_run(p_tenant text, p_run text, p_seq bigint, p_patch jsonb, p_events jsonb) returns void
language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  perform hold_run(p_run);
  perform from run_heads where run_id = p_run and last_seq = p_seq for update;
  if found then
    perform record_run(p_tenant, p_run, p_patch, p_events, 'told');
  end if;
end $$;

-- Whether the run is under way, and stays so until this transaction is over.
create function under_way(p_tenant text, p_run text) returns boolean language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  perform from runs where id = p_run and status = 'running' for share;
  return found;
end $$;

create function read_agent(p_tenant text, p_name text, p_version int) returns jsonb language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return (select a.spec from agents a where a.name = p_name and (p_version is null or a.version = p_version)
          order by a.version desc limit 1);
end $$;

-- Runs at once -------------------------------------------------------------------------------------------------------

-- Checked where the row is written, so that no way of starting a run goes around it.
create function check_run_quota() returns trigger language plpgsql as $$
declare
  settings jsonb;
  used int;
begin
  select t.settings into settings from tenants t where t.tenant = new.tenant;
  if settings->>'active_runs' is not null then
    perform pg_advisory_xact_lock(hashtextextended('run quota ' || new.tenant, 0));
    select count(*) into used from runs r
    where r.tenant = new.tenant and r.status in ('queued', 'running', 'input_required', 'paused');
    if used >= (settings->>'active_runs')::int then
      raise exception 'the tenant has % runs under way, and its quota is %', used, settings->>'active_runs'
        using errcode = 'HF429';
    end if;
  end if;
  return new;
end $$;
create trigger run_quota before insert on runs for each row execute function check_run_quota();

-- Across tenants, and for one purpose each ---------------------------------------------------------------------------

-- Runs that were accepted and, because a process died in between, never started.
create function unstarted_runs(older_than interval)
returns table (tenant text, run_id text) language sql security definer set search_path = holdfast as $$
  select r.tenant, r.id from runs r
  where r.status = 'queued' and r.created_at < clock_timestamp() - older_than
  order by r.created_at limit 200
$$;

-- Across tenants, for one purpose: runs that go on, as far as their rows know, so that somebody may ask Temporal.
create function open_runs(p_after text, p_page int)
returns table (tenant text, run_id text) language sql security definer set search_path = holdfast as $$
  select r.tenant, r.id from runs r
  where r.status in ('running', 'paused', 'input_required') and r.id > p_after
  order by r.id limit p_page
$$;

-- Runs whose workspace nobody needs any more. A run that ended a moment ago may still be resumed.
create function ended_runs(since interval, until interval)
returns table (tenant text, run_id text) language sql stable security definer set search_path = holdfast as $$
  select r.tenant, r.id from runs r
  where r.ended_at between clock_timestamp() - since and clock_timestamp() - until
  order by r.ended_at
$$;

revoke all on function unstarted_runs(interval), open_runs(text, int) from public;
grant execute on function unstarted_runs(interval), open_runs(text, int) to holdfast_app;

revoke all on function ended_runs(interval, interval) from public;
grant execute on function ended_runs(interval, interval) to holdfast_tools;
