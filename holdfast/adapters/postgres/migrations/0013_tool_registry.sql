-- Tools that are no longer offered, such as those of a manifest that was taken away, stay for the runs that started
-- with them. Runs that start later do not see them.
alter table tools add column withdrawn_at timestamptz;

-- Manifests and servers that workers refused, each with its reason, until it is mended or gone.
create table tool_problems (
  source   text primary key,
  worker   text not null default '',
  problem  text not null,
  at       timestamptz not null default clock_timestamp()
);
grant select on tool_problems to holdfast_app, holdfast_tools;
grant insert, update, delete on tool_problems to holdfast_tools, holdfast_app;

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
call keep_tenants_apart('todos');
grant select, insert, update on todos to holdfast_tools;
