//! Programs that wire Archibald up
