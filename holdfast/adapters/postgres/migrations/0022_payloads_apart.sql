-- Large payloads are read by those who hold their key, and by nobody else: until now a process could have listed those
-- of every tenant. Their converter has no tenant to offer, so theirs is that of the run that stored them, where it is one.

update payloads p set tenant = r.tenant from runs r where r.id = p.workflow_id and p.tenant = '';

call keep_tenants_apart('payloads');
revoke all on payloads from holdfast_app, holdfast_tools;

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
grant execute on function store_payloads(text[], text[], bytea[]), read_payloads(text[]) to holdfast_app, holdfast_tools;
