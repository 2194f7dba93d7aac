-- The verdict on a model's move is given by the process that asked the model, which may have taken its time: the run may
-- have been paused meanwhile, or ended. Then nothing is written, and nothing told behind the end of the story.

-- Whether the run is under way, and stays so until this transaction is over.
create function under_way(p_tenant text, p_run text) returns boolean language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  perform from runs where id = p_run and status = 'running' for share;
  return found;
end $$;

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
