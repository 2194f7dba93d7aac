-- The routes of models as the llm workers know them, who alone read the models file: a run that begins takes them along.

create table model_routes (
  single   boolean primary key default true check (single),
  routes   jsonb not null,
  told_at  timestamptz not null default clock_timestamp()
);
grant select, insert, update on model_routes to holdfast_app;

create function routes_of_run(p_tenant text, p_run text) returns jsonb language plpgsql as $$
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  return (select nullif(input->'models', 'null'::jsonb) from runs where id = p_run);
end $$;
