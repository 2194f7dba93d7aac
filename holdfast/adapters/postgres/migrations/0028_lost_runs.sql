-- Across tenants, for one purpose: runs that go on, as far as their rows know, so that somebody may ask Temporal.
create function open_runs(p_after text, p_page int)
returns table (tenant text, run_id text) language sql security definer set search_path = holdfast as $$
  select r.tenant, r.id from runs r
  where r.status in ('running', 'paused', 'input_required') and r.id > p_after
  order by r.id limit p_page
$$;
revoke all on function open_runs(text, int) from public;
grant execute on function open_runs(text, int) to holdfast_app;
