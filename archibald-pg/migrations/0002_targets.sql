create index operations_of_target on archibald.operations (agent, target, kind, position)
    where target is not null;
create index operations_old on archibald.operations (finished_at) where is_final;
