-- What models were asked, for how long: the calls themselves, plans kept for reuse, summaries of long outputs. What was
-- spent stays in spend_totals, and in the run.

create index model_calls_settled on model_calls (created_at) where status <> 'reserved';
create index plan_cache_by_age on plan_cache (created_at);
create index observation_summaries_by_age on observation_summaries (created_at);

-- Of runs that are still under way every call stays, however old: a summary of the run counts them.
create function purge_model_calls(older_than interval) returns bigint
language sql security definer set search_path = holdfast as $$
  with gone as (
    delete from model_calls c
    where c.status <> 'reserved' and c.created_at < clock_timestamp() - older_than
      and not exists (select from runs r where r.id = c.run_id and r.ended_at is null)
    returning 1)
  select count(*) from gone
$$;

-- A use is remembered as long as the plan it was of.
create function purge_plans(older_than interval) returns bigint
language sql security definer set search_path = holdfast as $$
  with gone as (
    delete from plan_cache where created_at < clock_timestamp() - older_than returning tenant, run_id),
  forgotten as (
    delete from plan_cache_uses u using gone g
    where u.tenant = g.tenant and u.made_for = g.run_id
      and not exists (select from plan_cache c where c.tenant = u.tenant and c.run_id = u.made_for
                      and c.created_at >= clock_timestamp() - older_than))
  select count(*) from gone
$$;

create function purge_summaries(older_than interval) returns bigint
language sql security definer set search_path = holdfast as $$
  with gone as (
    delete from observation_summaries where created_at < clock_timestamp() - older_than returning 1)
  select count(*) from gone
$$;

revoke all on function purge_model_calls(interval), purge_plans(interval), purge_summaries(interval) from public;
grant execute on function purge_model_calls(interval), purge_plans(interval), purge_summaries(interval) to holdfast_app;
