//! Keyed browser pool and ERP client of Archibald over headless Chromium
