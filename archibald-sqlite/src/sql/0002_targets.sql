CREATE INDEX operations_of_target ON operations (agent, target, kind, position) WHERE target IS NOT NULL;
CREATE INDEX operations_old ON operations (finished_at) WHERE unfinished = 0;

PRAGMA user_version = 2;
