-- Models, seen and kept up: summaries of long observations, and what the metrics page says of calls, breakers and plans.

-- What a model wrote about an output that no prompt can hold. `key` is a digest of the output, the goal and the size, so
-- that no run pays for the same summary twice.
create table observation_summaries (
  tenant      text not null,
  key         text not null,
  run_id      text not null references runs on delete cascade,
  summary     text not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, key)
);
create index observation_summaries_by_run on observation_summaries (run_id);
call keep_tenants_apart('observation_summaries');

do $$
declare
  tbl text;
begin
  foreach tbl in array array['plan_cache_counts'] loop
    execute format('create policy owner_rows on %I to %I using (true) with check (true)', tbl, current_user);
  end loop;
end $$;

create or replace function measures()
returns table (name text, labels text[], label_values text[], amount double precision)
language sql security definer set search_path = holdfast as $$
  select 'holdfast_runs', array['status'], array[status], count(*)::float8 from runs group by status
  union all
  select 'holdfast_tool_calls', array['tool', 'outcome'], array[tool, status], count(*)::float8
  from effects group by tool, status
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
