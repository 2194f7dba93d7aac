-- Documents, their versions and chunks; the words they are found by; the vectors they are near by.
-- Words: BM25 over a postings table, because the embedded Postgres has pgvector and no other extension.
-- Vectors: at half precision, which is half the size, cosines the same to the fourth place, and a graph also for models of
-- more than 2,000 dimensions. They are almost random bits: trying to compress them costs time and saves nothing.

create table knowledge_documents (
  tenant       text not null references tenants,
  id           text not null,
  key          bigint generated always as identity unique,
  kind         text not null,
  title        text not null,
  media        text not null,
  source       text not null default '',
  component    text not null default '',
  environment  text not null default '',
  alert        text not null default '',
  owner        text not null default '',
  uri          text not null default '',
  tags         text[] not null default '{}',
  questions    text[] not null default '{}',
  runnable     boolean not null default false,
  version      int not null,
  digest       text not null,
  chunks       int not null,
  length       real not null default 0,
  author       text not null default '',
  updated_at   timestamptz,
  ingested_at  timestamptz not null default clock_timestamp(),
  deleted_at   timestamptz,
  primary key (tenant, id)
);
create index knowledge_documents_by_source on knowledge_documents (tenant, source) where deleted_at is null;
create index knowledge_documents_by_digest on knowledge_documents (tenant, digest);

create table knowledge_versions (
  tenant      text not null references tenants,
  document    bigint not null references knowledge_documents (key) on delete cascade,
  version     int not null,
  digest      text not null,
  content     jsonb not null,
  author      text not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (document, version)
);

create table knowledge_chunks (
  tenant    text not null references tenants,
  document  bigint not null references knowledge_documents (key) on delete cascade,
  position  int not null,
  path      jsonb not null,
  span      int4range not null,
  text      text not null,
  code      boolean not null,
  digest    text not null,
  primary key (document, position)
);

-- One row for each word of each document: how often it stands there, its fields weighed, and the document's length.
create table knowledge_postings (
  tenant     text not null,
  term       text not null,
  document   bigint not null references knowledge_documents (key) on delete cascade,
  frequency  real not null,
  length     real not null,
  primary key (tenant, term, document) include (frequency, length)
);
create index knowledge_postings_by_document on knowledge_postings (document);

-- What BM25 needs of the whole, kept with every write so that no search has to count.
create table knowledge_totals (
  tenant     text primary key references tenants,
  documents  bigint not null default 0,
  chunks     bigint not null default 0,
  length     double precision not null default 0,
  weighed    bigint not null default 0
);

-- In how many documents a word stands, for words in hundreds of them. Counted anew as a library grows; what a count that
-- is a little old gets wrong about a common word is worth nothing.
create table knowledge_common (
  tenant     text not null references tenants,
  term       text not null,
  documents  bigint not null,
  primary key (tenant, term)
);

create table knowledge_models (
  tenant      text not null references tenants,
  model       text not null,
  dimensions  int not null check (dimensions between 1 and 16000),
  state       text not null check (state in ('building', 'active', 'retired')),
  created_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, model)
);
create unique index knowledge_one_active_model on knowledge_models (tenant) where state = 'active';

-- `position` -1 is the vector of the document: the mean of its title, its lead and its whole.
create table knowledge_vectors (
  tenant     text not null,
  model      text not null,
  document   bigint not null references knowledge_documents (key) on delete cascade,
  position   int not null,
  embedding  halfvec not null,
  foreign key (tenant, model) references knowledge_models,
  primary key (document, model, position)
);
alter table knowledge_vectors alter column embedding set storage external;

-- Texts already embedded, by digest: an unchanged chunk is never embedded again.
create table embedding_cache (
  tenant     text not null references tenants,
  model      text not null,
  digest     text not null,
  embedding  halfvec not null,
  used_at    timestamptz not null default clock_timestamp(),
  primary key (tenant, model, digest)
);
create index embedding_cache_by_age on embedding_cache (tenant, used_at);
alter table embedding_cache alter column embedding set storage external;

-- Documents handed in and not yet read: what a durable ingestion works off, row by row, whatever dies in between.
create table knowledge_staged (
  tenant   text not null references tenants,
  job      text not null,
  number   int not null,
  draft    jsonb,
  outcome  text,
  message  text not null default '',
  at       timestamptz not null default clock_timestamp(),
  primary key (tenant, job, number)
);
create index knowledge_staged_open on knowledge_staged (tenant, job, number) where outcome is null;

call keep_tenants_apart('knowledge_documents', 'knowledge_versions', 'knowledge_chunks', 'knowledge_postings',
  'knowledge_totals', 'knowledge_common', 'knowledge_models', 'knowledge_vectors', 'embedding_cache',
  'knowledge_staged');

create function count_knowledge(p_documents int, p_chunks int, p_length double precision) returns void language sql as $$
  insert into knowledge_totals as t (tenant, documents, chunks, length)
  values (current_tenant(), p_documents, p_chunks, p_length)
  on conflict (tenant) do update set
    documents = t.documents + excluded.documents, chunks = t.chunks + excluded.chunks, length = t.length + excluded.length
$$;

-- The graph over the vectors of one model, for tenants too large to be searched exactly. Indexes belong to the owner.
create function index_vectors(p_model text, p_dimensions int) returns text language plpgsql
security definer set search_path = holdfast, public as $$
declare
  name text := 'knowledge_hnsw_' || substr(md5(p_model || ' ' || p_dimensions), 1, 16);
begin
  if to_regclass('holdfast.' || name) is null then
    perform pg_advisory_xact_lock(hashtextextended(name, 0));
    execute format(
      'create index if not exists %I on knowledge_vectors using hnsw ((embedding::halfvec(%s)) halfvec_ip_ops)'
      ' where model = %L and position >= -1', name, p_dimensions, p_model);
  end if;
  return name;
end $$;

-- Documents of this tenant that the filter lets through. Every search starts from it.
create function knowledge_matching(p_where jsonb) returns setof knowledge_documents language sql stable as $$
  select d.* from knowledge_documents d
  where d.deleted_at is null
    and (not p_where ? 'kinds' or p_where->'kinds' ? d.kind)
    and (not p_where ? 'ids' or p_where->'ids' ? d.id)
    and (not p_where ? 'source' or d.source = p_where->>'source')
    and (not p_where ? 'component' or d.component = p_where->>'component')
    and (not p_where ? 'environment' or d.environment in ('', p_where->>'environment'))
    and (not p_where ? 'owner' or d.owner = p_where->>'owner')
    and (not p_where ? 'alert' or d.alert = p_where->>'alert')
    and (not p_where ? 'tag' or p_where->>'tag' = any (d.tags))
    and (not p_where ? 'runnable' or d.runnable = (p_where->>'runnable')::boolean)
    and (not p_where ? 'updated_after' or d.updated_at > (p_where->>'updated_after')::timestamptz)
$$;

-- Retention ----------------------------------------------------------------------------------------------------------

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

revoke all on function index_vectors(text, int), purge_embeddings(interval), purge_staged(interval) from public;
grant execute on function index_vectors(text, int), purge_embeddings(interval),
  purge_staged(interval) to holdfast_app;
