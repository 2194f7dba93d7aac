-- Webhooks are edited, and their secrets changed without a message that nobody can check.

alter table webhooks
  add column version int not null default 1,
  add column old_secret text,
  add column old_secret_until timestamptz;

-- Secrets that are not sealed with the key in force: in clear, from before there was one, or under a retired key.
create function webhooks_to_seal(p_mark text) returns table (tenant text, id text, secret text, old_secret text)
language sql security definer set search_path = holdfast as $$
  select w.tenant, w.id, w.secret, w.old_secret from webhooks w
  where not starts_with(w.secret, p_mark) or (w.old_secret is not null and not starts_with(w.old_secret, p_mark))
  limit 1000
$$;
revoke all on function webhooks_to_seal(text) from public;
grant execute on function webhooks_to_seal(text) to holdfast_app;
