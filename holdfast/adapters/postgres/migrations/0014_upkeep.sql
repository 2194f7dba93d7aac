-- For the one who runs the platform, over all tenants: what ended runs leave behind and for how long, and counts of it all.

-- The ledger stays: it is what was done to the world.
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

-- Metrics. No row's content comes out. Of tools the codes of their failures, and how long they took in the last hour.
create function measures()
returns table (name text, labels text[], label_values text[], amount double precision)
language sql security definer set search_path = holdfast as $$
  select 'holdfast_runs', array['status'], array[status], count(*)::float8 from runs group by status
  union all
  select 'holdfast_tool_calls', array['tool', 'version', 'outcome'], array[tool, tool_version, status], count(*)::float8
  from effects group by tool, tool_version, status
  union all
  select 'holdfast_tool_failures', array['tool', 'version', 'code'],
    array[tool, tool_version, coalesce(result->'error'->>'code', 'failed')], count(*)::float8
  from effects where status = 'failed' group by tool, tool_version, coalesce(result->'error'->>'code', 'failed')
  union all
  select 'holdfast_tool_seconds', array['tool', 'version', 'quantile'], array[tool, tool_version, q.name],
    case q.name when '0.5' then t.seconds[1] when '0.95' then t.seconds[2] else t.seconds[3] end
  from (select tool, tool_version,
               percentile_cont(array[0.5, 0.95, 0.99])
                 within group (order by (result->>'duration_ms')::float8 / 1000) as seconds
        from effects
        where dispatched_at > clock_timestamp() - interval '1 hour' and result->>'duration_ms' is not null
        group by tool, tool_version) t
    cross join (values ('0.5'), ('0.95'), ('0.99')) q (name)
  union all
  select 'holdfast_verdicts', array['decision'], array[decision], count(*)::float8 from verdicts group by decision
  union all
  select 'holdfast_approvals_waiting', '{}', '{}', count(*)::float8 from approvals where status = 'pending'
  union all
  select 'holdfast_approvals_oldest_seconds', '{}', '{}',
    coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8
  from approvals where status = 'pending'
  union all
  select 'holdfast_model_tokens', array['model', 'direction'], array[model, direction], sum(tokens)::float8
  from (select model, 'in' as direction, input_tokens as tokens from model_calls
        union all select model, 'out', output_tokens from model_calls) t
  group by model, direction
  union all
  select 'holdfast_model_cost_usd', array['model'], array[model], sum(coalesce(cost_usd, 0))::float8
  from model_calls group by model
  union all
  select 'holdfast_model_reserved_usd', array['deployment'], array[deployment], sum(reserved_usd)::float8
  from model_calls where status = 'reserved' group by deployment
  union all
  select 'holdfast_model_calls', array['deployment', 'task', 'outcome'], array[deployment, task, outcome],
    count(*)::float8
  from (select deployment, task,
               case when status = 'reserved' then 'under_way' when ok then 'ok'
                    else coalesce(nullif(failure, ''), status) end as outcome
        from model_calls) c
  group by deployment, task, outcome
  union all
  select 'holdfast_model_breaker', array['deployment', 'state'], array[deployment, s.state],
    (b.state = s.state)::int::float8
  from model_breakers b cross join (values ('closed'), ('open'), ('half_open')) s (state)
  union all
  select 'holdfast_plan_cache', array['outcome'], array[outcome], sum(count)::float8
  from plan_cache_counts group by outcome
$$;

revoke all on function purge_events(interval), purge_artifacts(interval), measures() from public;
grant execute on function purge_events(interval), purge_artifacts(interval), measures() to holdfast_app;
