-- Policies as versions that never change, bundles of them, and the pointer to the bundle in force; and freezes, which move
-- the same revision number, so that one cheap question tells a worker whether anything it knows is stale.

create table policies (
  tenant       text not null references tenants,
  name         text not null,
  version      int not null,
  document     jsonb not null,
  resolved     jsonb not null,
  checksum     text not null,
  author       text not null,
  change_note  text not null default '',
  created_at   timestamptz not null default clock_timestamp(),
  primary key (tenant, name, version)
);

create table retired_policies (
  tenant      text not null references tenants,
  name        text not null,
  retired_by  text not null,
  retired_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, name)
);

-- `shipped` holds whole documents: a later release may ship others, and a verdict names this digest for ever.
create table bundles (
  tenant      text not null references tenants,
  digest      text not null,
  settings    jsonb not null,
  shipped     jsonb not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, digest)
);

create table bundle_policies (
  tenant   text not null,
  digest   text not null,
  name     text not null,
  version  int not null,
  primary key (tenant, digest, name),
  foreign key (tenant, digest) references bundles,
  foreign key (tenant, name, version) references policies
);
create index bundle_policies_by_version on bundle_policies (tenant, name, version);

create table activations (
  tenant     text not null references tenants,
  number     int not null,
  digest     text not null,
  previous   text,
  by_whom    text not null,
  note       text not null default '',
  at         timestamptz not null default clock_timestamp(),
  primary key (tenant, number),
  foreign key (tenant, digest) references bundles
);

create table policy_heads (
  tenant    text primary key references tenants,
  revision  bigint not null default 0,
  digest    text
) with (fillfactor = 50);

create table freezes (
  id           text primary key,
  tenant       text not null,
  environment  text,
  tool         text,
  agent        text,
  label_key    text,
  label_value  text,
  reason       text not null default '',
  created_by   text not null default '',
  created_at   timestamptz not null default now(),
  thawed_at    timestamptz,
  thawed_by    text
);
create index freezes_active on freezes (tenant) where thawed_at is null;

call keep_tenants_apart('policies', 'retired_policies', 'bundles', 'bundle_policies', 'activations', 'policy_heads',
  'freezes');

grant select on activations, freezes to holdfast_tools;

-- A draft may be deleted while no bundle names it; nothing else may ever change.
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% of % are never changed', lower(tg_op), tg_table_name using errcode = '23514';
end $$;

create trigger policies_stay before update on policies for each row execute function refuse_change();
create trigger bundles_stay before update or delete on bundles for each row execute function refuse_change();
create trigger bundle_policies_stay before update or delete on bundle_policies
  for each row execute function refuse_change();
create trigger activations_stay before update or delete on activations for each row execute function refuse_change();

create function move_policy_head() returns trigger language plpgsql as $$
declare
  activated text := to_jsonb(new)->>'digest'; -- a freeze has none, and leaves the pointer where it is
begin
  insert into policy_heads as h (tenant, revision, digest) values (new.tenant, 1, activated)
  on conflict (tenant) do update set revision = h.revision + 1, digest = coalesce(activated, h.digest);
  perform pg_notify('holdfast_policies', new.tenant);
  return null;
end $$;

create trigger activations_move_head after insert on activations for each row execute function move_policy_head();
create trigger freezes_move_head after insert or update on freezes for each row execute function move_policy_head();

create function active_bundle(p_tenant text) returns text language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return (select digest from policy_heads);
end $$;

-- Whether other rules came into force after a verdict was given.
create function outdated(p_tenant text, p_given timestamptz) returns boolean language sql stable as $$
  select coalesce((select a.at > p_given from activations a where a.tenant = p_tenant order by a.number desc limit 1), false)
$$;

-- Whether an active freeze covers this action.
create function held_by(p_tenant text, p_environment text, p_tool text, p_agent text, p_labels jsonb)
returns text language sql stable as $$
  select reason from freezes
  where tenant = p_tenant and thawed_at is null
    and (environment is null or environment = p_environment)
    and (tool is null or tool = p_tool or (tool like '%*' and starts_with(p_tool, rtrim(tool, '*'))))
    and (agent is null or agent = p_agent)
    and (label_key is null or p_labels->>label_key = label_value)
  order by created_at limit 1
$$;
