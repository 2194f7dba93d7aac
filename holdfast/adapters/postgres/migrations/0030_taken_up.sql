-- A run that goes on after its end is under way from the moment its new execution is accepted, and not only once a worker
-- has begun it. Nothing is written where that execution has spoken for itself already.
create function take_up_run(p_tenant text, p_run text, p_seq bigint, p_patch jsonb, p_events jsonb) returns void
language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  perform from run_heads where run_id = p_run and last_seq = p_seq for update;
  if found then
    perform record_run(p_tenant, p_run, p_patch, p_events);
  end if;
end $$;
