-- What runs taught. The item is what stands now; its versions are only ever added, and every change is one.

create table memory_items (
  tenant        text not null references tenants,
  id            text primary key,
  version       int not null,
  digest        text not null,
  status        text not null,
  kind          text not null,
  content       jsonb not null,
  provenance    jsonb not null default '{}',
  terms         text[] not null default '{}',
  goal_kind     text not null default '',
  runbook       text not null default '',
  alert         text not null default '',
  tool          text not null default '',
  error         text not null default '',
  programs      text[] not null default '{}',
  subject       text not null default '',
  agent         text not null default '',
  environment   text not null default '',
  thread        text not null default '',
  run_id        text,
  used          int not null default 0,
  helped        int not null default 0,
  hurt          int not null default 0,
  created_at    timestamptz not null default clock_timestamp(),
  changed_at    timestamptz not null default clock_timestamp(),
  confirmed_at  timestamptz not null default clock_timestamp(),
  last_used_at  timestamptz
) with (fillfactor = 80);
create index memory_items_active on memory_items (tenant, kind) where status = 'active';
create index memory_items_by_goal on memory_items (tenant, kind, goal_kind, confirmed_at)
  where status = 'active' and goal_kind <> '';
create index memory_items_by_alert on memory_items (tenant, kind, alert, confirmed_at)
  where status = 'active' and alert <> '';
create index memory_items_by_runbook on memory_items (tenant, kind, runbook, confirmed_at)
  where status = 'active' and runbook <> '';
create index memory_items_by_tool on memory_items (tenant, kind, tool, confirmed_at)
  where status = 'active' and tool <> '' and programs = '{}';
create index memory_items_by_subject on memory_items (tenant, subject) where subject <> '';
create index memory_items_lessons on memory_items (tenant, tool, goal_kind) where kind = 'lesson';
create index memory_items_by_run on memory_items (run_id) where run_id is not null;
create unique index memory_items_once on memory_items (tenant, digest)
  where status not in ('superseded', 'retired', 'forgotten');
-- Tracing asks again and again what was derived from an item.
create index memory_items_by_source on memory_items using gin ((provenance->'derived_from') jsonb_path_ops);

-- What an active item is found by: its words, and each program it is about as `runs kubectl drain`, as no word has a space.
-- Equality under a plain index; no operator of arrays is let through to one by row-level security.
create table memory_postings (
  tenant  text not null,
  term    text not null,
  item    text not null references memory_items on delete cascade,
  primary key (tenant, term, item)
);
create index memory_postings_by_item on memory_postings (item);

create function post_memory() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if (new.status, new.terms, new.programs) = (old.status, old.terms, old.programs) then
      return null;
    end if;
    delete from memory_postings where item = new.id;
  end if;
  if new.status = 'active' then
    insert into memory_postings (tenant, term, item)
    select new.tenant, each.term, new.id
    from (select unnest(new.terms) union select 'runs ' || unnest(new.programs)) each (term);
  end if;
  return null;
end $$;
create trigger memory_postings after insert or update of status, terms, programs on memory_items
  for each row execute function post_memory();

create table memory_versions (
  tenant      text not null,
  item        text not null references memory_items on delete cascade,
  version     int not null,
  content     jsonb not null,
  author      text not null,
  reason      text not null default '',
  created_at  timestamptz not null default clock_timestamp(),
  primary key (item, version)
);
create index memory_versions_by_time on memory_versions (tenant, created_at);

create table memory_vectors (
  tenant     text not null,
  item       text not null references memory_items on delete cascade,
  model      text not null,
  embedding  halfvec not null,
  primary key (item, model)
);
create index memory_vectors_by_tenant on memory_vectors (tenant, model);

-- What a run was given. It makes learning measurable, and one poisoned run traceable.
create table memory_uses (
  tenant   text not null,
  run_id   text not null,
  item     text not null references memory_items on delete cascade,
  version  int not null,
  score    real not null,
  outcome  text,
  at       timestamptz not null default clock_timestamp(),
  primary key (run_id, item)
);
create index memory_uses_by_item on memory_uses (item);

-- What people said of runs, word for word.
create table memory_feedback (
  tenant      text not null references tenants,
  id          bigint generated always as identity primary key,
  run_id      text not null,
  item        text,
  verdict     text,
  comment     text not null default '',
  correction  text not null default '',
  author      text not null,
  at          timestamptz not null default clock_timestamp()
);
create index memory_feedback_by_run on memory_feedback (tenant, run_id);

create table memory_snapshots (
  tenant     text not null references tenants,
  name       text not null,
  note       text not null default '',
  scheduled  boolean not null default false,
  at         timestamptz not null default clock_timestamp(),
  primary key (tenant, name)
);

call keep_tenants_apart('memory_items', 'memory_postings', 'memory_versions', 'memory_vectors', 'memory_uses',
  'memory_feedback', 'memory_snapshots');

-- The graph over the vectors of one model, for tenants too large to be searched exactly. Indexes belong to the owner.
create function index_memory_vectors(p_model text, p_dimensions int) returns text language plpgsql
security definer set search_path = holdfast, public as $$
declare
  name text := 'memory_hnsw_' || substr(md5(p_model || ' ' || p_dimensions), 1, 16);
begin
  if to_regclass('holdfast.' || name) is null then
    perform pg_advisory_xact_lock(hashtextextended(name, 0));
    execute format(
      'create index if not exists %I on memory_vectors using hnsw ((embedding::halfvec(%s)) halfvec_ip_ops)'
      ' where model = %L', name, p_dimensions, p_model);
  end if;
  return name;
end $$;
revoke all on function index_memory_vectors(text, int) from public;
grant execute on function index_memory_vectors(text, int) to holdfast_app;

-- Whose memory there is to keep. Ids only; everything else is done inside the tenant, under its row-level security.
create function tenants_that_remember() returns setof text
language sql stable security definer set search_path = holdfast as $$
  select t.tenant from tenants t
  where exists (select from memory_items i where i.tenant = t.tenant)
  order by 1
$$;
revoke all on function tenants_that_remember() from public;
grant execute on function tenants_that_remember() to holdfast_app;
