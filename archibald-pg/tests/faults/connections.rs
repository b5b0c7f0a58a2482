use crate::fleet::{Fleet, Plan};
use crate::judge::judge;
use crate::private::Private;

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_may_be_cut_in_turn_the_listening_one_too() {
    let private = Private::start();
    let fleet = Fleet::start(&private, Plan::default()).await;
    let mut listeners = 0;
    for _ in 0..3 {
        fleet.settles(5).await;
        let sessions = private.sql(
            "select pid, query ilike 'listen%' from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid()",
        );
        for session in sessions.lines() {
            let (pid, listens) = session.split_once('|').unwrap();
            private.sql(&format!("select pg_terminate_backend({pid})"));
            listeners += usize::from(listens == "t");
            fleet.settles(2).await;
        }
        fleet.hears().await;
    }
    assert!(listeners >= 6, "both processes listen: {listeners}");
    let told = fleet.ends(&private).await;
    judge(&private, &told);
}
