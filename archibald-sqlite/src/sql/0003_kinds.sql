CREATE INDEX operations_waiting_of_kind ON operations (agent, kind, position) WHERE state = 'available';

PRAGMA user_version = 3;
