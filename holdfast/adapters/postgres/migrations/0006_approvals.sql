-- A person's word on what waits for one: each stored with its event in one transaction.

-- A key and the one it was rotated into are one voice.
create function same_person(p_one text, p_other text) returns boolean language sql stable as $$
  select p_one = p_other or exists (
    select from api_keys k
    where ('key:' || k.id = p_one and 'key:' || k.rotated_from = p_other)
       or ('key:' || k.id = p_other and 'key:' || k.rotated_from = p_one))
$$;

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
  elsif a.status = 'withdrawn' then refused := 'withdrawn';
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

-- Who may decide can let somebody else decide as well: a group, or one person. It is told in the run's story.
create function delegate_approval(p_tenant text, p_id text, p_by text, p_to text, p_comment text, out refused text)
language plpgsql as $$
declare
  a approvals;
begin
  perform set_config('holdfast.tenant', p_tenant, true);
  select * into a from approvals x where x.id = p_id for update;
  if not found then
    raise exception 'approval % does not exist in this tenant', p_id using errcode = 'HF404';
  elsif a.status = 'withdrawn' then refused := 'withdrawn';
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

-- Across tenants, and for one purpose each ---------------------------------------------------------------------------

-- Decisions that the run has not been told of: the process that took them died, or Temporal was away.
create function unheard_approvals() returns table (tenant text, run_id text, approval_id text)
language sql security definer set search_path = holdfast as $$
  select a.tenant, a.run_id, a.id from approvals a
  where a.decided_at is not null and a.nudged_at is null and a.status in ('approved', 'rejected')
  order by a.decided_at limit 200
$$;

-- Across tenants, for one purpose: what has waited for people for long is told in the run's story, once, so that whoever
-- follows events hears of it. No row is locked but the run's head, runs in their order: nobody waits for each other.
create function tell_idle_approvals(p_after interval) returns int
language plpgsql security definer set search_path = holdfast as $$
declare
  a record;
  told int := 0;
begin
  for a in
    select x.id, x.tenant, x.run_id, x.step_id, x.subject, x.summary, x.terms, x.created_at, x.expires_at
    from approvals x join runs r on r.id = x.run_id
    where x.status = 'pending' and x.created_at <= clock_timestamp() - p_after and x.expires_at > clock_timestamp()
      and r.ended_at is null
      and not exists (select from run_events e where e.run_id = x.run_id and e.key = x.id || ':idle')
    order by x.run_id limit 200
  loop
    perform set_config('holdfast.tenant', a.tenant, true);
    perform tell(a.run_id, jsonb_build_array(jsonb_build_object(
      'key', a.id || ':idle', 'type', 'approval.idle', 'step_id', a.step_id,
      'data', jsonb_build_object('approval_id', a.id, 'subject', a.subject, 'summary', a.summary, 'terms', a.terms,
                                 'asked_at', a.created_at, 'expires_at', a.expires_at))));
    told := told + 1;
  end loop;
  return told;
end $$;

revoke all on function unheard_approvals(), tell_idle_approvals(interval) from public;
grant execute on function unheard_approvals(), tell_idle_approvals(interval) to holdfast_app;
