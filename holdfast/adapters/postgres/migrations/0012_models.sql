-- Models: how deployments do, and what is kept of their answers: plans for reuse, summaries, panels, opinions.

-- Deployments, prices and routes: the same for all tenants -----------------------------------------------------------

create table model_breakers (
  deployment  text primary key,
  state       text not null check (state in ('closed', 'open', 'half_open')),
  failures    int not null default 0,
  opened      int not null default 0,
  until       timestamptz,
  reason      text not null default '',
  updated_at  timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
grant select, insert, update on model_breakers to holdfast_app;

-- Prices set while running; they stand above the list that ships with the version.
create table model_prices (
  model       text primary key,
  price       jsonb not null,
  set_by      text not null default '',
  updated_at  timestamptz not null default now()
);
grant select, insert, update, delete on model_prices to holdfast_app;

-- The routes of models as the llm workers know them, who alone read the models file: a run that begins takes them along.
create table model_routes (
  single   boolean primary key default true check (single),
  routes   jsonb not null,
  told_at  timestamptz not null default clock_timestamp()
);
grant select, insert, update on model_routes to holdfast_app;

create function routes_of_run(p_tenant text, p_run text) returns jsonb language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return (select nullif(input->'models', 'null'::jsonb) from runs where id = p_run);
end $$;

-- Answers that are kept ----------------------------------------------------------------------------------------------

-- `space` is a digest of all that must be the same: agent version, tools, policies, environment.
-- A kept plan is offered only once the run it was made for has succeeded, and only while no run that took it failed.
create table plan_cache (
  tenant      text not null,
  space       text not null,
  key         text not null,
  run_id      text not null,
  goal        text not null,
  inputs      jsonb not null,
  plan        jsonb not null,
  embedding   vector,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, space, key, run_id)
);
create index plan_cache_by_age on plan_cache (created_at);

create table plan_cache_uses (
  tenant    text not null,
  made_for  text not null,
  used_by   text not null,
  outcome   text not null,
  used_at   timestamptz not null default clock_timestamp(),
  primary key (tenant, made_for, used_by)
);

create table plan_cache_counts (
  tenant   text not null,
  day      date not null,
  outcome  text not null,
  count    bigint not null default 0,
  primary key (tenant, day, outcome)
);

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
create index observation_summaries_by_age on observation_summaries (created_at);

create table panel_results (
  tenant      text not null,
  id          text not null,
  run_id      text,
  step_id     text,
  method      text not null,
  question    text not null,
  result      jsonb not null,
  score       double precision not null,
  escalated   boolean not null,
  cost_usd    numeric(18, 9) not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, id)
);
create index panel_results_by_time on panel_results (tenant, created_at desc);
create index panel_results_by_step on panel_results (run_id, step_id, created_at desc) where run_id is not null;

-- Until the panel has its result: a worker that takes over after a crash asks nobody twice.
create table panel_notes (
  tenant      text not null,
  panel_id    text not null,
  turn        text not null,
  text        text not null,
  cost_usd    numeric(18, 9) not null,
  latency_ms  double precision not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, panel_id, turn)
);
create index panel_notes_by_age on panel_notes (created_at);

-- One row for each question the guardian put to a model: the same facts about the same call in the same place are one
-- question. An unusable answer is kept so that the verdict can say so; it answers nothing for later actions.
create table judge_opinions (
  tenant      text not null,
  question    text not null,
  run_id      text not null,
  step_id     text not null,
  usable      boolean not null,
  opinion     jsonb not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, question)
);
create index judge_opinions_by_age on judge_opinions (created_at);

call keep_tenants_apart('plan_cache', 'plan_cache_uses', 'plan_cache_counts', 'observation_summaries',
  'panel_results', 'panel_notes', 'judge_opinions');

-- Retention ----------------------------------------------------------------------------------------------------------

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

revoke all on function purge_plans(interval), purge_summaries(interval) from public;
grant execute on function purge_plans(interval), purge_summaries(interval) to holdfast_app;
