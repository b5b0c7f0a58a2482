use archibald_core::erp::{Price, PricePage, Product, ProductPage};
use archibald_core::port::ClientError;

use super::grid::{List, Row};
use super::{At, Site};

impl Site {
    /// One page of the list of products.
    pub(super) async fn read_products(
        &self,
        at: At<'_>,
        places: (u32, u32),
    ) -> Result<ProductPage, ClientError> {
        let map = &self.map.products;
        let list = List { name: "products", path: &map.path, grid: &map.grid };
        let list = self.read_list(at, list, places, |row| self.product(row)).await?;
        Ok(ProductPage { products: list.rows, pages: list.pages })
    }

    /// One page of the list of prices.
    pub(super) async fn read_prices(&self, at: At<'_>, places: (u32, u32)) -> Result<PricePage, ClientError> {
        let map = &self.map.prices;
        let list = List { name: "prices", path: &map.path, grid: &map.grid };
        let list = self.read_list(at, list, places, |row| self.price(row)).await?;
        Ok(PricePage { prices: list.rows, pages: list.pages })
    }

    fn product(&self, row: &Row<'_>) -> Result<Product, ClientError> {
        let map = &self.map.products;
        let discontinued = match row.text("discontinued")? {
            text if text == map.discontinued_yes => true,
            text if text == map.discontinued_no => false,
            text => {
                let (yes, no) = (&map.discontinued_yes, &map.discontinued_no);
                let detail = format!("{text:?} is neither {yes:?} nor {no:?}");
                return Err(row.unrecognised("discontinued", &detail));
            }
        };
        Ok(Product {
            code: row.text("code")?,
            description: row.text("description")?,
            unit: row.text("unit")?,
            list_price: row.read("list_price", |text| self.map.formats.read_number(text))?,
            discontinued,
        })
    }

    fn price(&self, row: &Row<'_>) -> Result<Price, ClientError> {
        let formats = &self.map.formats;
        Ok(Price {
            product: row.text("product")?,
            group: row.text("group")?,
            price: row.read("price", |text| formats.read_number(text))?,
            discount: row.read("discount", |text| formats.read_number(text))?,
        })
    }
}
