//! The way of a request: session, turn, latency, login, view state, fault, page, effect, answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use super::Behaviour;
use super::fault::{Fault, FaultDesk, Target};
use super::ledger::{Cause, Ledger};
use super::page::{self, Page, Post, Reaction, Visit};
use super::session::{SESSION_COOKIE, Sessions, TICKET_COOKIE};
use super::site::Site;
use super::stats::Stats;
use super::view_state::ViewStateKey;
use super::web::{Answer, Asked, Reply, delta};
use super::world::{Effect, LogIn, World};
use crate::data::{Percent, mix};

/// One simulated ERP.
#[derive(Debug)]
pub(crate) struct Erp {
    pub(crate) site: Site,
    pub(crate) seed: u64,
    pub(crate) books: Mutex<Books>,
    pub(crate) sessions: Sessions,
    pub(crate) faults: Mutex<FaultDesk>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) house: Mutex<House>,
}

/// Data and ledger under one lock, so that the ledger's order is the order in which things happened.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) world: World,
    pub(crate) ledger: Ledger,
}

/// What of the server itself may change while it runs.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) behaviour: Behaviour,
    pub(crate) key: ViewStateKey,
    pub(crate) closed_until: Option<Instant>,
}

impl Erp {
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        lock(&self.house).behaviour
    }

    /// New keys, no sessions; the data stays.
    pub(crate) fn recycle(&self) {
        lock(&self.house).key = ViewStateKey::random();
        self.sessions.expire(None);
    }

    pub(crate) fn key(&self) -> ViewStateKey {
        lock(&self.house).key
    }

    fn closed(&self) -> bool {
        lock(&self.house).closed_until.is_some_and(|until| Instant::now() < until)
    }

    fn close_for_a_while(&self) {
        let mut house = lock(&self.house);
        house.closed_until = Some(Instant::now() + house.behaviour.maintenance);
    }

    fn draw(&self, target: Target<'_>) -> Option<Fault> {
        let fault = lock(&self.faults).draw(target);
        if let Some(fault) = fault {
            self.stats.struck(fault);
        }
        fault
    }
}

/// Carries a request out, to its end. `gone` is cancelled when its client went away.
pub(crate) async fn serve(erp: Arc<Erp>, asked: Asked, gone: CancellationToken) -> Reply {
    let request = erp.stats.request();
    let Some(page) = erp.site.page(asked.uri.path()) else {
        // Like static files (a browser asks for `favicon.ico`): no session, no turn, no wait.
        return Reply::Whole(unknown(erp.site, &asked));
    };
    let behaviour = erp.behaviour();
    let cookie = asked.cookie(SESSION_COOKIE);
    let (session, turn) = erp.sessions.enter(cookie, behaviour.idle);
    let is_new = cookie != Some(session.as_str());
    let _turn = turn.lock().await;
    let _serving = erp.stats.serve(&session, erp.sessions.user_of(&session));
    tokio::time::sleep(behaviour.latency).await;
    let reply = if erp.closed() {
        Reply::Whole(erp.site.maintenance())
    } else {
        Handling { erp: &erp, asked: &asked, page, session: &session, request, behaviour, gone }.reply().await
    };
    match reply {
        Reply::Whole(answer) if is_new => Reply::Whole(answer.with_cookie(SESSION_COOKIE, &session)),
        other => other,
    }
}

/// A request whose turn has come.
struct Handling<'a> {
    erp: &'a Erp,
    asked: &'a Asked,
    page: Page,
    session: &'a str,
    request: u64,
    behaviour: Behaviour,
    gone: CancellationToken,
}

impl Handling<'_> {
    async fn reply(self) -> Reply {
        let page = self.page;
        let ticket = self.asked.cookie(TICKET_COOKIE);
        let user = self.erp.sessions.user(self.session, ticket);
        let agent = user.and_then(|user| self.erp.books().world.agent(&user).cloned());
        if agent.is_none() && page != Page::Login {
            return Reply::Whole(self.to_login());
        }
        let visit = Visit {
            site: self.erp.site,
            page,
            query: self.erp.site.read_query(self.asked.query()),
            url: self.asked.path_and_query().to_owned(),
            agent,
            key: self.erp.key(),
            session: self.session.to_owned(),
        };
        match self.asked.method {
            Method::GET | Method::HEAD => self.load(&visit).await,
            Method::POST => self.post_back(&visit).await,
            _ => Reply::Whole(Answer::html(StatusCode::METHOD_NOT_ALLOWED, "<h1>405</h1>".to_owned())),
        }
    }

    async fn load(&self, visit: &Visit) -> Reply {
        let target = Target { page: visit.page.name(), control: "GET", user: visit.user(), write: None };
        let fault = self.erp.draw(target);
        if let Some(answer) = fault.and_then(|fault| self.before(fault, visit, None)) {
            return Reply::Whole(answer);
        }
        let show = page::load(visit, &self.erp.books().world);
        self.send(fault, visit, visit.render(&show)).await
    }

    async fn post_back(&self, visit: &Visit) -> Reply {
        let Some(post) = Post::open(visit, self.asked.form()) else {
            self.erp.stats.view_state_refused();
            return Reply::Whole(self.erp.site.failure(MAC_FAILED));
        };
        self.erp.stats.posted(visit.page.name(), &post.control);
        let write = page::write_kind(visit, &post);
        let target = Target { page: visit.page.name(), control: &post.control, user: visit.user(), write };
        let fault = self.erp.draw(target);
        if let Some(answer) = fault.and_then(|fault| self.before(fault, visit, Some(&post))) {
            return Reply::Whole(answer);
        }
        if fault == Some(Fault::Late) {
            self.wait_until_given_up().await;
        }
        let answer = self.carry_out(visit, &post, fault);
        self.send(fault, visit, answer).await
    }

    /// The answer of a fault that strikes before anything happened.
    fn before(&self, fault: Fault, visit: &Visit, post: Option<&Post>) -> Option<Answer> {
        match fault {
            Fault::FailBefore => Some(self.erp.site.failure(RUNTIME_ERROR)),
            Fault::Expire => {
                self.erp.sessions.end(self.session);
                Some(self.to_login())
            }
            Fault::Kick => {
                self.erp.sessions.expire(Some(visit.user()));
                Some(self.to_login())
            }
            Fault::Maintenance => {
                self.erp.close_for_a_while();
                Some(self.erp.site.maintenance())
            }
            Fault::Recycle => {
                self.erp.recycle();
                Some(self.erp.site.failure(MAC_FAILED))
            }
            Fault::Reject => {
                let show = page::refused(visit, &self.erp.books().world, post?, "Operazione non consentita.");
                Some(visit.render(&show))
            }
            Fault::Similar => {
                let show = page::similar(visit, &self.erp.books().world, post?)?;
                Some(visit.render(&show))
            }
            Fault::FailAfter
            | Fault::DropAfter
            | Fault::HangAfter
            | Fault::KickNext
            | Fault::Late
            | Fault::Slow
            | Fault::Half
            | Fault::Altered
            | Fault::Truncate
            | Fault::StaleList => None,
        }
    }

    /// What the page makes of the postback, its effect included.
    fn carry_out(&self, visit: &Visit, post: &Post, fault: Option<Fault>) -> Answer {
        let mut books = self.erp.books();
        let books = &mut *books;
        match page::post(visit, &books.world, post) {
            Reaction::Show(show) => visit.render(&show),
            Reaction::Callback(text) => Answer::text(text),
            Reaction::Panel { id, html, state } => visit.render_panel(id, &html, &state),
            Reaction::Invalid => self.erp.site.failure("Invalid postback or callback argument."),
            Reaction::LogIn { user, password, to } => match books.world.log_in(&user, &password) {
                LogIn::Fits => self.log_in(&user, to),
                LogIn::Wrong => self.refuse_login(visit, &user, page::WRONG),
                LogIn::Locked => self.refuse_login(visit, &user, page::LOCKED),
            },
            Reaction::LogOut => {
                self.erp.sessions.end(self.session);
                Answer::redirect(format!("/{}", visit.site.file(Page::Login))).without_cookie(TICKET_COOKIE)
            }
            Reaction::Write(effect) => self.write(visit, post, books, distorted(effect, fault), fault),
        }
    }

    fn log_in(&self, user: &str, to: String) -> Answer {
        self.erp.stats.logged_in(true);
        let ticket = self.erp.sessions.log_in(self.session, user, self.behaviour.single_session);
        Answer::redirect(to).with_cookie(TICKET_COOKIE, &ticket)
    }

    fn refuse_login(&self, visit: &Visit, user: &str, text: &str) -> Answer {
        self.erp.stats.logged_in(false);
        visit.render(&page::login_refused(visit.site, user, text))
    }

    fn write(
        &self,
        visit: &Visit,
        post: &Post,
        books: &mut Books,
        effect: Effect,
        fault: Option<Fault>,
    ) -> Answer {
        let show = match books.world.apply(visit.user(), effect) {
            Ok(applied) => {
                let cause = Cause { user: visit.user(), request: self.request, fault };
                books.ledger.record(cause, &applied);
                self.erp.stats.applied(applied.kind);
                if fault == Some(Fault::StaleList) {
                    books.world.unlist(&applied, Instant::now() + self.behaviour.stale);
                }
                page::written(visit, &books.world, &applied)
            }
            Err(refusal) => page::refused(visit, &books.world, post, &refusal.text),
        };
        visit.render(&show)
    }

    /// The answer as the fault lets it through.
    async fn send(&self, fault: Option<Fault>, visit: &Visit, answer: Answer) -> Reply {
        match fault {
            Some(Fault::FailAfter) => Reply::Whole(self.erp.site.failure(RUNTIME_ERROR)),
            Some(Fault::DropAfter) => Reply::Dropped,
            Some(Fault::Late) => Reply::Silence,
            Some(Fault::HangAfter) => {
                // The thread hangs until the request limit, whether somebody waits or not, and holds the session.
                tokio::time::sleep(self.behaviour.request_limit).await;
                Reply::Silence
            }
            Some(Fault::KickNext) => {
                self.erp.sessions.expire(Some(visit.user()));
                Reply::Whole(answer)
            }
            Some(Fault::Truncate) => Reply::Broken(answer),
            Some(Fault::Half) if mix(self.erp.seed, self.request).is_multiple_of(2) => {
                Reply::Whole(self.erp.site.failure(RUNTIME_ERROR))
            }
            Some(Fault::Slow) => {
                tokio::time::sleep(self.behaviour.slow).await;
                Reply::Whole(answer)
            }
            _ => Reply::Whole(answer),
        }
    }

    /// Until the client hung up, or the request limit; and a while more.
    async fn wait_until_given_up(&self) {
        let _ = tokio::time::timeout(self.behaviour.request_limit, self.gone.cancelled()).await;
        tokio::time::sleep(self.behaviour.late).await;
    }

    fn to_login(&self) -> Answer {
        self.erp.stats.sent_to_login();
        let back: String =
            url::form_urlencoded::byte_serialize(self.asked.path_and_query().as_bytes()).collect();
        let to = format!("/{}?ReturnUrl={back}", self.erp.site.file(Page::Login));
        if self.asked.form().is_async() {
            Answer::text(delta([("pageRedirect", "", &*to)]))
        } else {
            Answer::redirect(to)
        }
    }
}

const MAC_FAILED: &str = "Validation of viewstate MAC failed.";
const RUNTIME_ERROR: &str = "Runtime Error";

/// Locks whatever a panic may have left behind: no invariant spans two statements under these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is saved in place of what was asked for.
fn distorted(effect: Effect, fault: Option<Fault>) -> Effect {
    match (effect, fault) {
        (Effect::SaveOrder { number, mut content }, Some(Fault::Half)) => {
            content.lines.clear();
            Effect::SaveOrder { number, content }
        }
        (Effect::SaveOrder { number, mut content }, Some(Fault::Altered)) => {
            if let Some(line) = content.lines.first_mut() {
                line.discount = rounded(line.discount);
            }
            content.note = content.note.chars().take(10).collect();
            Effect::SaveOrder { number, content }
        }
        (Effect::SaveCustomer { code, mut customer }, Some(Fault::Half)) => {
            customer = crate::data::Customer { name: customer.name, vat: customer.vat, ..Default::default() };
            Effect::SaveCustomer { code, customer }
        }
        (Effect::SaveCustomer { code, mut customer }, Some(Fault::Altered)) => {
            customer.city = customer.city.to_uppercase() + ".";
            Effect::SaveCustomer { code, customer }
        }
        (effect, _) => effect,
    }
}

/// To another multiple of ten: always another value.
fn rounded(discount: Percent) -> Percent {
    let up = (discount.0 / 1_000 + 1) * 1_000;
    Percent(if up > 10_000 { 9_000 } else { up })
}

fn unknown(site: Site, asked: &Asked) -> Answer {
    if asked.uri.path() == "/" {
        return Answer::redirect(format!("/{}", site.file(Page::Default)));
    }
    Answer::html(StatusCode::NOT_FOUND, "<h1>The resource cannot be found.</h1>".to_owned())
}
