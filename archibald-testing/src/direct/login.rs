//! Logging in, once.

use archibald_core::port::{AcquireError, ClientError, Credentials, LoginError};

use super::form::Form;
use super::page::Page;
use super::tab::Tab;
use super::wire::Asked;

/// Logs in with what the tab's user has, and looks whose session it became. Tried once: a refused password
/// that is tried again locks the account.
pub(super) async fn log_in(tab: &Tab, credentials: &Credentials) -> Result<(), AcquireError> {
    match attempt(tab, credentials).await {
        Ok(None) => tab.check_user().await.map_err(unusable),
        Ok(Some(text)) => {
            let (user, tried) = (credentials.user.clone(), Some(credentials.clone()));
            Err(LoginError::Refused { user, text, tried }.into())
        }
        Err(ClientError::LeaseLost(lost)) => Err(lost.into()),
        Err(error) => Err(LoginError::Unavailable(error.to_string()).into()),
    }
}

/// The error of a session that was just logged in, or just taken up again.
pub(super) fn unusable(error: ClientError) -> AcquireError {
    match error {
        ClientError::LeaseLost(lost) => lost.into(),
        other => AcquireError::Unusable(other.to_string()),
    }
}

/// The ERP's words where it refused.
async fn attempt(tab: &Tab, credentials: &Credentials) -> Result<Option<String>, ClientError> {
    let login = Asked::get(tab.site.at("/Login.aspx", &[("ReturnUrl", "/Default.aspx")]));
    let mut form = Form::of(&Page::served(&tab.ask(login).await?)?)?;
    form.fill("User", &credentials.user)?;
    form.fill("Password", &credentials.password)?;
    let answer = tab.ask(form.press("LoginButton")?).await?;
    if answer.is_redirect() && !answer.leads_to_login() {
        return Ok(None);
    }
    Page::served(&answer)?.expect_text("LoginError").map(|text| Some(text.to_owned()))
}
