//! Dates, money and words of this site.

use jiff::civil::Date;

use crate::data::Cents;
use crate::erp::ledger::EffectKind;
use crate::erp::world::OrderState;

/// What the ERP says, and how this site puts it.
const WORDINGS: [(&str, &str); 21] = [
    ("Nome utente o password non corretti.", "Credenziali errate."),
    ("Account bloccato", "Utenza disabilitata"),
    ("Articolo sconosciuto.", "Codice articolo inesistente."),
    ("Articolo fuori produzione.", "L'articolo non è più vendibile."),
    ("Cliente sconosciuto.", "Codice cliente inesistente."),
    ("Il riferimento supera i 40 caratteri.", "Vs. rif.: massimo 40 caratteri."),
    ("Inserire almeno una riga.", "L'ordine è privo di righe."),
    ("Ordine non trovato.", "Nessun ordine con questo numero."),
    ("L'ordine è già stato inviato a Verona.", "Ordine trasmesso: non modificabile."),
    ("Cliente non trovato.", "Nessun cliente con questo codice."),
    ("Operazione non consentita.", "Richiesta respinta dal sistema."),
    ("Quantità non valida.", "Numero di pezzi errato."),
    ("Sconto non valido.", "Percentuale di sconto errata."),
    ("Data non valida (gg/mm/aaaa).", "Data errata: scrivere aaaa-mm-gg."),
    ("Numero non valido.", "Numero d'ordine errato."),
    ("La ragione sociale è obbligatoria.", "Indicare la denominazione."),
    ("Partita IVA non valida.", "P. IVA errata."),
    ("Indirizzo e-mail non valido.", "Posta elettronica errata."),
    ("Runtime Error", "Errore di runtime"),
    ("Validation of viewstate MAC failed.", "Convalida MAC dello stato di visualizzazione non riuscita."),
    ("Invalid postback or callback argument.", "Argomento di postback o callback non valido."),
];

/// The same in this site's words; what it has none for stays as it is.
pub(super) fn reworded(text: &str) -> &str {
    WORDINGS.iter().find(|(known, _)| *known == text).map_or(text, |(_, ours)| ours)
}

/// `2026-11-22`.
pub(crate) fn date(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

/// Reads `2026-11-22`; nothing else is a date here.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    let [year, month, day] = text.trim().split('-').collect::<Vec<_>>().try_into().ok()?;
    if (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// `1,234.50`.
pub(super) fn money(cents: Cents) -> String {
    let swap = |c| match c {
        '.' => ',',
        ',' => '.',
        c => c,
    };
    cents.italian().chars().map(swap).collect()
}

/// How lists and forms call a state.
pub(super) fn state(state: OrderState) -> &'static str {
    match state {
        OrderState::Open => "In lavorazione",
        OrderState::Sent => "Trasmesso",
    }
}

/// What a page says after its write.
pub(crate) fn said(kind: EffectKind, number: &str) -> String {
    match kind {
        EffectKind::OrderSaved | EffectKind::OrderEdited => {
            format!("Registrazione eseguita: ordine n. {number}")
        }
        EffectKind::OrderDeleted => format!("Eliminazione eseguita: ordine n. {number}"),
        EffectKind::OrderSent => format!("Trasmissione eseguita: ordine n. {number}"),
        EffectKind::CustomerSaved | EffectKind::CustomerEdited => {
            format!("Registrazione eseguita: cliente {number}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_year_first_and_read_in_no_other_form() {
        let day = Date::constant(2026, 3, 5);
        assert_eq!(date(day), "2026-03-05");
        assert_eq!(parse_date(" 2026-03-05 "), Some(day));
        for bad in ["05/03/2026", "2026-3-5", "2026-02-31", "26-03-05", "", "2026-03-05-1"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn money_has_commas_for_thousands_and_a_dot() {
        assert_eq!(money(Cents(123_450)), "1,234.50");
        assert_eq!(money(Cents(99_950)), "999.50");
    }
}
