-- Who works for a run is asked when its workflow was lost, and must not take a look at every run there is.
create index runs_by_parent on runs (parent) where parent is not null;
