-- The tools that workers offer, and what the built-in ones keep.

-- Each version once. `*` stands for every tenant: what ships with a worker is offered to all, and a tenant switches off what
-- it does not want. Versions that are no longer offered stay for the runs that started with them.
create table tools (
  tenant        text not null default '*',
  name          text not null,
  version       text not null,
  digest        text not null,
  spec          jsonb not null,
  published_at  timestamptz not null default clock_timestamp(),
  seen_at       timestamptz not null default clock_timestamp(),
  withdrawn_at  timestamptz,
  primary key (tenant, name, version)
);
alter table tools enable row level security;
create policy offered on tools for select using (tenant in ('*', current_tenant()));
create policy publishing on tools for insert with check (true);
create policy republishing on tools for update using (true);
grant select on tools to holdfast_app, holdfast_tools;
grant insert, update on tools to holdfast_tools;

-- What a tenant has switched off, everywhere or in one environment (`*` is every environment).
create table tools_disabled (
  tenant       text not null,
  name         text not null,
  environment  text not null default '*',
  disabled_by  text not null default '',
  disabled_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, name, environment)
);

-- Manifests and servers that workers refused, each with its reason, until it is mended or gone.
create table tool_problems (
  source   text primary key,
  worker   text not null default '',
  problem  text not null,
  at       timestamptz not null default clock_timestamp()
);
grant select on tool_problems to holdfast_app, holdfast_tools;
grant insert, update, delete on tool_problems to holdfast_tools, holdfast_app;

-- Every version that is offered there.
create function offered_tools(p_tenant text, p_environment text) returns setof jsonb language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return query select t.spec from tools t
    where t.withdrawn_at is null and not exists (
      select from tools_disabled d where d.name = t.name and d.environment in ('*', p_environment))
    order by t.name, t.version;
end $$;

-- What a run has set itself to do.
create table todos (
  tenant      text not null,
  run_id      text not null references runs on delete cascade,
  position    int not null,
  key         text not null,
  text        text not null,
  state       text not null default 'open' check (state in ('open', 'doing', 'done', 'dropped')),
  note        text not null default '',
  created_at  timestamptz not null default clock_timestamp(),
  changed_at  timestamptz not null default clock_timestamp(),
  primary key (run_id, position)
);

call keep_tenants_apart('tools_disabled', 'todos');
grant select, insert, update on todos to holdfast_tools;
