//! The workload: which orders are submitted, and whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use archibald_core::id::AgentId;
use archibald_testing::data::{DataSet, Order};

use super::args::Args;
use super::error::DemoError;

/// What the ERP knows and what is submitted.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) data: DataSet,
    pub(crate) agents: Vec<AgentId>,
    /// In order of id.
    pub(crate) orders: Vec<Order>,
    discontinued: BTreeSet<String>,
    /// Arguments that have the simulator know the same.
    pub(crate) erp_args: Vec<OsString>,
}

impl Workload {
    /// Reads or makes the data.
    ///
    /// # Errors
    /// [`DemoError::Data`] for a folder that cannot be read, [`DemoError::Agent`] for a name that is none.
    pub(crate) fn from(args: &Args) -> Result<Self, DemoError> {
        let (agents, count) = (args.agents(), args.orders());
        let mut erp_args: Vec<OsString> = vec!["--agents".into(), agents.to_string().into()];
        let data = match &args.data {
            Some(folder) => {
                erp_args.extend(["--data".into(), folder.into()]);
                DataSet::northwind(folder)?.with_agents(agents)
            }
            None => {
                let made = enough(args.seed, agents, count, args.rejects);
                erp_args.extend(["--orders".into(), made.orders.len().to_string().into()]);
                made
            }
        };
        let orders = data.workload(args.rejects).into_iter().take(count).cloned().collect();
        let discontinued = data.products.iter().filter(|p| p.discontinued).map(|p| p.code.clone()).collect();
        let agents = data.agents.iter().map(|agent| AgentId::new(&agent.user));
        let agents = agents.collect::<Result<_, _>>().map_err(|error| DemoError::Agent(error.got))?;
        Ok(Self { data, agents, orders, discontinued, erp_args })
    }

    /// Each agent's orders, also of those who have none.
    pub(crate) fn by_agent(&self) -> BTreeMap<AgentId, Vec<Order>> {
        let of = |agent: &AgentId| {
            self.orders.iter().filter(|order| order.agent == agent.as_str()).cloned().collect()
        };
        self.agents.iter().map(|agent| (agent.clone(), of(agent))).collect()
    }

    /// Whether the ERP must refuse the order.
    pub(crate) fn is_refusable(&self, order: &Order) -> bool {
        order.lines.iter().any(|line| self.discontinued.contains(&line.product))
    }
}

/// Generated data whose workload has at least `count` orders: those that it leaves out are made up for.
fn enough(seed: u64, agents: usize, count: usize, rejects: bool) -> DataSet {
    let mut made = count;
    loop {
        let data = DataSet::generate(seed, agents, made);
        match count.saturating_sub(data.workload(rejects).len()) {
            0 => return data,
            missing => made += missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn workload(args: &str) -> Workload {
        let args = std::iter::once("demo").chain(args.split_whitespace());
        Workload::from(&Args::try_parse_from(args).unwrap()).unwrap()
    }

    #[test]
    fn as_many_orders_as_asked_for_and_none_that_must_be_refused() {
        let workload = workload("--once --agents 4 --orders 37 --seed 5");
        assert_eq!(workload.orders.len(), 37);
        assert!(!workload.orders.iter().any(|order| workload.is_refusable(order)));
        assert_eq!(workload.by_agent().values().map(Vec::len).sum::<usize>(), 37);
        assert_eq!(workload.by_agent().len(), 4);
    }

    #[test]
    fn with_rejects_some_must_be_refused() {
        let workload = workload("--once --agents 4 --orders 800 --rejects");
        assert_eq!(workload.orders.len(), 800);
        assert!(workload.orders.iter().any(|order| workload.is_refusable(order)));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let args = Args::try_parse_from(["demo", "--data", "no-such-folder"]).unwrap();
        let error = Workload::from(&args).unwrap_err().in_full();
        assert!(error.contains("no-such-folder"), "{error}");
    }
}
