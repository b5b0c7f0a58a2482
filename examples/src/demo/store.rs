//! Where the servers of a run keep their state.

use std::path::Path;

use archibald_testing::postgres::{Cluster, ClusterError, ClusterOptions};
use tokio::task::spawn_blocking;

use super::args::Store;
use super::error::DemoError;

/// A store that is there for as long as this value.
#[derive(Debug)]
pub(super) struct OpenStore {
    /// As the server takes it.
    pub(super) url: String,
    /// Its sort, for reports: never a URL, which may hold a password.
    pub(super) name: &'static str,
    _cluster: Option<Cluster>,
}

impl OpenStore {
    /// Opens what was asked for; `fresh` is the SQLite file where nothing was, `private` one of this run.
    ///
    /// # Errors
    /// [`DemoError::Cluster`] when PostgreSQL is missing or does not start.
    pub(super) async fn open(asked: Option<&Store>, fresh: &Path, private: &Path) -> Result<Self, DemoError> {
        let plain = |url: String, name| Self { url, name, _cluster: None };
        Ok(match asked {
            None => plain(format!("sqlite:{}", fresh.display()), "sqlite"),
            Some(Store::Sqlite(path)) => plain(format!("sqlite:{}", path.display()), "sqlite"),
            Some(Store::PrivateSqlite) => plain(format!("sqlite:{}", private.display()), "sqlite"),
            Some(Store::Memory) => plain("memory".to_owned(), "memory"),
            Some(Store::Postgres(url)) => plain(url.clone(), "postgres"),
            Some(Store::PrivatePostgres) => {
                let (cluster, url) = private_cluster().await?;
                Self { url, name: "postgres", _cluster: Some(cluster) }
            }
        })
    }
}

async fn private_cluster() -> Result<(Cluster, String), DemoError> {
    let started = spawn_blocking(|| {
        let cluster = Cluster::start(&ClusterOptions::default())?;
        let url = cluster.create_database("archibald")?;
        Ok::<_, ClusterError>((cluster, url))
    });
    let started = started.await.map_err(|error| DemoError::Cluster(error.to_string()))?;
    started.map_err(|error| DemoError::Cluster(error.to_string()))
}
