-- Panels that sit inside runs: what each voice said, as it comes; and what models think of actions the rules leave unclear.

alter table panel_results drop constraint panel_results_pkey, add primary key (tenant, id);
create index panel_results_by_step on panel_results (run_id, step_id, created_at desc) where run_id is not null;
drop index panel_results_by_run;

-- Until the panel has its result: a worker that takes over after a crash asks nobody twice.
create table panel_notes (
  tenant      text not null,
  panel_id    text not null,
  turn        text not null,
  text        text not null,
  cost_usd    numeric(18, 9) not null,
  latency_ms  double precision not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, panel_id, turn)
);
create index panel_notes_by_age on panel_notes (created_at);

-- One row for each question the guardian put to a model: the same facts about the same call in the same place are one
-- question. An unusable answer is kept so that the verdict can say so; it answers nothing for later actions.
create table judge_opinions (
  tenant      text not null,
  question    text not null,
  run_id      text not null,
  step_id     text not null,
  usable      boolean not null,
  opinion     jsonb not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (tenant, question)
);
create index judge_opinions_by_age on judge_opinions (created_at);

call keep_tenants_apart('panel_notes');
call keep_tenants_apart('judge_opinions');
