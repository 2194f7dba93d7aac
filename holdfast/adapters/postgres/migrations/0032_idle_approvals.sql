-- Across tenants, for one purpose: what has waited for people for long is told in the run's story, once, so that whoever
-- follows events hears of it. No row is locked but the run's head, runs in their order: nobody waits for each other.
create function tell_idle_approvals(p_after interval) returns int
language plpgsql security definer set search_path = holdfast as $$
declare
  a record;
  told int := 0;
begin
  for a in
    select x.id, x.tenant, x.run_id, x.step_id, x.subject, x.summary, x.terms, x.created_at, x.expires_at
    from approvals x join runs r on r.id = x.run_id
    where x.status = 'pending' and x.created_at <= clock_timestamp() - p_after and x.expires_at > clock_timestamp()
      and r.ended_at is null
      and not exists (select from run_events e where e.run_id = x.run_id and e.key = x.id || ':idle')
    order by x.run_id limit 200
  loop
    perform set_config('holdfast.tenant', a.tenant, true);
    perform tell(a.run_id, jsonb_build_array(jsonb_build_object(
      'key', a.id || ':idle', 'type', 'approval.idle', 'step_id', a.step_id,
      'data', jsonb_build_object('approval_id', a.id, 'subject', a.subject, 'summary', a.summary, 'terms', a.terms,
                                 'asked_at', a.created_at, 'expires_at', a.expires_at))));
    told := told + 1;
  end loop;
  return told;
end $$;
revoke all on function tell_idle_approvals(interval) from public;
grant execute on function tell_idle_approvals(interval) to holdfast_app;
