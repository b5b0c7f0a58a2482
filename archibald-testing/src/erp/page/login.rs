//! `Login.aspx`.

use super::{Post, Reaction, Show, Visit};
use crate::erp::html::{MAIN, button, esc, input};

pub(crate) const WRONG: &str = "Nome utente o password non corretti.";
/// After too many wrong passwords, whatever the password is now.
pub(crate) const LOCKED: &str = "Account bloccato";

pub(super) fn show(user: &str) -> Show {
    form(user, "")
}

/// The page after a login that was refused.
pub(crate) fn refused(user: &str, text: &str) -> Show {
    let text = esc(text);
    form(user, &format!(r#"<div id="ctl00_Main_LoginError" class="validator-shown">{text}</div>"#))
}

pub(super) fn post(visit: &Visit, post: &Post) -> Reaction {
    if post.name() != "LoginButton" {
        return Reaction::Invalid;
    }
    let user = post.form.field("User").to_lowercase();
    let password = post.form.get(&format!("{MAIN}Password")).to_owned();
    Reaction::LogIn { user, password, to: return_url(visit.query.get("ReturnUrl")) }
}

/// Only a path of this site: an absolute address would send the agent's browser anywhere.
fn return_url(asked: &str) -> String {
    let local = asked.starts_with('/') && !asked.starts_with("//") && !asked.contains(['\\', '\r', '\n']);
    if local { asked.to_owned() } else { "/Default.aspx".to_owned() }
}

fn form(user: &str, error: &str) -> Show {
    let main = format!(
        r#"<div class="row-field"><label for="ctl00_Main_User">Utente</label> {user}</div>
<div class="row-field"><label for="ctl00_Main_Password">Password</label>
<input type="password" name="{MAIN}Password" id="ctl00_Main_Password" value="" /></div>
{error}
{button}"#,
        user = input("User", user, r#"autocomplete="off""#),
        button = button("LoginButton", "Accedi", ""),
        error = error,
    );
    Show { title: "Accesso", main, ..Show::default() }
}
