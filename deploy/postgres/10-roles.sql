-- Run once by a superuser in the database of Holdfast, by psql; the Postgres image does so on its first start.
-- Three ways in, and none of them may do more than its work:
--   holdfast_owner    owns the schema and migrates it. Sees every tenant, as the owner of every table: a few functions work
--                     across them with its rights.
--   holdfast_service  API and workers. Has the rights of holdfast_app, under row-level security.
--   holdfast_toolbox  the tools workers. Has those of holdfast_tools: ledger, story, artifacts and payloads, nothing else.
\set ON_ERROR_STOP on
\getenv owner_password HOLDFAST_OWNER_PASSWORD
\getenv service_password HOLDFAST_SERVICE_PASSWORD
\getenv toolbox_password HOLDFAST_TOOLBOX_PASSWORD

create role holdfast_app nologin;
create role holdfast_tools nologin;
create role holdfast_owner login password :'owner_password';
alter role holdfast_owner set search_path = holdfast, public;
create role holdfast_service login password :'service_password' in role holdfast_app;
create role holdfast_toolbox login password :'toolbox_password' in role holdfast_tools;

create extension if not exists vector with schema public;

revoke create on schema public from public;
select format('revoke all on database %I from public', current_database()) \gexec
select format('grant connect, create, temporary on database %I to holdfast_owner', current_database()) \gexec
select format('grant connect on database %I to holdfast_service, holdfast_toolbox', current_database()) \gexec
