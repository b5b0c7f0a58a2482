//! The Northwind sample as five CSV files: `employees`, `customers`, `products`, `orders`, `order-details`.
//!
//! Two oddities of those files are met here. Addresses hold commas without quotes, so a row may have more fields
//! than the header: the surplus belongs to the address. And `order-details.csv` keeps discounts as fractions
//! (`0.15`), which become per cent (15.00).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::StringRecord;
use jiff::civil::Date;

use super::{Agent, Cents, Customer, DataSet, Line, Order, Percent, Product};

/// Data that cannot be read. Every variant names the file; those about content also line and column.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder or a file in it cannot be opened or read.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// Folder or file.
        file: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is no CSV in UTF-8.
    #[error("{}, line {line}: not well-formed CSV", file.display())]
    Malformed {
        /// File.
        file: PathBuf,
        /// Line, counted from 1; 0 where the reader does not know it.
        line: u64,
        /// What the reader says.
        #[source]
        source: csv::Error,
    },
    /// A column that must be there is not in the header.
    #[error("{}, line 1: column {column} is missing", file.display())]
    NoColumn {
        /// File.
        file: PathBuf,
        /// Name of the column.
        column: &'static str,
    },
    /// A field says something that it must not.
    #[error("{}, line {line}, column {column}: {found:?} is not {expected}", file.display())]
    Field {
        /// File.
        file: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// Name of the column.
        column: &'static str,
        /// The field's text.
        found: String,
        /// What was expected in its place.
        expected: &'static str,
    },
}

impl DataSet {
    /// Reads the folder of CSV files. Agents are the employees' first names in lower case, product codes are
    /// `A` and the product's id in four digits, VAT numbers, which Northwind lacks, are made from the place.
    pub fn northwind(folder: &Path) -> Result<Self, DataError> {
        std::fs::read_dir(folder)
            .map_err(|source| DataError::Unreadable { file: folder.to_owned(), source })?;
        let employees = employees(folder)?;
        let customers = customers(folder)?;
        let products = products(folder)?;
        let orders = orders(folder, &employees, &customers, &products)?;
        let agents = employees.into_values().collect();
        Ok(Self { agents, customers, products, orders })
    }
}

fn employees(folder: &Path) -> Result<BTreeMap<u32, Agent>, DataError> {
    let table = Table::open(folder, "employees.csv", None)?;
    let (id, first, last) =
        (table.column("employeeID")?, table.column("firstName")?, table.column("lastName")?);
    let agent = |row: Row<'_>| {
        let (first, last) = (row.filled(first)?, row.text(last));
        Ok((row.number(id)?, Agent { user: first.to_lowercase(), full_name: format!("{first} {last}") }))
    };
    table.rows(agent).collect()
}

fn customers(folder: &Path) -> Result<Vec<Customer>, DataError> {
    let table = Table::open(folder, "customers.csv", Some("address"))?;
    let [code, name, street, city] =
        ["customerID", "companyName", "address", "city"].map(|c| table.column(c));
    let [postal, country, phone] = ["postalCode", "country", "phone"].map(|c| table.column(c));
    let (code, name, street, city) = (code?, name?, street?, city?);
    let (postal, country, phone) = (postal?, country?, phone?);
    let customer = |row: Row<'_>| {
        Ok(Customer {
            code: row.filled(code)?,
            name: row.filled(name)?,
            vat: format!("IT{:011}", 10_000_000_000 + row.line * 7_919),
            street: row.text(street),
            city: row.text(city),
            postal_code: row.text(postal),
            country: row.text(country),
            email: String::new(),
            phone: row.text(phone),
        })
    };
    let mut customers: Vec<Customer> = table.rows(customer).collect::<Result<_, _>>()?;
    customers.sort_by(|a, b| a.code.cmp(&b.code));
    Ok(customers)
}

fn products(folder: &Path) -> Result<Vec<Product>, DataError> {
    let table = Table::open(folder, "products.csv", None)?;
    let [id, name, unit] = ["productID", "productName", "quantityPerUnit"].map(|c| table.column(c));
    let (id, name, unit) = (id?, name?, unit?);
    let (price, discontinued) = (table.column("unitPrice")?, table.column("discontinued")?);
    let product = |row: Row<'_>| {
        Ok(Product {
            code: product_code(row.number(id)?),
            description: row.filled(name)?,
            unit: row.text(unit),
            price: row.parse::<Cents>(price, "a price like 12.50")?,
            discontinued: row.one_of(discontinued, &[("0", false), ("1", true)], "0 or 1")?,
        })
    };
    let mut products: Vec<Product> = table.rows(product).collect::<Result<_, _>>()?;
    products.sort_by(|a, b| a.code.cmp(&b.code));
    Ok(products)
}

fn orders(
    folder: &Path,
    employees: &BTreeMap<u32, Agent>,
    customers: &[Customer],
    products: &[Product],
) -> Result<Vec<Order>, DataError> {
    let mut lines = lines(folder, products)?;
    let table = Table::open(folder, "orders.csv", Some("shipAddress"))?;
    let [id, customer, employee, date] =
        ["orderID", "customerID", "employeeID", "orderDate"].map(|c| table.column(c));
    let (id, customer, employee, date) = (id?, customer?, employee?, date?);
    let order = |row: Row<'_>| {
        let id: u64 = row.number(id)?;
        let agent = employees.get(&row.number(employee)?);
        let agent = agent.ok_or_else(|| row.wrong(employee, "an id from employees.csv"))?.user.clone();
        let known = row.text(customer);
        if !customers.iter().any(|c| c.code == known) {
            return Err(row.wrong(customer, "an id from customers.csv"));
        }
        let day = row.text(date).chars().take(10).collect::<String>();
        let date = day.parse::<Date>().map_err(|_| row.wrong(date, "a date like 1998-05-06"))?;
        Ok((id, Order { id, agent, customer: known, date, lines: Vec::new() }))
    };
    let orders: BTreeMap<u64, Order> = table.rows(order).collect::<Result<_, _>>()?;
    let filled = orders.into_values().map(|o| Order { lines: lines.remove(&o.id).unwrap_or_default(), ..o });
    Ok(filled.collect())
}

fn lines(folder: &Path, products: &[Product]) -> Result<BTreeMap<u64, Vec<Line>>, DataError> {
    let table = Table::open(folder, "order-details.csv", None)?;
    let [order, product, quantity, discount] =
        ["orderID", "productID", "quantity", "discount"].map(|c| table.column(c));
    let (order, product, quantity, discount) = (order?, product?, quantity?, discount?);
    let line = |row: Row<'_>| {
        let code = product_code(row.number(product)?);
        if products.binary_search_by(|p| p.code.cmp(&code)).is_err() {
            return Err(row.wrong(product, "an id from products.csv"));
        }
        let pieces = row.number(quantity)?;
        if pieces == 0 {
            return Err(row.wrong(quantity, "at least 1"));
        }
        Ok((row.number(order)?, Line { product: code, quantity: pieces, discount: row.fraction(discount)? }))
    };
    let mut lines: BTreeMap<u64, Vec<Line>> = BTreeMap::new();
    for row in table.rows(line) {
        let (order, line) = row?;
        lines.entry(order).or_default().push(line);
    }
    Ok(lines)
}

fn product_code(id: u32) -> String {
    format!("A{id:04}")
}

/// One CSV file, read whole.
struct Table {
    file: PathBuf,
    header: Vec<String>,
    records: Vec<(u64, StringRecord)>,
    /// Place of the column whose unquoted commas make a row longer than the header.
    loose: Option<usize>,
}

#[derive(Clone, Copy)]
struct Column {
    place: usize,
    name: &'static str,
}

struct Row<'a> {
    table: &'a Table,
    line: u64,
    record: &'a StringRecord,
}

impl Table {
    fn open(folder: &Path, name: &str, loose: Option<&'static str>) -> Result<Self, DataError> {
        let file = folder.join(name);
        let bytes =
            std::fs::read(&file).map_err(|source| DataError::Unreadable { file: file.clone(), source })?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
        let malformed = |source: csv::Error| {
            let line = source.position().map_or(0, csv::Position::line);
            DataError::Malformed { file: file.clone(), line, source }
        };
        let header = reader.headers().map_err(malformed)?.iter().map(str::to_owned).collect();
        let line_of = |r: StringRecord| (r.position().map_or(0, csv::Position::line), r);
        let records =
            reader.records().map(|r| r.map(line_of)).collect::<Result<_, _>>().map_err(malformed)?;
        let mut table = Self { file, header, records, loose: None };
        table.loose = loose.map(|column| table.column(column)).transpose()?.map(|c| c.place);
        table.check_widths()?;
        Ok(table)
    }

    fn check_widths(&self) -> Result<(), DataError> {
        let width = self.header.len();
        let fits = |len: usize| len == width || (self.loose.is_some() && len > width);
        let Some((line, record)) = self.records.iter().find(|(_, r)| !fits(r.len())) else { return Ok(()) };
        Err(DataError::Field {
            file: self.file.clone(),
            line: *line,
            column: "(all)",
            found: record.iter().collect::<Vec<_>>().join(","),
            expected: "a row with as many fields as the header",
        })
    }

    fn column(&self, name: &'static str) -> Result<Column, DataError> {
        let place = self.header.iter().position(|h| h == name);
        let place = place.ok_or_else(|| DataError::NoColumn { file: self.file.clone(), column: name })?;
        Ok(Column { place, name })
    }

    fn rows<'a, T>(
        &'a self,
        read: impl Fn(Row<'a>) -> Result<T, DataError> + 'a,
    ) -> impl Iterator<Item = Result<T, DataError>> + 'a {
        self.records.iter().map(move |(line, record)| read(Row { table: self, line: *line, record }))
    }
}

impl Row<'_> {
    /// The field, trimmed, with `NULL` as nothing and a loose column's surplus joined again.
    fn text(&self, column: Column) -> String {
        let surplus = self.record.len() - self.table.header.len();
        let (from, to) = match self.table.loose {
            Some(loose) if column.place == loose => (column.place, column.place + surplus),
            Some(loose) if column.place > loose => (column.place + surplus, column.place + surplus),
            _ => (column.place, column.place),
        };
        let fields: Vec<&str> = (from..=to).filter_map(|place| self.record.get(place)).collect();
        let text = fields.join(",");
        if text == "NULL" { String::new() } else { text.trim().to_owned() }
    }

    fn filled(&self, column: Column) -> Result<String, DataError> {
        let text = self.text(column);
        if text.is_empty() { Err(self.wrong(column, "a text that is not empty")) } else { Ok(text) }
    }

    fn number<N: FromStr>(&self, column: Column) -> Result<N, DataError> {
        self.parse(column, "a whole number")
    }

    fn parse<T: FromStr>(&self, column: Column, expected: &'static str) -> Result<T, DataError> {
        self.text(column).parse().map_err(|_| self.wrong(column, expected))
    }

    fn one_of<T: Copy>(
        &self,
        column: Column,
        choices: &[(&str, T)],
        expected: &'static str,
    ) -> Result<T, DataError> {
        let text = self.text(column);
        let chosen = choices.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, value)| *value).ok_or_else(|| self.wrong(column, expected))
    }

    /// `0.15` is 15 per cent.
    fn fraction(&self, column: Column) -> Result<Percent, DataError> {
        let expected = "a fraction from 0 to 1 with at most two places, like 0.15";
        let hundredths: Cents = self.parse(column, expected)?;
        if !(0..=100).contains(&hundredths.0) {
            return Err(self.wrong(column, expected));
        }
        Ok(Percent(hundredths.0 * 100))
    }

    fn wrong(&self, column: Column, expected: &'static str) -> DataError {
        DataError::Field {
            file: self.table.file.clone(),
            line: self.line,
            column: column.name,
            found: self.text(column),
            expected,
        }
    }
}
