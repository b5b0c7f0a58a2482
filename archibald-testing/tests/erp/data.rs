//! The Northwind files: a small set written here, and the real one where it is at hand.

use std::path::{Path, PathBuf};

use archibald_testing::data::{Cents, DataSet, Percent};

const EMPLOYEES: &str = "employeeID,lastName,firstName,title,city,country\n1,Davolio,Nancy,Rep,Seattle,USA\n2,Fuller,Andrew,\"Vice President, Sales\",Tacoma,USA\n";
const CUSTOMERS: &str = "customerID,companyName,contactName,contactTitle,address,city,region,postalCode,country,phone,fax\nHANAR,Hanari Carnes,X,Y,Rua do Paço, 67,Rio de Janeiro,RJ,05454-876,Brazil,(21) 555-0091,NULL\nALFKI,Alfreds Futterkiste,X,Y,Obere Str. 57,Berlin,NULL,12209,Germany,030-0074321,NULL\n";
const PRODUCTS: &str = "productID,productName,supplierID,categoryID,quantityPerUnit,unitPrice,unitsInStock,unitsOnOrder,reorderLevel,discontinued\n1,Chai,1,1,10 boxes,18.00,39,0,10,0\n5,Gumbo,2,2,36 boxes,21.35,0,0,0,1\n";
const ORDERS: &str = "orderID,customerID,employeeID,orderDate,requiredDate,shippedDate,shipVia,freight,shipName,shipAddress,shipCity,shipRegion,shipPostalCode,shipCountry\n10250,HANAR,2,1996-07-08 00:00:00.000,NULL,NULL,2,65.83,Hanari,Rua do Paço, 67,Rio,RJ,05454,Brazil\n10248,ALFKI,1,1996-07-04 00:00:00.000,NULL,NULL,3,32.38,Alfreds,Obere Str.,Berlin,NULL,12209,Germany\n";
const LINES: &str = "orderID,productID,unitPrice,quantity,discount\n10248,1,14.00,12,0\n10248,1,9.80,10,0.15\n10250,5,16.80,6,0.05\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let files = [
            ("employees.csv", EMPLOYEES),
            ("customers.csv", CUSTOMERS),
            ("products.csv", PRODUCTS),
            ("orders.csv", ORDERS),
            ("order-details.csv", LINES),
        ];
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    /// The message about this folder after one edit of one file.
    fn spoiled(&self, name: &str, from: &str, to: &str) -> String {
        let path = self.0.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = DataSet::northwind(self.0.path()).unwrap_err().to_string();
        std::fs::write(&path, text).unwrap();
        error.replace(&self.0.path().display().to_string(), "FOLDER")
    }
}

#[test]
fn csv_files_become_agents_customers_products_and_orders() {
    let folder = Folder::new();
    let data = DataSet::northwind(folder.0.path()).unwrap();
    assert_eq!((data.agents[0].user.as_str(), data.agents[1].full_name.as_str()), ("nancy", "Andrew Fuller"));
    let hanari = &data.customers[1];
    assert_eq!((hanari.code.as_str(), hanari.street.as_str()), ("HANAR", "Rua do Paço, 67"));
    assert_eq!((hanari.city.as_str(), hanari.phone.as_str()), ("Rio de Janeiro", "(21) 555-0091"));
    let gumbo = &data.products[1];
    assert_eq!((gumbo.code.as_str(), gumbo.price, gumbo.discontinued), ("A0005", Cents(2135), true));
    let first = &data.orders[0];
    assert_eq!(
        (first.id, first.agent.as_str(), first.date.to_string()),
        (10248, "nancy", "1996-07-04".to_owned())
    );
    assert_eq!((first.lines[1].quantity, first.lines[1].discount), (10, Percent(1500)));
    let ids = |rejects| data.workload(rejects).iter().map(|order| order.id).collect::<Vec<_>>();
    assert_eq!((ids(false), ids(true)), (vec![10248], vec![10248, 10250]));
}

#[test]
fn a_bad_file_is_named_with_line_and_column() {
    let folder = Folder::new();
    for (file, from, to, message) in [
        ("products.csv", "21.35", "21,35", "FOLDER/products.csv, line 3, column (all)"),
        (
            "products.csv",
            "21.35",
            "dear",
            "FOLDER/products.csv, line 3, column unitPrice: \"dear\" is not a price",
        ),
        (
            "products.csv",
            "18.00,39,0,10,0",
            "18.00,39,0,10,2",
            "line 2, column discontinued: \"2\" is not 0 or 1",
        ),
        (
            "order-details.csv",
            "0.15",
            "15",
            "order-details.csv, line 3, column discount: \"15\" is not a fraction",
        ),
        (
            "order-details.csv",
            "10248,1,",
            "10248,9,",
            "line 2, column productID: \"9\" is not an id from products",
        ),
        ("order-details.csv", ",12,", ",0,", "line 2, column quantity: \"0\" is not at least 1"),
        ("orders.csv", "1996-07-04", "1996-02-30", "orders.csv, line 3, column orderDate"),
        ("orders.csv", "HANAR", "NOBODY", "orders.csv, line 2, column customerID: \"NOBODY\""),
        ("orders.csv", "HANAR,2", "HANAR,7", "orders.csv, line 2, column employeeID: \"7\""),
        ("employees.csv", "firstName", "name", "employees.csv, line 1: column firstName is missing"),
        ("customers.csv", "ALFKI", "", "customers.csv, line 3, column customerID: \"\" is not a text"),
    ] {
        let error = folder.spoiled(file, from, to);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_missing_file_or_folder_is_named() {
    let folder = Folder::new();
    std::fs::remove_file(folder.0.path().join("orders.csv")).unwrap();
    let error = DataSet::northwind(folder.0.path()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read") && error.ends_with("orders.csv"), "{error}");
    let error = DataSet::northwind(Path::new("/no/such/folder")).unwrap_err().to_string();
    assert_eq!(error, "cannot read /no/such/folder");
}

#[test]
fn the_whole_of_northwind_is_read() {
    let Some(folder) = northwind() else { return };
    let data = DataSet::northwind(&folder).unwrap();
    assert_eq!((data.agents.len(), data.customers.len(), data.products.len()), (9, 91, 77));
    assert_eq!(
        (data.orders.len(), data.orders.iter().map(|order| order.lines.len()).sum::<usize>()),
        (830, 2155)
    );
    assert!(data.orders.iter().all(|order| !order.lines.is_empty()));
    let clean = data.workload(false);
    assert!(clean.len() < 830 && clean.is_sorted_by_key(|order| order.id));
    assert_eq!(data.clone().with_agents(60).agents.len(), 60);
}

/// The folder of the real files, if there is one; says so where there is none.
fn northwind() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/northwind");
    let folder = std::env::var_os("ARCHIBALD_NORTHWIND").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        eprintln!(
            "SKIPPED: no Northwind files at {}; set ARCHIBALD_NORTHWIND to their folder",
            folder.display()
        );
        return None;
    }
    Some(folder)
}
