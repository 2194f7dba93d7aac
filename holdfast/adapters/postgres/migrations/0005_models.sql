-- Models: what calls cost, how deployments do, plans kept for reuse, what panels said.

-- The spend ledger ---------------------------------------------------------------------------------------------------

create table spend_limits (
  tenant     text not null references tenants,
  scope      text not null check (scope in ('agent', 'tenant')),
  subject    text not null,
  period     text not null check (period in ('day', 'total')),
  limit_usd  numeric(14, 6) not null check (limit_usd >= 0),
  primary key (tenant, scope, subject, period)
);

-- One row for each ceiling a claim is held against. `period` is `total` or a day in UTC.
create table spend_totals (
  tenant        text not null,
  scope         text not null check (scope in ('run', 'agent', 'tenant')),
  subject       text not null,
  period        text not null,
  spent_usd     numeric(18, 9) not null default 0,
  reserved_usd  numeric(18, 9) not null default 0,
  primary key (tenant, scope, subject, period)
) with (fillfactor = 50);

create table model_calls (
  id             text primary key,
  tenant         text not null,
  run_id         text,
  agent          text,
  step_id        text,
  task           text not null,
  deployment     text not null,
  model          text not null,
  status         text not null default 'reserved' check (status in ('reserved', 'settled', 'presumed')),
  ok             boolean,
  useful         boolean,
  priced         boolean not null,
  attempt        int not null,
  reserved_usd   numeric(18, 9) not null,
  cost_usd       numeric(18, 9),
  held_against   jsonb not null,
  input_tokens   int not null default 0,
  output_tokens  int not null default 0,
  cached_tokens  int not null default 0,
  estimated      boolean not null default false,
  latency_ms     double precision,
  failure        text not null default '',
  decision       jsonb not null,
  created_at     timestamptz not null default clock_timestamp(),
  settled_at     timestamptz
) with (fillfactor = 70);
create index model_calls_by_run on model_calls (run_id, created_at);
create index model_calls_by_task on model_calls (tenant, task, created_at desc);
create index model_calls_by_time on model_calls (tenant, created_at desc);
create index model_calls_open on model_calls (created_at) where status = 'reserved';

-- The run and those it was started for: what a child spends, its parents have spent.
create function spend_chain(p_run text) returns table (run_id text, limit_usd numeric) language sql stable as $$
  with recursive chain as (
    select r.id, r.parent, r.input, 0 as depth from runs r where r.id = p_run
    union all
    select r.id, r.parent, r.input, c.depth + 1 from runs r join chain c on r.id = c.parent where c.depth < 50
  )
  select id, (input->'limits'->>'spend_usd')::numeric from chain
$$;

-- Claims the most a call may cost against every ceiling it stands under, or says which one it would pass. The rows are
-- locked in one order, so that fifty runs can claim at once without waiting for each other in a circle.
create function reserve_spend(p_tenant text, p_claim jsonb) returns jsonb language plpgsql as $$
declare
  errand jsonb := p_claim->'errand';
  amount numeric := (p_claim->>'amount_usd')::numeric;
  today  text := to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD');
  held   jsonb;
  over   jsonb;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  if exists (select from model_calls where id = p_claim->>'call_id') then
    return null;
  end if;

  select jsonb_agg(jsonb_build_object('scope', scope, 'subject', subject, 'period', period, 'limit', limit_usd)
                   order by scope, subject, period)
  into held
  from (
    select 'run' as scope, run_id as subject, 'total' as period, limit_usd from spend_chain(errand->>'run_id')
    union all
    select 'run', errand->>'run_id', 'total', (errand->>'run_limit_usd')::numeric
    where errand->>'run_id' is not null and not exists (select from runs where id = errand->>'run_id')
    union all
    select s.scope, s.subject, case p.period when 'day' then today else 'total' end, l.limit_usd
    from (values ('agent', errand->>'agent'), ('tenant', p_tenant)) as s (scope, subject)
    cross join (values ('day'), ('total')) as p (period)
    left join spend_limits l on l.scope = s.scope and l.subject = s.subject and l.period = p.period
    where s.subject is not null
  ) ceilings;

  insert into spend_totals (tenant, scope, subject, period)
  select p_tenant, h->>'scope', h->>'subject', h->>'period' from jsonb_array_elements(held) h
  on conflict do nothing;
  perform 1 from spend_totals t
  where (t.scope, t.subject, t.period) in (select h->>'scope', h->>'subject', h->>'period' from jsonb_array_elements(held) h)
  order by t.scope, t.subject, t.period for update;

  select h || jsonb_build_object('spent', t.spent_usd, 'reserved', t.reserved_usd) into over
  from jsonb_array_elements(held) h
  join spend_totals t on t.scope = h->>'scope' and t.subject = h->>'subject' and t.period = h->>'period'
  where amount > 0 and t.spent_usd + t.reserved_usd + amount > (h->>'limit')::numeric
  order by h->>'scope' limit 1;
  if over is not null then
    return over;
  end if;

  update spend_totals t set reserved_usd = reserved_usd + amount
  from jsonb_array_elements(held) h
  where t.scope = h->>'scope' and t.subject = h->>'subject' and t.period = h->>'period';
  insert into model_calls (id, tenant, run_id, agent, step_id, task, deployment, model, priced, attempt, reserved_usd,
                           held_against, decision)
  values (p_claim->>'call_id', p_tenant, errand->>'run_id', errand->>'agent', errand->>'step_id', errand->>'task',
          p_claim->>'deployment', p_claim->>'model', (p_claim->>'priced')::boolean, (p_claim->>'attempt')::int, amount,
          held, p_claim->'decision');
  return null;
end $$;

-- Turns a claim into what was spent. `presumed`: the process died before it could say, so the claim itself is taken.
create function settle_spend(p_tenant text, p_call text, p_outcome jsonb) returns void language plpgsql as $$
declare
  c model_calls;
  cost numeric;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  select * into c from model_calls where id = p_call for update;
  if not found or c.status <> 'reserved' then
    return;
  end if;
  cost := coalesce((p_outcome->>'cost_usd')::numeric, c.reserved_usd);
  perform 1 from spend_totals t
  where (t.scope, t.subject, t.period)
        in (select h->>'scope', h->>'subject', h->>'period' from jsonb_array_elements(c.held_against) h)
  order by t.scope, t.subject, t.period for update;
  update spend_totals t set reserved_usd = t.reserved_usd - c.reserved_usd, spent_usd = t.spent_usd + cost
  from jsonb_array_elements(c.held_against) h
  where t.scope = h->>'scope' and t.subject = h->>'subject' and t.period = h->>'period';
  update model_calls set
    status        = case when p_outcome is null then 'presumed' else 'settled' end,
    ok            = (p_outcome->>'ok')::boolean,
    cost_usd      = cost,
    model         = coalesce(nullif(p_outcome->>'model', ''), model),
    input_tokens  = coalesce((p_outcome->'usage'->>'input_tokens')::int, 0),
    output_tokens = coalesce((p_outcome->'usage'->>'output_tokens')::int, 0),
    cached_tokens = coalesce((p_outcome->'usage'->>'cached_tokens')::int, 0),
    estimated     = coalesce((p_outcome->'usage'->>'estimated')::boolean, true),
    latency_ms    = (p_outcome->>'latency_ms')::double precision,
    failure       = coalesce(p_outcome->>'failure', ''),
    settled_at    = clock_timestamp()
  where id = p_call;
end $$;

-- Across tenants, for one purpose: claims whose process died before it could settle them.
create function open_claims(older_than interval)
returns table (tenant text, call_id text) language sql security definer set search_path = holdfast as $$
  select c.tenant, c.id from model_calls c
  where c.status = 'reserved' and c.created_at < clock_timestamp() - older_than
  order by c.created_at limit 500
$$;
revoke all on function open_claims(interval) from public;
grant execute on function open_claims(interval) to holdfast_app;

-- Deployments and prices: the same for all tenants -------------------------------------------------------------------

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

-- Plans kept for reuse -----------------------------------------------------------------------------------------------

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

-- Panels -------------------------------------------------------------------------------------------------------------

create table panel_results (
  id          text primary key,
  tenant      text not null,
  run_id      text,
  step_id     text,
  method      text not null,
  question    text not null,
  result      jsonb not null,
  score       double precision not null,
  escalated   boolean not null,
  cost_usd    numeric(18, 9) not null,
  created_at  timestamptz not null default clock_timestamp()
);
create index panel_results_by_time on panel_results (tenant, created_at desc);
create index panel_results_by_run on panel_results (run_id) where run_id is not null;

call keep_tenants_apart('spend_limits');
call keep_tenants_apart('spend_totals');
call keep_tenants_apart('model_calls');
call keep_tenants_apart('plan_cache');
call keep_tenants_apart('plan_cache_uses');
call keep_tenants_apart('plan_cache_counts');
call keep_tenants_apart('panel_results');
