-- "Approve this scope for this run": who approves an action may approve others like it, for the rest of its run.

alter table approval_decisions add column scope jsonb;

-- As before, and: all who approve grant the same scope, or none. The envelope is laid with the decision that settles it.
drop function decide_approval(text, text, text, text, text, text, text, jsonb);
create function decide_approval(
  p_tenant text, p_id text, p_approver text, p_decision text, p_digest text, p_effective text, p_comment text,
  p_arguments jsonb, p_scope jsonb default null, out outcome text, out refused text
) language plpgsql as $$
declare
  a approvals;
  voices int;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  select * into a from approvals x where x.id = p_id for update;
  if not found then
    raise exception 'approval % does not exist in this tenant', p_id using errcode = 'HF404';
  elsif a.status <> 'pending' then refused := 'decided';
  elsif a.expires_at <= clock_timestamp() then refused := 'expired';
  elsif a.digest <> p_digest then refused := 'other_digest';
  elsif coalesce((a.terms->>'four_eyes')::boolean, false) and same_person(a.requested_by, p_approver) then refused := 'four_eyes';
  elsif exists (
      select from approval_decisions d where d.approval_id = p_id and same_person(d.approver, p_approver)) then
    refused := 'voted';
  elsif p_decision <> 'reject' and exists (
      select from approval_decisions d where d.approval_id = p_id and d.digest <> p_effective) then
    refused := 'other_edit';
  elsif p_decision <> 'reject' and exists (
      select from approval_decisions d where d.approval_id = p_id and d.decision <> 'reject'
        and d.scope is distinct from p_scope) then
    refused := 'other_scope';
  end if;
  if refused is not null then outcome := a.status; return; end if;

  insert into approval_decisions (approval_id, approver, tenant, decision, digest, comment, arguments, scope)
  values (p_id, p_approver, p_tenant, p_decision, p_effective, p_comment, p_arguments, p_scope);
  select count(*) into voices from approval_decisions d where d.approval_id = p_id and d.decision <> 'reject';
  outcome := case when p_decision = 'reject' then 'rejected'
                  when voices >= coalesce((a.terms->>'quorum')::int, 1) then 'approved' else 'pending' end;
  if outcome <> 'pending' then
    update approvals x set status = outcome, decided_at = clock_timestamp(),
      approved_digest = case when outcome = 'approved' then p_effective end
    where x.id = p_id;
  end if;
  if outcome = 'approved' and p_scope is not null then
    insert into envelopes (approval_id, tenant, run_id, digest, entries)
    values (p_id, p_tenant, a.run_id, p_effective, p_scope) on conflict do nothing;
  end if;
  perform tell(a.run_id, jsonb_build_array(jsonb_build_object(
    'key', p_id || ':decided:' || p_approver, 'type', 'approval.decided', 'step_id', a.step_id,
    'data', jsonb_build_object('approval_id', p_id, 'subject', a.subject, 'approver', p_approver, 'decision', p_decision,
      'status', outcome, 'comment', p_comment, 'digest', p_effective)
      || case when p_scope is null then '{}' else jsonb_build_object('scope', p_scope) end)));
end $$;

-- What an approval met in the end, which may be more than it asked: how many people, and whether any of them wanted the run.
create function envelope_terms(a approvals) returns jsonb language sql stable as $$
  select a.terms || jsonb_build_object('quorum', greatest(count(*), 1),
                                       'four_eyes', not coalesce(bool_or(same_person(a.requested_by, d.approver)), true))
  from approval_decisions d where d.approval_id = a.id and d.decision <> 'reject'
$$;
