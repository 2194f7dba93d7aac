-- Who may come in, how often, and what they did. The functions below are asked before a tenant is known, so they run
-- with their owner's rights and answer one question each.

create table api_keys (
  id            text primary key,
  tenant        text not null references tenants,
  hash          bytea not null,
  name          text not null,
  roles         text[] not null,
  scopes        text[],
  environments  text[],
  created_by    text not null default '',
  created_at    timestamptz not null default clock_timestamp(),
  expires_at    timestamptz,
  revoked_at    timestamptz,
  last_used_at  timestamptz,
  rotated_from  text
);
create index api_keys_by_tenant on api_keys (tenant, created_at desc, id desc);
call keep_tenants_apart('api_keys');

create table roles (
  tenant       text not null references tenants,
  name         text not null,
  permissions  text[] not null,
  description  text not null default '',
  primary key (tenant, name)
);
call keep_tenants_apart('roles');

-- Token buckets, shared by all API processes. Unlogged: after a crash everybody starts with a full bucket.
create unlogged table rate_buckets (
  name    text primary key,
  tokens  double precision not null,
  at      timestamptz not null
) with (fillfactor = 50);

-- Takes one token; the seconds to wait come back, 0 when there was one.
create function take_token(p_bucket text, p_rate double precision, p_burst double precision)
returns double precision language plpgsql security definer set search_path = holdfast as $$
declare
  here timestamptz := clock_timestamp();
  left_over double precision;
begin
  insert into rate_buckets as b (name, tokens, at) values (p_bucket, p_burst - 1, here)
  on conflict (name) do update set
    tokens = least(p_burst, b.tokens + greatest(0, extract(epoch from here - b.at)) * p_rate) - 1, at = here
  where least(p_burst, b.tokens + greatest(0, extract(epoch from here - b.at)) * p_rate) >= 1;
  if found then return 0; end if;
  select least(p_burst, tokens + greatest(0, extract(epoch from here - at)) * p_rate) into left_over
  from rate_buckets where name = p_bucket;
  return greatest(0.001, (1 - left_over) / p_rate);
end $$;

-- Who holds this key, and may they ask now: one round trip for each request. The hash is compared before a token is
-- taken, so nobody can use up the bucket of a key they do not hold.
create function admit_key(
  p_id text, p_hash bytea, p_class text, p_rate double precision, p_burst double precision,
  out tenant text, out name text, out roles text[], out scopes text[], out environments text[],
  out extra text[], out wait_s double precision
) language plpgsql security definer set search_path = holdfast as $$
declare
  k api_keys;
begin
  select * into k from api_keys a
  where a.id = p_id and a.hash = p_hash and a.revoked_at is null
    and (a.expires_at is null or a.expires_at > clock_timestamp());
  if not found then return; end if;
  if k.last_used_at is null or k.last_used_at < clock_timestamp() - interval '1 minute' then
    update api_keys a set last_used_at = clock_timestamp() where a.id = p_id;
  end if;
  tenant := k.tenant; name := k.name; roles := k.roles; scopes := k.scopes; environments := k.environments;
  select array_agg(distinct p) into extra
  from roles r, unnest(r.permissions) p where r.tenant = k.tenant and r.name = any (k.roles);
  wait_s := take_token(k.tenant || ' key:' || p_id || ' ' || p_class, p_rate, p_burst);
end $$;

create function all_tenants() returns setof tenants
language sql security definer set search_path = holdfast as $$ select * from tenants order by tenant $$;

-- Audit: append-only, each line hashed together with the one before it. -----------------------------------------------

create table audit_log (
  tenant    text not null,
  seq       bigint not null,
  entry     text not null,
  previous  text not null,
  hash      text not null,
  at        timestamptz not null default clock_timestamp(),
  primary key (tenant, seq)
);
create table audit_heads (
  tenant  text primary key,
  seq     bigint not null,
  hash    text not null
) with (fillfactor = 50);
call keep_tenants_apart('audit_log');
call keep_tenants_apart('audit_heads');
revoke insert, update, delete on audit_log, audit_heads from holdfast_app;

create function append_audit(p_tenant text, p_entry text) returns bigint
language plpgsql security definer set search_path = holdfast as $$
declare
  head audit_heads;
  digest text;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  insert into audit_heads (tenant, seq, hash) values (p_tenant, 0, '') on conflict do nothing;
  select * into head from audit_heads h where h.tenant = p_tenant for update;
  digest := encode(sha256(convert_to(head.hash || E'\n' || (head.seq + 1) || E'\n' || p_entry, 'UTF8')), 'hex');
  insert into audit_log (tenant, seq, entry, previous, hash)
  values (p_tenant, head.seq + 1, p_entry, head.hash, digest);
  update audit_heads h set seq = head.seq + 1, hash = digest where h.tenant = p_tenant;
  return head.seq + 1;
end $$;

-- Runs at once: checked where the row is written, so that no way of starting a run goes around it. -------------------------

create function check_run_quota() returns trigger language plpgsql as $$
declare
  settings jsonb;
  used int;
begin
  select t.settings into settings from tenants t where t.tenant = new.tenant;
  if settings->>'active_runs' is not null then
    perform pg_advisory_xact_lock(hashtextextended('run quota ' || new.tenant, 0));
    select count(*) into used from runs r
    where r.tenant = new.tenant and r.status in ('queued', 'running', 'input_required', 'paused');
    if used >= (settings->>'active_runs')::int then
      raise exception 'the tenant has % runs under way, and its quota is %', used, settings->>'active_runs'
        using errcode = 'HF429';
    end if;
  end if;
  return new;
end $$;
create trigger run_quota before insert on runs for each row execute function check_run_quota();

-- Approvals: a person's word, stored with its event in one transaction. ------------------------------------------------

-- A key and the one it was rotated into are one voice.
create function same_person(p_one text, p_other text) returns boolean language sql stable as $$
  select p_one = p_other or exists (
    select from api_keys k
    where ('key:' || k.id = p_one and 'key:' || k.rotated_from = p_other)
       or ('key:' || k.id = p_other and 'key:' || k.rotated_from = p_one))
$$;

-- A decision that the run has not been told of: the process that took it died, or Temporal was away.
alter table approvals add column nudged_at timestamptz;
create index approvals_unheard on approvals (decided_at) where decided_at is not null and nudged_at is null;

create function unheard_approvals() returns table (tenant text, run_id text, approval_id text)
language sql security definer set search_path = holdfast as $$
  select a.tenant, a.run_id, a.id from approvals a
  where a.decided_at is not null and a.nudged_at is null and a.status in ('approved', 'rejected')
  order by a.decided_at limit 200
$$;
revoke all on function unheard_approvals() from public;
grant execute on function unheard_approvals() to holdfast_app;

-- The first valid decision of each person counts; `quorum` of them approve; one rejection rejects. An edit names the
-- digest of the edited action. `outcome` is the status afterwards; `refused` says why a decision does not count.
create function decide_approval(
  p_tenant text, p_id text, p_approver text, p_decision text, p_digest text, p_effective text, p_comment text,
  p_arguments jsonb, out outcome text, out refused text
) language plpgsql as $$
declare
  a approvals;
  voices int;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  select * into a from approvals x where x.id = p_id for update;
  if not found then
    raise exception 'approval % does not exist in this tenant', p_id using errcode = 'HF404';
  elsif a.status <> 'pending' then refused := 'decided';
  elsif a.expires_at <= clock_timestamp() then refused := 'expired';
  elsif a.digest <> p_digest then refused := 'other_digest';
  elsif coalesce((a.terms->>'four_eyes')::boolean, false) and same_person(a.requested_by, p_approver) then refused := 'four_eyes';
  elsif exists (
      select from approval_decisions d where d.approval_id = p_id and same_person(d.approver, p_approver)) then
    refused := 'voted';
  elsif p_decision <> 'reject' and exists (
      select from approval_decisions d where d.approval_id = p_id and d.digest <> p_effective) then
    refused := 'other_edit';
  end if;
  if refused is not null then outcome := a.status; return; end if;

  insert into approval_decisions (approval_id, approver, tenant, decision, digest, comment, arguments)
  values (p_id, p_approver, p_tenant, p_decision, p_effective, p_comment, p_arguments);
  select count(*) into voices from approval_decisions d where d.approval_id = p_id and d.decision <> 'reject';
  outcome := case when p_decision = 'reject' then 'rejected'
                  when voices >= coalesce((a.terms->>'quorum')::int, 1) then 'approved' else 'pending' end;
  if outcome <> 'pending' then
    update approvals x set status = outcome, decided_at = clock_timestamp(),
      approved_digest = case when outcome = 'approved' then p_effective end
    where x.id = p_id;
  end if;
  perform tell(a.run_id, jsonb_build_array(jsonb_build_object(
    'key', p_id || ':decided:' || p_approver, 'type', 'approval.decided', 'step_id', a.step_id,
    'data', jsonb_build_object('approval_id', p_id, 'subject', a.subject, 'approver', p_approver, 'decision', p_decision,
      'status', outcome, 'comment', p_comment, 'digest', p_effective))));
end $$;

-- Idempotency: the first time a key was seen stays; the lease says until when its holder is believed to be alive. --------

alter table idempotency_keys add column lease_until timestamptz not null default clock_timestamp();

create function prune_idempotency_keys(older_than interval) returns bigint
language sql security definer set search_path = holdfast as $$
  with gone as (delete from idempotency_keys where created_at < clock_timestamp() - older_than returning 1)
  select count(*) from gone
$$;
revoke all on function prune_idempotency_keys(interval) from public;
grant execute on function prune_idempotency_keys(interval) to holdfast_app;

create function newest_migration() returns text
language sql security definer set search_path = holdfast as $$ select max(name) from migrations $$;

-- The functions with their owner's rights must see rows of every tenant, also where the owner is no superuser.
do $$
declare
  tbl text;
begin
  foreach tbl in array array['tenants', 'api_keys', 'roles', 'audit_log', 'audit_heads', 'idempotency_keys', 'approvals', 'runs'] loop
    execute format('create policy owner_rows on %I to %I using (true) with check (true)', tbl, current_user);
  end loop;
end $$;

revoke all on function take_token(text, double precision, double precision) from public;
revoke all on function admit_key(text, bytea, text, double precision, double precision) from public;
revoke all on function all_tenants() from public;
revoke all on function append_audit(text, text) from public;
grant execute on function take_token(text, double precision, double precision) to holdfast_app;
grant execute on function admit_key(text, bytea, text, double precision, double precision) to holdfast_app;
grant execute on function all_tenants() to holdfast_app;
grant execute on function append_audit(text, text) to holdfast_app;

-- Metrics: counts over all tenants, for the one who runs the platform. No row's content comes out. ------------------------

create function measures() returns table (name text, labels text[], label_values text[], amount double precision)
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
$$;
revoke all on function measures() from public;
grant execute on function measures() to holdfast_app;

do $$
declare
  tbl text;
begin
  foreach tbl in array array['effects', 'verdicts', 'model_calls'] loop
    execute format('create policy owner_rows on %I to %I using (true) with check (true)', tbl, current_user);
  end loop;
end $$;
