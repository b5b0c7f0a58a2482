use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

/// A customer as the ERP shows it. Texts that the ERP leaves empty are empty here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Assigned by the ERP on the first save.
    pub code: String,
    /// Company name.
    pub name: String,
    /// VAT number; not unique at the ERP.
    #[serde(default)]
    pub vat: String,
    /// Street and number.
    #[serde(default)]
    pub street: String,
    /// City.
    #[serde(default)]
    pub city: String,
    /// Postal code.
    #[serde(default)]
    pub postal_code: String,
    /// Country.
    #[serde(default)]
    pub country: String,
    /// E-mail address.
    #[serde(default)]
    pub email: String,
    /// Phone number.
    #[serde(default)]
    pub phone: String,
}

/// One page of the ERP's list of customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerPage {
    /// In the list's order. The list shows code, name, VAT number, city and country; the rest are empty.
    pub customers: Vec<Customer>,
    /// How many pages the list has, as far as it tells.
    pub pages: u32,
}

/// A customer as it is wanted. What is `None` is left as it is, or empty where the customer is new.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedCustomer {
    /// Company name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// VAT number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat: Option<String>,
    /// Street and number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub street: Option<String>,
    /// City.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

impl WantedCustomer {
    /// Every field with its name, in the form's order.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, Option<&str>); 8] {
        [
            ("name", self.name.as_deref()),
            ("vat", self.vat.as_deref()),
            ("street", self.street.as_deref()),
            ("city", self.city.as_deref()),
            ("postal_code", self.postal_code.as_deref()),
            ("country", self.country.as_deref()),
            ("email", self.email.as_deref()),
            ("phone", self.phone.as_deref()),
        ]
    }

    /// Wants the field of this name as `text`, unless it is wanted otherwise already. A name that no field has
    /// changes nothing.
    pub fn or_insert(&mut self, field: &str, text: &str) {
        let slot = match field {
            "name" => &mut self.name,
            "vat" => &mut self.vat,
            "street" => &mut self.street,
            "city" => &mut self.city,
            "postal_code" => &mut self.postal_code,
            "country" => &mut self.country,
            "email" => &mut self.email,
            "phone" => &mut self.phone,
            _ => return,
        };
        slot.get_or_insert_with(|| text.to_owned());
    }

    /// With every field: what is not named is wanted as it is shown.
    #[must_use]
    pub fn completed(&self, shown: &Customer) -> Self {
        let mut whole = self.clone();
        shown.fields().into_iter().for_each(|(field, text)| whole.or_insert(field, text));
        whole
    }
}

impl Customer {
    /// Every field but the code with its name, in the form's order.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, &str); 8] {
        [
            ("name", &self.name),
            ("vat", &self.vat),
            ("street", &self.street),
            ("city", &self.city),
            ("postal_code", &self.postal_code),
            ("country", &self.country),
            ("email", &self.email),
            ("phone", &self.phone),
        ]
    }
}

/// Field by field, where a customer is not what is wanted; empty where it is. Each can be read back as a
/// [`CustomerDifference`].
#[must_use]
pub fn customer_differences(wanted: &WantedCustomer, observed: &Customer) -> Vec<String> {
    let pairs = wanted.fields().into_iter().zip(observed.fields());
    pairs
        .filter_map(|((field, wanted), (_, found))| {
            let wanted = wanted.filter(|wanted| *wanted != found)?;
            let (field, wanted, found) = (field.to_owned(), wanted.to_owned(), found.to_owned());
            Some(CustomerDifference { field, wanted, found }.to_string())
        })
        .collect()
}

/// A field of a customer that is not as wanted. As a text: `city: wanted "Verona", found "VERONA"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerDifference {
    /// The field's name.
    pub field: String,
    /// What it should be.
    pub wanted: String,
    /// What it is.
    pub found: String,
}

impl CustomerDifference {
    /// From its text; `None` for any other.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (field, rest) = text.split_once(": wanted ")?;
        let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let wanted = texts.next()?.ok()?;
        let found = rest.get(texts.byte_offset()..)?.strip_prefix(", found ")?;
        Some(Self { field: field.to_owned(), wanted, found: serde_json::from_str(found).ok()? })
    }
}

impl fmt::Display for CustomerDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, wanted, found } = self;
        write!(f, "{field}: wanted {}, found {}", json!(wanted), json!(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_wanted_as_it_is_shown() {
        let shown: Customer =
            serde_json::from_str(r#"{"code":"C1","name":"Rossi","city":"Verona","phone":"1"}"#).unwrap();
        let wanted = WantedCustomer { city: Some("Milano".into()), ..WantedCustomer::default() };
        let completed = wanted.completed(&shown);
        assert_eq!(completed.city.as_deref(), Some("Milano"));
        assert_eq!(customer_differences(&completed, &shown), [r#"city: wanted "Milano", found "Verona""#]);
        let as_shown = WantedCustomer::default().completed(&shown);
        assert_eq!(as_shown.fields(), shown.fields().map(|(name, text)| (name, Some(text))));
        let mut inserted = WantedCustomer::default();
        for (name, text) in shown.fields() {
            inserted.or_insert(name, text);
            inserted.or_insert(name, "something else");
        }
        assert_eq!(inserted, as_shown);
    }

    #[test]
    fn a_difference_is_read_back_from_its_text() {
        for found in ["", "VERONA.", r#"a "b", found "c""#, "l'Aquila\u{200f}\n\u{1}"] {
            let difference =
                CustomerDifference { field: "city".into(), wanted: found.repeat(2), found: found.into() };
            assert_eq!(CustomerDifference::read(&difference.to_string()), Some(difference));
        }
        for other in ["city", "city: wanted", r#"city: wanted "a""#, r#"city: wanted "a", found b"#] {
            assert_eq!(CustomerDifference::read(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_is_wanted_is_compared() {
        let observed: Customer =
            serde_json::from_str(r#"{"code":"C1","name":"Rossi","city":"Verona"}"#).unwrap();
        let mut wanted = WantedCustomer { name: Some("Rossi".into()), ..WantedCustomer::default() };
        assert_eq!(customer_differences(&wanted, &observed), Vec::<String>::new());
        wanted.city = Some("Milano".into());
        wanted.phone = Some("1".into());
        assert_eq!(
            customer_differences(&wanted, &observed),
            [r#"city: wanted "Milano", found "Verona""#, r#"phone: wanted "1", found """#]
        );
    }
}
