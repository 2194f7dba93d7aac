-- Verdicts may now be given some time before their action goes out, so what has changed since is looked at when it does:
-- a pause, the end of the run, and rules that were activated after the verdict.

grant select on activations to holdfast_tools;

-- Whether other rules came into force after a verdict was given.
create function outdated(p_tenant text, p_given timestamptz) returns boolean language sql stable as $$
  select coalesce((select a.at > p_given from activations a where a.tenant = p_tenant order by a.number desc limit 1), false)
$$;

-- The first verdict on an action stands, unless it was `held` by a freeze, has expired or is outdated before the action
-- went out.
create or replace function give_verdict(
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

-- The choke point. `go`: written as dispatched, call it. `in_doubt`: a call went out before and nobody saw its end.
-- `stale`: to be judged again first. `over`: the run has ended, as far as anybody knows here.
create or replace function dispatch_effect(
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
