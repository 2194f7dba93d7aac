-- Which document a row was, for whoever asks what could not be read; and how far the documents of a page are, beside the
-- first of them: one alone may take minutes.
alter table knowledge_staged
  add column document text not null default '', add column code text not null default '',
  add column passages int not null default 0, add column embedded int not null default 0;
