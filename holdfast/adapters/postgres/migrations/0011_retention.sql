-- What ended runs leave behind, and for how long. The ledger stays: it is what was done to the world.

create function purge_events(older_than interval) returns bigint
language sql security definer set search_path = holdfast as $$
  with gone as (
    delete from run_events e using runs r
    where r.id = e.run_id and r.ended_at < clock_timestamp() - older_than returning 1)
  select count(*) from gone
$$;

create function purge_artifacts(older_than interval) returns bigint
language sql security definer set search_path = holdfast as $$
  with gone as (
    delete from artifacts a using runs r
    where r.id = a.run_id and r.ended_at < clock_timestamp() - older_than returning 1)
  select count(*) from gone
$$;

-- Runs whose workspace nobody needs any more. A run that ended a moment ago may still be resumed.
create function ended_runs(since interval, until interval)
returns table (tenant text, run_id text) language sql stable security definer set search_path = holdfast as $$
  select r.tenant, r.id from runs r
  where r.ended_at between clock_timestamp() - since and clock_timestamp() - until
  order by r.ended_at
$$;
create index runs_by_end on runs (ended_at) where ended_at is not null;

revoke all on function purge_events(interval), purge_artifacts(interval), ended_runs(interval, interval) from public;
grant execute on function purge_events(interval), purge_artifacts(interval) to holdfast_app;
grant execute on function ended_runs(interval, interval) to holdfast_tools;
