-- What of an agent waits, in the order in which it goes: 'interactive' comes after 'background'.
CREATE INDEX operations_front ON operations (agent, class DESC, position) WHERE state = 'available';
DROP INDEX operations_waiting;
DROP INDEX operations_waiting_of_agent;

PRAGMA user_version = 4;
