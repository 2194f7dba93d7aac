-- Runs, their story, the ledger, approvals, artifacts. Every row has a tenant; row-level security keeps tenants apart
-- for every role that does not own the tables. The functions below are the hot path: each is one round trip and one
-- transaction, runs with the caller's rights, and may be called again without doing anything twice.

do $$
begin
  if not exists (select from pg_roles where rolname = 'holdfast_app') then create role holdfast_app nologin; end if;
  if not exists (select from pg_roles where rolname = 'holdfast_tools') then create role holdfast_tools nologin; end if;
end $$;

create extension if not exists vector with schema public;
grant usage on schema holdfast to holdfast_app, holdfast_tools;

create table tenants (
  tenant      text primary key,
  title       text not null default '',
  settings    jsonb not null default '{}',
  created_at  timestamptz not null default now()
);
insert into tenants (tenant, title) values ('default', 'Default tenant');

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

create table verdicts (
  run_id         text not null references runs on delete cascade,
  action_digest  text not null,
  tenant         text not null,
  step_id        text not null,
  decision       text not null check (decision in ('allow', 'require_approval', 'deny')),
  held           boolean not null default false,
  bundle         text not null,
  action         jsonb not null,
  verdict        jsonb not null,
  record         jsonb not null,
  expires_at     timestamptz,
  created_at     timestamptz not null default clock_timestamp(),
  primary key (run_id, action_digest)
);
create index verdicts_by_time on verdicts (tenant, created_at);

create table approvals (
  id               text primary key,
  tenant           text not null,
  run_id           text not null references runs on delete cascade,
  step_id          text,
  subject          text not null,
  digest           text not null,
  approved_digest  text,
  summary          jsonb not null,
  terms            jsonb not null,
  action           jsonb,
  status           text not null default 'pending'
                   check (status in ('pending', 'approved', 'rejected', 'expired', 'withdrawn')),
  requested_by     text not null default '',
  consumed_by      text,
  created_at       timestamptz not null default clock_timestamp(),
  expires_at       timestamptz not null,
  decided_at       timestamptz
);
create index approvals_pending on approvals (tenant, created_at) where status = 'pending';
create index approvals_by_run on approvals (run_id);
create index approvals_by_digest on approvals (run_id, approved_digest) where status = 'approved';

create table approval_decisions (
  approval_id  text not null references approvals on delete cascade,
  approver     text not null,
  tenant       text not null,
  decision     text not null check (decision in ('approve', 'edit', 'reject')),
  digest       text not null,
  comment      text not null default '',
  arguments    jsonb,
  at           timestamptz not null default clock_timestamp(),
  primary key (approval_id, approver)
);

create table effects (
  run_id         text not null references runs on delete cascade,
  action_digest  text not null,
  tenant         text not null,
  step_id        text not null,
  tool           text not null,
  tool_version   text not null,
  effect_class   text not null,
  environment    text not null,
  arguments      jsonb not null,
  status         text not null check (status in ('dispatched', 'succeeded', 'failed', 'unknown')),
  result         jsonb,
  approval_id    text,
  resolution     text,
  resolved_by    text,
  worker         text not null default '',
  attempts       int not null default 1,
  dispatched_at  timestamptz not null default clock_timestamp(),
  observed_at    timestamptz,
  primary key (run_id, action_digest)
) with (fillfactor = 70);
create index effects_by_time on effects (tenant, dispatched_at desc);
create index effects_by_tool on effects (tenant, tool, dispatched_at desc);

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

-- Payloads too large for a Temporal history. Keyed by content; the owner is the workflow that first stored them.
create table payloads (
  key          text primary key,
  tenant       text not null default '',
  workflow_id  text not null default '',
  data         bytea not null,
  created_at   timestamptz not null default now()
);
alter table payloads alter column data set storage external;
create index payloads_by_workflow on payloads (workflow_id);

create table freezes (
  id           text primary key,
  tenant       text not null,
  environment  text,
  tool         text,
  agent        text,
  label_key    text,
  label_value  text,
  reason       text not null default '',
  created_by   text not null default '',
  created_at   timestamptz not null default now(),
  thawed_at    timestamptz,
  thawed_by    text
);
create index freezes_active on freezes (tenant) where thawed_at is null;

create table idempotency_keys (
  tenant           text not null,
  route            text not null,
  key              text not null,
  request_digest   text not null,
  response_status  int,
  response         jsonb,
  created_at       timestamptz not null default now(),
  primary key (tenant, route, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);

-- Row-level security -------------------------------------------------------------------------------------------------

create function current_tenant() returns text language sql stable
  return nullif(current_setting('holdfast.tenant', true), '');

-- Gives a table the tenant rule. Later migrations call it for each table they make.
create procedure keep_tenants_apart(tbl regclass) language plpgsql as $$
begin
  execute format('alter table %s enable row level security', tbl);
  execute format('alter table %s force row level security', tbl);
  execute format('create policy tenant_rows on %s using (tenant = current_tenant()) with check (tenant = current_tenant())', tbl);
  execute format('grant select, insert, update, delete on %s to holdfast_app', tbl);
end $$;

call keep_tenants_apart('tenants');
call keep_tenants_apart('agents');
call keep_tenants_apart('runs');
call keep_tenants_apart('run_heads');
call keep_tenants_apart('run_events');
call keep_tenants_apart('verdicts');
call keep_tenants_apart('approvals');
call keep_tenants_apart('approval_decisions');
call keep_tenants_apart('effects');
call keep_tenants_apart('artifacts');
call keep_tenants_apart('freezes');
call keep_tenants_apart('idempotency_keys');

-- Payloads are opaque bytes that only a holder of their key can name; Temporal's converter has no tenant to offer.
grant select, insert on payloads to holdfast_app, holdfast_tools;

-- The tools worker touches the ledger, the story and artifacts, and nothing else.
grant select on verdicts, approvals, freezes, run_heads, runs to holdfast_tools;
grant select, insert, update on effects to holdfast_tools;
grant select, insert on run_events, artifacts to holdfast_tools;
grant update (last_seq) on run_heads to holdfast_tools;
grant update (consumed_by) on approvals to holdfast_tools;

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

create function record_run(p_tenant text, p_run text, p_patch jsonb, p_events jsonb) returns bigint
language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  if p_patch is not null then
    update runs set
      status     = coalesce(p_patch->>'status', status),
      reason     = coalesce(p_patch->>'reason', reason),
      answer     = coalesce(p_patch->>'answer', answer),
      outputs    = coalesce(nullif(p_patch->'outputs', 'null'), outputs),
      cites      = coalesce(nullif(p_patch->'cites', 'null'), cites),
      spend_usd  = coalesce((p_patch->>'spend_usd')::numeric, spend_usd),
      started_at = coalesce(started_at, case when p_patch->>'status' = 'running' then clock_timestamp() end),
      ended_at   = case
        when p_patch->>'status' in ('succeeded', 'failed', 'cancelled', 'timed_out', 'rejected') then clock_timestamp()
        when p_patch->>'status' is not null then null
        else ended_at end
    where id = p_run;
    if not found then
      raise exception 'run % does not exist in this tenant', p_run using errcode = 'HF404';
    end if;
  end if;
  return tell(p_run, p_events);
end $$;

-- The ledger ---------------------------------------------------------------------------------------------------------

-- A verdict may be given some time before its action goes out. So whatever may have changed since is looked at when it
-- does: a pause, the end of the run, a freeze, and (`outdated`, in 0002) rules that were activated after the verdict.

-- The first verdict on an action stands, unless it was `held` by a freeze, has expired or is outdated before the action
-- went out.
create function give_verdict(
  p_tenant text, p_run text, p_digest text, p_action jsonb, p_record jsonb, p_events jsonb
) returns jsonb language plpgsql as $$
declare
  standing jsonb;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  insert into verdicts as v
    (run_id, action_digest, tenant, step_id, decision, held, bundle, action, verdict, record, expires_at)
  values (
    p_run, p_digest, p_tenant, p_action->>'step_id', p_record->'verdict'->>'decision',
    coalesce((p_record->'verdict'->>'held')::boolean, false), p_record->'verdict'->>'bundle',
    p_action, p_record->'verdict', p_record - 'verdict', (p_record->'verdict'->>'expires_at')::timestamptz)
  on conflict (run_id, action_digest) do update set
    decision = excluded.decision, held = excluded.held, bundle = excluded.bundle, verdict = excluded.verdict,
    record = excluded.record, expires_at = excluded.expires_at, created_at = clock_timestamp()
  where (v.held or v.expires_at < clock_timestamp() or outdated(p_tenant, v.created_at))
    and not exists (select from effects e where e.run_id = v.run_id and e.action_digest = v.action_digest)
  returning v.verdict into standing;
  if standing is null then
    select verdict into strict standing from verdicts where run_id = p_run and action_digest = p_digest;
  end if;
  perform tell(p_run, p_events);
  return standing;
end $$;

-- Whether an active freeze covers this action.
create function held_by(p_tenant text, p_environment text, p_tool text, p_agent text, p_labels jsonb)
returns text language sql stable as $$
  select reason from freezes
  where tenant = p_tenant and thawed_at is null
    and (environment is null or environment = p_environment)
    and (tool is null or tool = p_tool or (tool like '%*' and starts_with(p_tool, rtrim(tool, '*'))))
    and (agent is null or agent = p_agent)
    and (label_key is null or p_labels->>label_key = label_value)
  order by created_at limit 1
$$;

-- The choke point. `go`: written as dispatched, call it. `in_doubt`: a call went out before and nobody saw its end.
-- `stale`: to be judged again first. `over`: the run has ended, as far as anybody knows here.
create function dispatch_effect(
  p_tenant text, p_run text, p_digest text, p_class text, p_worker text, p_events jsonb,
  out outcome text, out result jsonb, out why text
) language plpgsql as $$
declare
  v verdicts;
  e effects;
  permit text;
  held_for text;
  run_status text;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  select * into e from effects where run_id = p_run and action_digest = p_digest for update;
  if found then
    if e.status = 'dispatched' then
      update effects set attempts = attempts + 1, worker = p_worker where run_id = p_run and action_digest = p_digest;
      outcome := 'in_doubt';
    elsif e.status = 'unknown' then
      outcome := 'unknown';
    else
      outcome := 'done';
      result := e.result;
    end if;
    return;
  end if;

  select status into run_status from runs where id = p_run;
  if run_status = 'paused' then
    outcome := 'paused'; why := 'the run is paused'; return;
  elsif run_status in ('succeeded', 'failed', 'cancelled', 'timed_out', 'rejected') then
    outcome := 'over'; why := 'the run has ended'; return;
  end if;

  select * into v from verdicts where run_id = p_run and action_digest = p_digest;
  if not found then
    outcome := 'refused'; why := 'no verdict was given on this action'; return;
  elsif v.expires_at < clock_timestamp() then
    outcome := 'stale'; why := 'the verdict on this action has expired'; return;
  elsif outdated(p_tenant, v.created_at) then
    outcome := 'stale'; why := 'other rules are in force since this action was judged'; return;
  elsif v.decision = 'deny' and not v.held then
    outcome := 'refused'; why := 'the verdict on this action is deny'; return;
  end if;
  held_for := held_by(p_tenant, v.action->>'environment', v.action->>'tool', v.action->>'agent', v.action->'labels');
  if held_for is not null or v.held then
    outcome := 'held'; why := coalesce(held_for, 'held when it was judged'); return;
  end if;
  if v.decision = 'require_approval' then
    update approvals a set consumed_by = p_digest
    where a.id = (
      select id from approvals
      where run_id = p_run and approved_digest = p_digest and status = 'approved' and subject = 'action'
        and consumed_by is null
      order by created_at limit 1 for update)
    returning a.id into permit;
    if permit is null then
      outcome := 'refused'; why := 'no unused approval stands for this action'; return;
    end if;
  end if;

  insert into effects (run_id, action_digest, tenant, step_id, tool, tool_version, effect_class, environment,
                       arguments, status, approval_id, worker)
  values (p_run, p_digest, p_tenant, v.action->>'step_id', v.action->>'tool', v.action->>'tool_version', p_class,
          v.action->>'environment', v.action->'arguments', 'dispatched', permit, p_worker);
  perform tell(p_run, p_events);
  outcome := 'go';
end $$;

create function observe_effect(
  p_tenant text, p_run text, p_digest text, p_status text, p_result jsonb, p_events jsonb
) returns void language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  update effects set status = p_status, result = p_result,
         observed_at = case when p_status = 'unknown' then null else clock_timestamp() end
  where run_id = p_run and action_digest = p_digest and status in ('dispatched', 'unknown');
  perform tell(p_run, p_events);
end $$;

-- The fast lane: a harmless read, judged, done and recorded at once.
create function perform_effect(
  p_tenant text, p_run text, p_digest text, p_action jsonb, p_record jsonb, p_class text, p_status text,
  p_result jsonb, p_events jsonb
) returns void language plpgsql as $$
begin
  perform give_verdict(p_tenant, p_run, p_digest, p_action, p_record, '[]');
  insert into effects (run_id, action_digest, tenant, step_id, tool, tool_version, effect_class, environment,
                       arguments, status, result, worker, observed_at)
  values (p_run, p_digest, p_tenant, p_action->>'step_id', p_action->>'tool', p_action->>'tool_version', p_class,
          p_action->>'environment', p_action->'arguments', p_status, p_result, '', clock_timestamp())
  on conflict (run_id, action_digest) do nothing;
  perform tell(p_run, p_events);
end $$;

-- A human's word on an effect nobody saw the end of.
create function resolve_effect(
  p_tenant text, p_run text, p_digest text, p_happened boolean, p_by text, p_events jsonb
) returns void language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  update effects set
    status = case when p_happened then 'succeeded' else 'failed' end,
    resolution = case when p_happened then 'happened' else 'did_not_happen' end,
    resolved_by = p_by, observed_at = clock_timestamp()
  where run_id = p_run and action_digest = p_digest and status = 'unknown';
  perform tell(p_run, p_events);
end $$;

-- Across tenants, and for one purpose each ---------------------------------------------------------------------------

-- Runs that were accepted and, because a process died in between, never started.
create function unstarted_runs(older_than interval)
returns table (tenant text, run_id text) language sql security definer set search_path = holdfast as $$
  select r.tenant, r.id from runs r
  where r.status = 'queued' and r.created_at < clock_timestamp() - older_than
  order by r.created_at limit 200
$$;
revoke all on function unstarted_runs(interval) from public;
grant execute on function unstarted_runs(interval) to holdfast_app;
