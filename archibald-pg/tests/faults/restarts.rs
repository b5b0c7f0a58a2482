use tokio::task::block_in_place;

use crate::fleet::{Fleet, Plan};
use crate::judge::judge;
use crate::private::{Private, Restart};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_amid_work_loses_nothing_and_wake_ups_come_back() {
    let private = Private::start();
    let fleet = Fleet::start(&private, Plan::default()).await;
    for how in [Restart::Fast, Restart::Immediate, Restart::Killed, Restart::Fast, Restart::Killed] {
        fleet.settles(20).await;
        block_in_place(|| private.restart(how));
        fleet.settles(20).await;
        fleet.hears().await;
    }
    let told = fleet.ends(&private).await;
    judge(&private, &told);
}
