//! Statements by the names of their files.

use std::collections::HashMap;
use std::fs;

use crate::Failure;

/// Where the statements of the PostgreSQL store are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../archibald-pg/sql");
/// The schema that they are written with.
const SCHEMA: &str = "archibald.";

/// The names of all statements of the PostgreSQL store.
#[derive(Debug)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// Of the store that keeps its tables in this schema.
    ///
    /// # Errors
    /// Where the files cannot be read.
    pub fn of_schema(schema: &str) -> Result<Self, Failure> {
        let mut names = HashMap::new();
        for entry in fs::read_dir(FOLDER)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path)?.replace(SCHEMA, &format!("{schema}."));
            // The same is sent without these words by who waits for locks.
            names.insert(outline(&text.replace(" skip locked", "")), name.clone());
            names.insert(outline(&text), name);
        }
        Ok(Self(names))
    }

    /// The file that a text is of, or else how the text begins.
    #[must_use]
    pub fn name(&self, text: &str) -> String {
        let outline = outline(text);
        self.0.get(&outline).cloned().unwrap_or_else(|| outline.chars().take(60).collect())
    }
}

/// What stays of a text when its constants become numbers: no comments, one kind of space, `?` for whatever
/// may be a constant.
fn outline(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_once("--").map_or(line, |(before, _)| before));
    let text = lines.collect::<Vec<_>>().join(" ");
    let mut words: Vec<String> = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        let is_of_word = letter.is_alphanumeric() || matches!(letter, '_' | '$');
        let last = words.last_mut().expect("there is one from the beginning");
        match letter {
            '\'' => {
                quoted = !quoted;
                if quoted {
                    words.push("?".to_owned());
                    words.push(String::new());
                }
            }
            _ if quoted => {}
            _ if is_of_word => last.push(letter),
            _ if letter.is_whitespace() => words.push(String::new()),
            _ => words.extend([letter.to_string(), String::new()]),
        }
    }
    let is_constant = |word: &String| {
        word.starts_with(|first: char| first == '$' || first.is_ascii_digit())
            || matches!(word.as_str(), "null" | "true" | "false")
    };
    let words = words.iter().filter(|word| !word.is_empty());
    words.map(|word| if is_constant(word) { "?" } else { word }).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_known_by_whatever_constants_became() {
        let written =
            "-- Index: a_pkey.\nselect a.n from x.a where a.state = 'it is'\n    and b > $1 limit 1000";
        let counted = "select a.n from x.a where a.state = $2 and b > $1 limit $3";
        assert_eq!(outline(written), outline(counted));
        assert_ne!(outline(written), outline(&counted.replace("a.n", "a.m")));
    }

    #[test]
    fn every_statement_has_an_outline_of_its_own() {
        let names = Names::of_schema("elsewhere").unwrap();
        let files: Vec<_> = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() > 10);
        for file in files {
            let text = fs::read_to_string(&file).unwrap().replace(SCHEMA, "elsewhere.");
            assert_eq!(names.name(&text), file.file_name().unwrap().to_string_lossy());
        }
        assert_eq!(names.name("begin"), "begin");
    }
}
