-- Vectors at half precision: half the size on disk and in memory, cosines the same to the fourth place, and a graph also
-- for models of more than 2,000 dimensions. And how common the common words are, so that no search has to count them.

do $$
declare
  name text;
begin
  for name in select indexname from pg_indexes where schemaname = 'holdfast' and indexname like 'knowledge\_hnsw\_%' loop
    execute format('drop index holdfast.%I', name);
  end loop;
end $$;

alter table knowledge_vectors alter column embedding type halfvec using embedding::halfvec;
alter table embedding_cache alter column embedding type halfvec using embedding::halfvec;
-- Almost random bits: trying to compress them costs time and saves nothing.
alter table knowledge_vectors alter column embedding set storage external;
alter table embedding_cache alter column embedding set storage external;

create or replace function index_vectors(p_model text, p_dimensions int) returns text language plpgsql
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

-- In how many documents a word stands, for words in hundreds of them. Counted anew as a library grows; what a count that
-- is a little old gets wrong about a common word is worth nothing.
create table knowledge_common (
  tenant     text not null references tenants,
  term       text not null,
  documents  bigint not null,
  primary key (tenant, term)
);
call keep_tenants_apart('knowledge_common');
alter table knowledge_totals add column weighed bigint not null default 0;
