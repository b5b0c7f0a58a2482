//! Types, ports, the scheduler and the effect rules of Archibald: pure, no I/O
