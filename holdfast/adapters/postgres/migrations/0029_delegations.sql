-- Who may decide can let somebody else decide as well: a group, or one person. It is told in the run's story.
alter table approvals add column delegations jsonb not null default '[]';

create function delegate_approval(p_tenant text, p_id text, p_by text, p_to text, p_comment text, out refused text)
language plpgsql as $$
declare
  a approvals;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  select * into a from approvals x where x.id = p_id for update;
  if not found then
    raise exception 'approval % does not exist in this tenant', p_id using errcode = 'HF404';
  elsif a.status <> 'pending' then refused := 'decided';
  elsif a.expires_at <= clock_timestamp() then refused := 'expired';
  elsif jsonb_array_length(a.delegations) >= 16 then refused := 'passed_around';
  end if;
  if refused is not null or a.delegations @> jsonb_build_array(jsonb_build_object('to', p_to)) then return; end if;

  update approvals x set delegations = x.delegations || jsonb_build_array(
    jsonb_build_object('to', p_to, 'by', p_by, 'comment', p_comment, 'at', clock_timestamp()))
  where x.id = p_id;
  perform tell(a.run_id, jsonb_build_array(jsonb_build_object(
    'key', p_id || ':delegated:' || p_to, 'type', 'approval.delegated', 'step_id', a.step_id,
    'data', jsonb_build_object('approval_id', p_id, 'by', p_by, 'to', p_to, 'comment', p_comment))));
end $$;
