//! `Login.aspx`.

use super::{Page, Post, Reaction, Show, Visit};
use crate::erp::html::{MAIN, button, esc, input};
use crate::erp::site::{Site, gestionale};

pub(crate) const WRONG: &str = "Nome utente o password non corretti.";
/// After too many wrong passwords, whatever the password is now.
pub(crate) const LOCKED: &str = "Account bloccato";

pub(super) fn show(site: Site) -> Show {
    refused(site, "", "")
}

/// The page after a login that was refused; without a text, before any.
pub(crate) fn refused(site: Site, user: &str, text: &str) -> Show {
    let main = match site {
        Site::Archibald => form(user, &error(text)),
        Site::Gestionale => gestionale::login(user, text),
    };
    Show { title: "Accesso", main, ..Show::default() }
}

pub(super) fn post(visit: &Visit, post: &Post) -> Reaction {
    if post.name() != "LoginButton" {
        return Reaction::Invalid;
    }
    let user = post.form.field("User").to_lowercase();
    let password = post.form.get(&format!("{MAIN}Password")).to_owned();
    Reaction::LogIn { user, password, to: return_url(visit) }
}

/// Only a path of this site: an absolute address would send the agent's browser anywhere.
fn return_url(visit: &Visit) -> String {
    let asked = visit.query.get("ReturnUrl");
    let local = asked.starts_with('/') && !asked.starts_with("//") && !asked.contains(['\\', '\r', '\n']);
    if local { asked.to_owned() } else { format!("/{}", visit.site.file(Page::Default)) }
}

fn error(text: &str) -> String {
    match esc(text).as_str() {
        "" => String::new(),
        text => format!(r#"<div id="ctl00_Main_LoginError" class="validator-shown">{text}</div>"#),
    }
}

fn form(user: &str, error: &str) -> String {
    format!(
        r#"<div class="row-field"><label for="ctl00_Main_User">Utente</label> {user}</div>
<div class="row-field"><label for="ctl00_Main_Password">Password</label>
<input type="password" name="{MAIN}Password" id="ctl00_Main_Password" value="" /></div>
{error}
{button}"#,
        user = input("User", user, r#"autocomplete="off""#),
        button = button("LoginButton", "Accedi", ""),
        error = error,
    )
}
