-- Verdicts, the approvals some of them need, and the ledger of effects: what was decided before anything happened, and
-- what happened.

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
  delegations      jsonb not null default '[]',
  created_at       timestamptz not null default clock_timestamp(),
  expires_at       timestamptz not null,
  decided_at       timestamptz,
  nudged_at        timestamptz
);
create index approvals_pending on approvals (tenant, created_at) where status = 'pending';
create index approvals_by_run on approvals (run_id);
create index approvals_by_digest on approvals (run_id, approved_digest) where status = 'approved';
create index approvals_unheard on approvals (decided_at) where decided_at is not null and nudged_at is null;

create table approval_decisions (
  approval_id  text not null references approvals on delete cascade,
  approver     text not null,
  tenant       text not null,
  decision     text not null check (decision in ('approve', 'edit', 'reject')),
  digest       text not null,
  comment      text not null default '',
  arguments    jsonb,
  scope        jsonb,
  at           timestamptz not null default clock_timestamp(),
  primary key (approval_id, approver)
);

-- What humans approved for the rest of a run. It counts once its approval does, and for the digest that was approved.
create table envelopes (
  approval_id  text primary key references approvals on delete cascade,
  tenant       text not null,
  run_id       text not null references runs on delete cascade,
  digest       text not null,
  entries      jsonb not null,
  created_at   timestamptz not null default clock_timestamp()
);
create index envelopes_by_run on envelopes (run_id);

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

call keep_tenants_apart('verdicts', 'approvals', 'approval_decisions', 'envelopes', 'effects');

grant select on verdicts, approvals to holdfast_tools;
grant select, insert, update on effects to holdfast_tools;
grant update (consumed_by) on approvals to holdfast_tools;

-- Verdicts and effects -----------------------------------------------------------------------------------------------

-- A verdict may be given some time before its action goes out. So whatever may have changed since is looked at when it
-- does: a pause, the end of the run, a freeze, and rules that were activated after the verdict (`outdated`).

-- The first verdict on an action stands, unless it was `held` by a freeze, has expired or is outdated before the action
-- went out.
create function give_verdict(
  p_tenant text, p_run text, p_digest text, p_action jsonb, p_record jsonb, p_events jsonb
) returns jsonb language plpgsql as $$
declare
  standing jsonb;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  perform refuse_behind_the_end(p_run, p_events);
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
  select * into e from effects where run_id = p_run and action_digest = p_digest for no key update;
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

-- Before the end of one call and the start of the next are written in one transaction: what either of them locks, in the
-- order of hold_run, since the head is locked with the first of them.
create function hold_effects(p_tenant text, p_run text, p_digests text[]) returns void language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  perform from effects where run_id = p_run and action_digest = any (p_digests) order by action_digest for no key update;
  perform from approvals where run_id = p_run and approved_digest = any (p_digests) and status = 'approved'
    and consumed_by is null order by id for no key update;
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
  perform set_config('holdfast.tenant', p_tenant, true);
  perform refuse_behind_the_end(p_run, p_events);
  perform give_verdict(p_tenant, p_run, p_digest, p_action, p_record, '[]');
  insert into effects (run_id, action_digest, tenant, step_id, tool, tool_version, effect_class, environment,
                       arguments, status, result, worker, observed_at)
  values (p_run, p_digest, p_tenant, p_action->>'step_id', p_action->>'tool', p_action->>'tool_version', p_class,
          p_action->>'environment', p_action->'arguments', p_status, p_result, '', clock_timestamp())
  on conflict (run_id, action_digest) do nothing;
  perform tell(p_run, p_events);
end $$;

-- A person's word on an effect nobody saw the end of is the result of the call from then on: whoever asks the ledger again
-- gets it.
create function resolve_effect(
  p_tenant text, p_run text, p_digest text, p_happened boolean, p_by text, p_result jsonb, p_events jsonb
) returns void language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  update effects set
    status = case when p_happened then 'succeeded' else 'failed' end, result = p_result,
    resolution = case when p_happened then 'happened' else 'did_not_happen' end,
    resolved_by = p_by, observed_at = clock_timestamp()
  where run_id = p_run and action_digest = p_digest and status = 'unknown';
  perform tell(p_run, p_events);
end $$;

-- The effects that still stand as dispatched when their run ends are unknown: the worker that would have told is dead,
-- or was cut off. Should it live after all, its word still counts.
create function doubt_effects(p_run text) returns jsonb language sql as $$
  with lost as (
    update effects set status = 'unknown' where run_id = p_run and status = 'dispatched'
    returning step_id, action_digest, tool)
  select coalesce(jsonb_agg(jsonb_build_object(
    'key', action_digest || ':unknown', 'type', 'effect.unknown', 'step_id', step_id,
    'data', jsonb_build_object('tool', tool, 'digest', action_digest,
                               'why', 'The run ended before anybody saw how the call ended.'))), '[]')
  from lost
$$;

-- What nobody will act on any more is not asked any more. Whoever takes the step up again asks anew.
create function withdraw_questions(p_run text, p_only text default null) returns jsonb language sql as $$
  with withdrawn as (
    update approvals set status = 'withdrawn', decided_at = clock_timestamp()
    where run_id = p_run and status = 'pending' and id = coalesce(p_only, id)
    returning id, step_id, subject)
  select coalesce(jsonb_agg(jsonb_build_object(
    'key', id || ':withdrawn', 'type', 'approval.withdrawn', 'step_id', step_id,
    'data', jsonb_build_object('approval_id', id, 'subject', subject))), '[]')
  from withdrawn
$$;

-- The verdict on a move of a model -----------------------------------------------------------------------------------

-- It is given by the process that asked the model, which may have taken its time: the run may have been paused meanwhile,
-- or ended. Then nothing is written, and nothing told behind the end of the story.

create function give_verdict_under_way(
  p_tenant text, p_run text, p_digest text, p_action jsonb, p_record jsonb, p_events jsonb
) returns jsonb language plpgsql as $$
begin
  if under_way(p_tenant, p_run) then
    return give_verdict(p_tenant, p_run, p_digest, p_action, p_record, p_events);
  end if;
  return null;
end $$;

create function perform_effect_under_way(
  p_tenant text, p_run text, p_digest text, p_action jsonb, p_record jsonb, p_class text, p_status text,
  p_result jsonb, p_events jsonb
) returns boolean language plpgsql as $$
begin
  if under_way(p_tenant, p_run) then
    perform perform_effect(p_tenant, p_run, p_digest, p_action, p_record, p_class, p_status, p_result, p_events);
    return true;
  end if;
  return false;
end $$;
