-- Agents that were added while the service ran: how they log in, encrypted by whoever keeps them here.
create table archibald.kept_agents (
    agent text primary key,
    sealed bytea not null
);
