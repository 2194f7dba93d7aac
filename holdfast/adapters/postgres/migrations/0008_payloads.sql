-- Payloads too large for a Temporal history: written, read by those who hold their key, and purged.

-- Payloads too large for a Temporal history. Keyed by content; the owner is the workflow that first stored them.
create table payloads (
  key          text primary key,
  tenant       text not null default '',
  workflow_id  text not null default '',
  data         bytea not null,
  created_at   timestamptz not null default now()
);
create index payloads_by_workflow on payloads (workflow_id);
alter table payloads alter column data set storage external;

-- Nobody lists them: a process names the keys it wants. Their converter has no tenant to offer, so theirs is that of the
-- run that stored them, where it is one.
call keep_tenants_apart('payloads');
revoke all on payloads from holdfast_app;

create function store_payloads(keys text[], owners text[], contents bytea[]) returns void
language sql volatile security definer set search_path = holdfast as $$
  insert into payloads (key, tenant, workflow_id, data)
  select given.key, coalesce(r.tenant, ''), given.owner, given.content
  from unnest(keys, owners, contents) as given (key, owner, content) left join runs r on r.id = given.owner
  on conflict (key) do nothing
$$;

create function read_payloads(keys text[]) returns table (key text, data bytea)
language sql stable security definer set search_path = holdfast as $$
  select p.key, p.data from payloads p where p.key = any(keys)
$$;

revoke all on function store_payloads(text[], text[], bytea[]), read_payloads(text[]) from public;
grant execute on function store_payloads(text[], text[], bytea[]),
  read_payloads(text[]) to holdfast_app, holdfast_tools;

-- Retention ----------------------------------------------------------------------------------------------------------

-- A payload is needed for as long as a history names it; only Temporal knows that, so these offer what may be gone and
-- delete what was found to be.

-- Owners whose payloads are old, in order: activities that ran without a workflow, and runs that have long ended
-- together with those that started them (the result of a child that continued as new is named by its parent's history).
-- Every other owner is kept: the arguments of a schedule, for one, belong to a workflow id that never runs.
create function payload_owners(older_than interval, after_owner text, page int)
returns table (owner text) language sql stable security definer set search_path = holdfast as $$
  select p.workflow_id from payloads p
  where p.workflow_id > after_owner
  group by p.workflow_id
  having max(p.created_at) < clock_timestamp() - older_than
    and (starts_with(p.workflow_id, 'activity:') or exists (
      with recursive line as (
        select id, parent, ended_at from runs where id = p.workflow_id
        union
        select r.id, r.parent, r.ended_at from runs r join line on r.id = line.parent
      )
      select from line having count(*) > 0 and bool_and(coalesce(ended_at < clock_timestamp() - older_than, false))))
  order by p.workflow_id
  limit page
$$;

create function purge_payloads(owners text[]) returns bigint
language sql security definer set search_path = holdfast as $$
  with gone as (delete from payloads where workflow_id = any(owners) returning 1) select count(*) from gone
$$;

revoke all on function payload_owners(interval, text, int), purge_payloads(text[]) from public;
grant execute on function payload_owners(interval, text, int), purge_payloads(text[]) to holdfast_app;
