-- What people said of runs, word for word; snapshots by the clock; and what upkeep needs to see of every tenant.

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
call keep_tenants_apart('memory_feedback');

alter table memory_snapshots add column scheduled boolean not null default false;

-- Tracing asks again and again what was derived from an item.
create index memory_items_by_source on memory_items using gin ((provenance->'derived_from') jsonb_path_ops);

-- Whose memory there is to keep. Ids only; everything else is done inside the tenant, under its row-level security.
create function tenants_that_remember() returns setof text
language sql stable security definer set search_path = holdfast as $$
  select t.tenant from tenants t
  where exists (select from memory_items i where i.tenant = t.tenant)
  order by 1
$$;

create function purge_embeddings(older_than interval) returns bigint
language sql security definer set search_path = holdfast, public as $$
  with gone as (
    delete from embedding_cache where used_at < clock_timestamp() - older_than returning 1)
  select count(*) from gone
$$;

-- Outcomes of jobs of which nothing is left to do.
create function purge_staged(older_than interval) returns bigint
language sql security definer set search_path = holdfast as $$
  with gone as (
    delete from knowledge_staged s
    where s.outcome is not null and s.at < clock_timestamp() - older_than
      and not exists (
        select from knowledge_staged o where o.tenant = s.tenant and o.job = s.job and o.outcome is null)
    returning 1)
  select count(*) from gone
$$;

revoke all on function tenants_that_remember(), purge_embeddings(interval), purge_staged(interval) from public;
grant execute on function tenants_that_remember(), purge_embeddings(interval), purge_staged(interval) to holdfast_app;
