-- The spend ledger: what model calls cost, claimed before each call and settled behind it.

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
  lapses_at      timestamptz not null default clock_timestamp() + interval '1 hour',
  settled_at     timestamptz
) with (fillfactor = 70);
create index model_calls_by_run on model_calls (run_id, created_at);
create index model_calls_by_task on model_calls (tenant, task, created_at desc);
create index model_calls_by_time on model_calls (tenant, created_at desc);
create index model_calls_open on model_calls (lapses_at) where status = 'reserved';
create index model_calls_settled on model_calls (created_at) where status <> 'reserved';

call keep_tenants_apart('spend_limits', 'spend_totals', 'model_calls');

-- A fork goes on with the purse of the run it was made from: what that run and its other forks have spent counts
-- against the fork's own limit.
create function purse_of(p_run text) returns text language sql stable as $$
  with recursive line as (
    select p_run as id, 0 as depth
    union all
    select r.forked_from, l.depth + 1 from line l join runs r on r.id = l.id
    where r.forked_from is not null and l.depth < 50
  )
  select id from line order by depth desc limit 1
$$;

-- The run and those it was started for: what a child spends, its parents have spent. `owner` has set the limit.
create function spend_chain(p_run text) returns table (subject text, limit_usd numeric, owner text)
language sql stable as $$
  with recursive chain as (
    select r.id, r.parent, r.forked_from, r.input, 0 as depth from runs r where r.id = p_run
    union all
    select r.id, r.parent, r.forked_from, r.input, c.depth + 1 from runs r join chain c on r.id = c.parent
    where c.depth < 50
  )
  select id, case when forked_from is null then (input->'limits'->>'spend_usd')::numeric end, id from chain
  union all
  select purse_of(id), (input->'limits'->>'spend_usd')::numeric, id from chain where forked_from is not null
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

  select jsonb_agg(jsonb_build_object('scope', scope, 'subject', subject, 'period', period, 'limit', limit_usd,
                                      'owner', owner)
                   order by scope, subject, period)
  into held
  from (
    select 'run' as scope, subject, 'total' as period, limit_usd, owner from spend_chain(errand->>'run_id')
    union all
    select 'run', errand->>'run_id', 'total', (errand->>'run_limit_usd')::numeric, errand->>'run_id'
    where errand->>'run_id' is not null and not exists (select from runs where id = errand->>'run_id')
    union all
    select s.scope, s.subject, case p.period when 'day' then today else 'total' end, l.limit_usd, s.subject
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
                           held_against, decision, lapses_at)
  values (p_claim->>'call_id', p_tenant, errand->>'run_id', errand->>'agent', errand->>'step_id', errand->>'task',
          p_claim->>'deployment', p_claim->>'model', (p_claim->>'priced')::boolean, (p_claim->>'attempt')::int, amount,
          held, p_claim->'decision',
          clock_timestamp() + make_interval(secs => coalesce((p_claim->>'lapses_after_s')::float8, 3600)));
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

-- Across tenants, and for one purpose each ---------------------------------------------------------------------------

-- A call ends with its time limit, so a claim that is not settled a while after it was made is one of a process that has
-- died, and nobody is there to settle it.
create function lapsed_claims()
returns table (tenant text, call_id text) language sql security definer set search_path = holdfast as $$
  select c.tenant, c.id from model_calls c
  where c.status = 'reserved' and c.lapses_at < clock_timestamp()
  order by c.lapses_at limit 500
$$;

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

revoke all on function lapsed_claims(), purge_model_calls(interval) from public;
grant execute on function lapsed_claims(), purge_model_calls(interval) to holdfast_app;
