use archibald_core::port::{ClientError, Credentials, LoginError};

use super::look::NOTHING;
use super::{Site, client_error};
use crate::driver::{DriverError, Field, Limit, Page};

impl Site {
    /// Logs in, trying once.
    ///
    /// # Errors
    /// [`LoginError::Refused`] with the site's own words, [`LoginError::Unavailable`] for all else.
    ///
    /// # Cancel safety
    /// Dropped, the page is destroyed; the login may have happened.
    pub async fn login(&self, page: &Page, limit: &Limit, who: &Credentials) -> Result<(), LoginError> {
        let unavailable = |error: ClientError| LoginError::Unavailable(error.to_string());
        self.open(page, limit, &self.map.login.path).await.map_err(unavailable)?;
        self.look(page, limit, NOTHING).await.and_then(|look| look.expect_service()).map_err(unavailable)?;
        self.type_login(page, limit, who)
            .await
            .map_err(|error| unavailable(client_error("login", "login", error)))?;
        let look = self.look(page, limit, NOTHING).await.map_err(unavailable)?;
        match look.refusal.as_deref() {
            Some(text) if !text.is_empty() => {
                let (user, text) = (who.user.clone(), text.to_owned());
                Err(LoginError::Refused { user, text, tried: Some(who.clone()) })
            }
            _ => look.expect_user(self, &who.user).map_err(unavailable),
        }
    }

    async fn type_login(&self, page: &Page, limit: &Limit, who: &Credentials) -> Result<(), DriverError> {
        let form = &self.map.login;
        for (selector, value) in [(&form.user, &who.user), (&form.password, &who.password)] {
            page.fill(limit, Field { selector, value, posts_back: false }).await?;
        }
        page.click_through(&limit.within(self.step), &form.submit).await
    }
}
