create index operations_waiting_of_kind on archibald.operations (agent, kind, position) where state = 'available';
