-- Who may come in, how often, and what they did. The functions are asked before a tenant is known, so they run with their
-- owner's rights and answer one question each.

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

create table roles (
  tenant       text not null references tenants,
  name         text not null,
  permissions  text[] not null,
  description  text not null default '',
  primary key (tenant, name)
);

call keep_tenants_apart('api_keys', 'roles');

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

revoke all on function take_token(text, double precision, double precision),
  admit_key(text, bytea, text, double precision, double precision) from public;
grant execute on function take_token(text, double precision, double precision),
  admit_key(text, bytea, text, double precision, double precision) to holdfast_app;

-- Audit: append-only, each line hashed together with the one before it -----------------------------------------------

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

call keep_tenants_apart('audit_log', 'audit_heads');
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
revoke all on function append_audit(text, text) from public;
grant execute on function append_audit(text, text) to holdfast_app;
