-- The tools that workers offer, each version once. `*` stands for every tenant: what ships with a worker is offered to
-- all, and a tenant switches off what it does not want.

create table tools (
  tenant        text not null default '*',
  name          text not null,
  version       text not null,
  digest        text not null,
  spec          jsonb not null,
  published_at  timestamptz not null default clock_timestamp(),
  seen_at       timestamptz not null default clock_timestamp(),
  primary key (tenant, name, version)
);
alter table tools enable row level security;
alter table tools force row level security;
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
call keep_tenants_apart('tools_disabled');
