//! What changes customers, from the first page to the verdict about the last.

use archibald_core::effect::ActOutcome;
use archibald_core::erp::{Customer, WantedCustomer, customer_differences};

use super::ErpClient;
use super::customer::customer_of;
use super::write::{Ended, Shown, Write};
use crate::driver::Limit;
use crate::gate::Fence;

type Acted = Result<ActOutcome<Customer>, Ended>;

impl ErpClient {
    pub(super) async fn save_new_customer(&self, wanted: &WantedCustomer, fence: Fence) -> Acted {
        let limit = self.begin();
        self.typed(self.site().open_new_customer(self.at(&limit)).await)?;
        self.save_customer(None, (wanted, wanted), fence, &limit).await
    }

    pub(super) async fn save_changed_customer(
        &self,
        code: &str,
        wanted: &WantedCustomer,
        fence: Fence,
    ) -> Acted {
        let limit = self.begin();
        let found = self.typed(self.site().read_customer(self.at(&limit), code).await)?;
        let Some(found) = found else {
            return Err(Ended::Refused(format!("there is no customer {code}")));
        };
        self.save_customer(Some(code), (wanted, &wanted.completed(&found)), fence, &limit).await
    }

    /// Types into the form that is shown, saves it, and judges what the answer shows by the whole of what has to
    /// be there: the form of a customer that exists is saved with everything that is on it.
    async fn save_customer(
        &self,
        known: Option<&str>,
        (wanted, whole): (&WantedCustomer, &WantedCustomer),
        fence: Fence,
        limit: &Limit,
    ) -> Acted {
        let form = &self.site().map().customer;
        self.typed(self.site().type_customer(self.page(), limit, wanted).await)?;
        let write =
            Write { name: "customer.save", control: &form.save, question: "", validation: &form.validation };
        let answer = self.write(write, fence, limit).await?;
        let page = self.site().read_customer_form(self.page(), limit).await.map_err(Ended::answered)?;
        let Some(code) = page.get("code") else { return Err(Ended::unsaid("no customer")) };
        let shown = Shown { key: code, message: page.get("message") };
        self.expect_saved(&answer, known, &shown, &form.saved.replace("{code}", code))?;
        let customer = customer_of(&page).map_err(Ended::answered)?;
        let differences = customer_differences(whole, &customer);
        if differences.is_empty() {
            Ok(ActOutcome::Done(customer))
        } else {
            Ok(ActOutcome::Differs { observed: customer, differences })
        }
    }
}
