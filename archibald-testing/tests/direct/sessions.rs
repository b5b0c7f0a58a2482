//! Logging in, keeping warm, making room, ending.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::port::{AcquireError, BrowserPool, ClientError, Finish, LoginError, PoolOccupancy};
use archibald_testing::credentials::{CorrectedCredentials, FixedCredentials};
use archibald_testing::direct::{DirectError, DirectOptions, DirectPool};
use archibald_testing::erp::{Behaviour, Fault, FaultRule, WRONG_PASSWORDS};

use crate::stage::{LONG, Lease, SHORT, Stage, fast, id, request, until};

#[tokio::test]
async fn an_agent_logs_in_once_and_is_kept_warm() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        let session = stage.session().await;
        session.client().check_health().await.unwrap();
        assert_eq!(stage.pool.occupancy().in_use, 1);
        session.finish(Finish::Clean).await;
    }
    let occupancy = PoolOccupancy { capacity: 2, idle: 1, logins: 1, ..PoolOccupancy::default() };
    assert_eq!(stage.pool.occupancy(), occupancy);
    assert_eq!(stage.erp.stats().logins, 1);
}

#[tokio::test]
async fn a_session_that_is_dirty_or_dropped_is_replaced() {
    let stage = Stage::new().await;
    stage.session().await.finish(Finish::Dirty).await;
    assert_eq!((stage.pool.occupancy().idle, stage.pool.occupancy().in_use), (0, 0));
    drop(stage.session().await);
    assert_eq!((stage.pool.occupancy().idle, stage.pool.occupancy().in_use), (0, 0));
    stage.session().await.finish(Finish::Clean).await;
    assert_eq!(stage.erp.stats().logins, 3);
}

#[tokio::test]
async fn an_ended_session_is_logged_in_again() {
    let stage = Stage::new().await;
    stage.session().await.finish(Finish::Clean).await;
    assert_eq!(stage.erp.expire(Some("nancy")), 1);
    stage.session().await.client().check_health().await.unwrap();
    assert_eq!(stage.pool.occupancy().logins, 2);
}

#[tokio::test]
async fn a_warm_session_of_another_user_is_never_gone_on_with() {
    let stage = Stage::new().await;
    stage.session().await.finish(Finish::Clean).await;
    stage.credentials.set(id("nancy"), "andrew", "andrew-secret");
    let session = stage.session().await;
    session.client().check_health().await.unwrap();
    let shown = String::from_utf8(session.client().capture().await.remove(0).bytes).unwrap();
    assert!(shown.contains(r#"<span id="ctl00_UserName">andrew</span>"#), "{shown}");
    assert_eq!(stage.pool.occupancy().logins, 2);
}

#[tokio::test]
async fn a_warm_session_of_a_password_that_was_replaced_is_never_gone_on_with() {
    let stage = Stage::new().await;
    stage.session().await.finish(Finish::Clean).await;
    stage.credentials.set(id("nancy"), "nancy", "wrong");
    let refused = stage.acquire("nancy", LONG).await.err().unwrap();
    assert!(matches!(&refused, AcquireError::Login(LoginError::Refused { .. })), "{refused}");
    stage.credentials.set(id("nancy"), "nancy", "nancy-secret");
    stage.session().await.finish(Finish::Clean).await;
    assert_eq!(stage.pool.occupancy().logins, 2);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_told_in_the_erps_words() {
    let stage = Stage::new().await;
    stage.credentials.set(id("nancy"), "nancy", "wrong");
    let refused = stage.acquire("nancy", LONG).await.err().unwrap();
    let AcquireError::Login(LoginError::Refused { user, text, .. }) = &refused else { panic!("{refused}") };
    assert_eq!((user.as_str(), text.as_str()), ("nancy", "Nome utente o password non corretti."));
    assert_eq!(stage.erp.stats().logins_refused, 1);
    assert_eq!(stage.pool.occupancy(), PoolOccupancy { capacity: 2, ..PoolOccupancy::default() });
    stage.credentials.set(id("nancy"), "nancy", "nancy-secret");
    stage.session().await;
}

/// Else an operator who corrects a password while it is being tried would find the agent locked out by the old one.
#[tokio::test]
async fn a_refused_password_that_was_replaced_meanwhile_locks_nobody_out() {
    let stage = Stage::new().await;
    let right = FixedCredentials::new().with(id("nancy"), "nancy", "nancy-secret");
    let corrected = Arc::new(CorrectedCredentials::new(right));
    let pool = DirectPool::new(&stage.erp.url(), corrected, DirectOptions::default()).unwrap();
    let asked = || request("nancy", Arc::new(Lease::holds()), LONG);
    let error = pool.acquire(asked()).await.err().unwrap();
    let AcquireError::Unusable(why) = &error else { panic!("{error}") };
    assert_eq!(
        (why.as_str(), stage.erp.stats().logins_refused),
        ("its credentials were changed meanwhile", 1)
    );
    pool.acquire(asked()).await.unwrap().finish(Finish::Clean).await;
    assert_eq!(pool.occupancy().idle, 1);
    pool.end(&id("nancy")).await;
    assert_eq!(pool.occupancy().idle, 0);
}

#[tokio::test]
async fn an_account_that_wrong_passwords_locked_is_told_until_it_is_unlocked() {
    let stage = Stage::new().await;
    stage.credentials.set(id("nancy"), "nancy", "wrong");
    for _ in 0..WRONG_PASSWORDS {
        assert!(stage.acquire("nancy", LONG).await.is_err());
    }
    stage.credentials.set(id("nancy"), "nancy", "nancy-secret");
    let refused = stage.acquire("nancy", LONG).await.err().unwrap();
    let AcquireError::Login(LoginError::Refused { text, .. }) = &refused else { panic!("{refused}") };
    assert_eq!(text, "Account bloccato");
    stage.control().unlock("nancy").await.unwrap();
    stage.session().await;
}

#[tokio::test]
async fn without_credentials_nothing_is_asked() {
    let stage = Stage::new().await;
    let error = stage.acquire("nobody", LONG).await.err().unwrap();
    assert!(matches!(&error, AcquireError::Login(LoginError::NoCredentials(who)) if *who == id("nobody")));
    assert_eq!(stage.erp.stats().requests, 0);
}

#[tokio::test]
async fn a_login_page_that_is_not_served_is_told() {
    let stage = Stage::new().await;
    stage.erp.script([FaultRule::next("Login.aspx", "GET", Fault::Maintenance)]);
    let error = stage.acquire("nancy", LONG).await.err().unwrap();
    let text =
        "the login page cannot be used: the ERP is unavailable: Login.aspx answers 503 Sito in manutenzione";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn a_full_pool_says_so_and_makes_room_for_who_waits() {
    let stage = Stage::with(fast(), DirectOptions { capacity: 1, request_limit: LONG }).await;
    let nancy = stage.session().await;
    let full = stage.acquire("andrew", SHORT).await.err().unwrap();
    assert!(matches!(full, AcquireError::Saturated { in_use: 1 }), "{full}");
    let (andrew, ()) = tokio::join!(stage.acquire("andrew", LONG), nancy.finish(Finish::Clean));
    andrew.unwrap().client().check_health().await.unwrap();
    let occupancy = stage.pool.occupancy();
    assert_eq!((occupancy.idle, occupancy.evictions), (0, 1), "one session may exist: nancy's went");
}

#[tokio::test]
async fn an_agent_has_one_session_and_one_login_however_many_ask() {
    let stage = Stage::new().await;
    let ask = async || stage.acquire("nancy", LONG).await.unwrap().finish(Finish::Clean).await;
    tokio::join!(ask(), ask(), ask(), ask());
    assert_eq!(stage.erp.stats().logins, 1);
    let _held = stage.session().await;
    let error = stage.acquire("nancy", SHORT).await.err().unwrap();
    assert!(matches!(&error, AcquireError::Unusable(text) if text.contains("in use elsewhere")), "{error}");
    assert_eq!(stage.pool.occupancy().in_use, 1, "who waits for nancy takes no slot from others");
}

#[tokio::test]
async fn a_login_that_was_begun_goes_on_and_becomes_an_idle_session() {
    let behaviour = Behaviour { latency: Duration::from_millis(20), ..fast() };
    let stage = Stage::with(behaviour, DirectOptions::default()).await;
    tokio::select! {
        _ = stage.acquire("nancy", LONG) => panic!("a login takes more requests than its first"),
        () = until(|| stage.erp.stats().requests >= 1) => {}
    }
    assert_eq!(stage.pool.occupancy().in_use, 0, "the place was given up");
    until(|| stage.pool.occupancy().idle == 1).await;
    stage.session().await;
    assert_eq!(stage.erp.stats().logins, 1);
}

#[tokio::test]
async fn a_lost_lease_gets_no_session_and_asks_nothing() {
    let stage = Stage::new().await;
    let lease = Arc::new(Lease::holds());
    lease.lose_after(0);
    let error = stage.pool.acquire(request("nancy", lease, LONG)).await.err().unwrap();
    assert!(matches!(error, AcquireError::LeaseLost(_)), "{error}");
    assert_eq!(stage.erp.stats().requests, 0);
}

#[tokio::test]
async fn a_shutdown_waits_for_sessions_and_lets_nobody_in() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let ending = stage.pool.shutdown(LONG);
    let story = async {
        let error = stage.acquire("andrew", LONG).await.err().unwrap();
        assert!(matches!(error, AcquireError::Draining), "{error}");
        session.client().check_health().await.expect("what is in use goes on");
        session.finish(Finish::Clean).await;
    };
    tokio::join!(ending, story);
    assert_eq!(stage.pool.occupancy().idle, 0);
}

#[tokio::test]
async fn what_outlasts_the_grace_of_a_shutdown_loses_its_page() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.pool.shutdown(Duration::ZERO).await;
    let error = session.client().check_health().await.unwrap_err();
    assert!(matches!(error, ClientError::PageLost(_)), "{error}");
}

#[tokio::test]
async fn a_pool_that_cannot_be_is_refused_by_name() {
    let stage = Stage::new().await;
    let new = |base: &str, capacity| {
        let options = DirectOptions { capacity, ..DirectOptions::default() };
        DirectPool::new(base, stage.credentials.clone(), options).err()
    };
    for base in ["", "127.0.0.1:80", "https://127.0.0.1", "ftp://x"] {
        assert_eq!(new(base, 1), Some(DirectError::Address(base.to_owned())));
    }
    assert_eq!(new("http://127.0.0.1:1", 0), Some(DirectError::Capacity));
}
