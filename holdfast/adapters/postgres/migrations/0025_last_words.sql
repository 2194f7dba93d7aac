-- What is known of a call must not depend on who is left to say it.

-- A person's word is the result of the call from then on: whoever asks the ledger again gets it.
drop function resolve_effect(text, text, text, boolean, text, jsonb);
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

create or replace function record_run(p_tenant text, p_run text, p_patch jsonb, p_events jsonb) returns bigint
language plpgsql as $$
declare
  ends boolean := p_patch->>'status' in ('succeeded', 'failed', 'cancelled', 'timed_out', 'rejected');
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
      ended_at   = case when ends then clock_timestamp() when p_patch->>'status' is not null then null else ended_at end
    where id = p_run;
    if not found then
      raise exception 'run % does not exist in this tenant', p_run using errcode = 'HF404';
    end if;
  end if;
  return tell(p_run, case when ends then doubt_effects(p_run) || p_events else p_events end);
end $$;

-- The end of a run whose workflow is over without having said so, as when somebody terminated it. Nothing is written
-- where the run's story has gone on since it was looked at.
create function end_lost_run(p_tenant text, p_run text, p_seq bigint, p_patch jsonb, p_events jsonb) returns boolean
language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  perform from run_heads where run_id = p_run and last_seq = p_seq for update;
  if not found then
    return false;
  end if;
  perform from runs where id = p_run and status in ('succeeded', 'failed', 'cancelled', 'timed_out', 'rejected');
  if found then
    return false;
  end if;
  perform record_run(p_tenant, p_run, p_patch, p_events);
  return true;
end $$;
