-- Claims lapse: a call ends with its time limit, so one that is not settled a while after it was made by a process that
-- has died. Until now all of them were waited for as long as the longest call could take.

alter table model_calls add column lapses_at timestamptz not null default clock_timestamp() + interval '1 hour';
drop index model_calls_open;
create index model_calls_open on model_calls (lapses_at) where status = 'reserved';

drop function open_claims(interval);
-- Across tenants, for one purpose: claims that nobody is there to settle.
create function lapsed_claims()
returns table (tenant text, call_id text) language sql security definer set search_path = holdfast as $$
  select c.tenant, c.id from model_calls c
  where c.status = 'reserved' and c.lapses_at < clock_timestamp()
  order by c.lapses_at limit 500
$$;
revoke all on function lapsed_claims() from public;
grant execute on function lapsed_claims() to holdfast_app;

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

drop function spend_chain(text);
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

create or replace function reserve_spend(p_tenant text, p_claim jsonb) returns jsonb language plpgsql as $$
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
