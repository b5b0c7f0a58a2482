//! CSV: five files in one, each behind a line with its name.

use std::path::Path;

use archibald_testing::data::DataSet;

pub(super) const WORDS: &[&str] = &[
    ",",
    "\"",
    "\n",
    "\r\n",
    "\"\"",
    "NULL",
    "employeeID",
    "0.15",
    "-1",
    "99999999999",
    "1996-07-04",
    "\u{feff}",
    ";",
    "== orders\n",
    "== products\n",
    "\u{e9}",
    "\0",
];

const FILES: [&str; 5] = ["employees", "customers", "products", "orders", "order-details"];

pub(super) fn read(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    for name in FILES {
        let content = part(bytes, name);
        let path = folder.path().join(format!("{name}.csv"));
        if std::fs::write(path, content).is_err() {
            return;
        }
    }
    match DataSet::northwind(folder.path()) {
        Ok(data) => belongs_together(&data),
        Err(error) => names_a_file(&error.to_string(), folder.path()),
    }
}

fn part<'a>(bytes: &'a [u8], name: &str) -> &'a [u8] {
    let heading = format!("== {name}\n");
    let find = |within: &[u8], what: &[u8]| within.windows(what.len()).position(|window| window == what);
    let Some(at) = find(bytes, heading.as_bytes()) else { return &[] };
    let rest = &bytes[at + heading.len()..];
    &rest[..find(rest, b"\n== ").map_or(rest.len(), |end| end + 1)]
}

/// An order is of an agent and a customer that are there, and so are its products.
fn belongs_together(data: &DataSet) {
    for order in &data.orders {
        assert!(data.agents.iter().any(|agent| agent.user == order.agent), "{order:?}");
        assert!(data.customers.iter().any(|customer| customer.code == order.customer), "{order:?}");
        for line in &order.lines {
            assert!(data.products.iter().any(|product| product.code == line.product), "{order:?}");
        }
    }
}

fn names_a_file(words: &str, folder: &Path) {
    let named = FILES.iter().any(|name| words.contains(&format!("{}/{name}.csv", folder.display())));
    assert!(named, "{words}");
}
