//! The names of fields that were not as wanted.

/// From differences in words, `line 2 quantity: wanted …`: every field once, in order, and a change of any
/// line as `lines`.
pub(super) fn names(differences: &[String]) -> Vec<String> {
    let mut names: Vec<String> = differences.iter().map(|difference| name(difference).to_owned()).collect();
    names.dedup();
    names
}

fn name(difference: &str) -> &str {
    let field = difference.split_once(':').map_or(difference, |(field, _)| field);
    if field.starts_with("line ") { "lines" } else { field }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn every_field_is_named_once() {
        let differences = [
            r#"note: wanted "a: b", found """#,
            r#"lines: wanted "2", found "3""#,
            r#"line 1 product: wanted "A", found "B""#,
            r#"line 2 discount: wanted "5", found "6""#,
        ];
        assert_eq!(names(&differences.map(str::to_owned)), ["note", "lines"]);
    }
}
